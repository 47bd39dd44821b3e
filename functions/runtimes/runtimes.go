// Package runtimes finds out how the workers of a function are started: by an
// interpreter with a small bootstrap that sluice carries, as a Go program that
// it builds, or as an executable that speaks the Lambda Runtime API itself.
//
// Find reads what stands in the file, and needs no more than the file system
// and PATH, so that a configuration can be checked without running anything.
// Source.Program does the rest: it asks interpreters who they are, writes
// bootstraps and builds Go.
package runtimes

import (
	"context"
	"fmt"
	"path/filepath"
)

// The runtimes, as the key "runtime" of a function names them.
const (
	Node   = "node"
	Python = "python"
	Go     = "go"
	Custom = "custom"
)

// A Program is how one worker is started.
type Program struct {
	// Runtime is node, python, go or custom.
	Runtime string
	// Command are the arguments; the first is the absolute path of an
	// executable. It stays the same when the function's code changes.
	Command []string
	// Dir is the absolute path of the working folder, and LAMBDA_TASK_ROOT.
	Dir string
	// Handler is _HANDLER, in the service's form where the runtime reads it:
	// module.function.
	Handler string
	// Env is what the runtime itself needs, LAMBDA_RUNTIME_DIR at least. What
	// the user declares goes before it.
	Env map[string]string
	// Watch are the absolute paths of the files and folders whose change makes
	// it a new program. Fingerprint says whether they have changed.
	Watch []string
	// Read are the absolute paths beside Dir that the worker must be able to
	// read: its bootstrap, the interpreter's own files.
	Read []string
}

// Options are what stands in the file about a function's code.
type Options struct {
	// Dir is the folder that paths are meant from: the configuration's.
	Dir string
	// Handler is the path of a file or of a folder, or AWS's form
	// path/module.function.
	Handler string
	// Runtime is node, python, go, custom, or empty to be found out.
	Runtime string
	// Memory is the function's limit in bytes. Node keeps its heap below nine
	// tenths of it; 0 leaves that to Node.
	Memory int64
}

// A Source is a function's code that has been found.
type Source struct {
	options Options
	runtime string
	root    string // LAMBDA_TASK_ROOT
	handler string // _HANDLER
	file    string // the handler's file, the folder of the Go program, or the executable
	module  string // of Python, from root
	export  string // the name of the function in the file or module
	tool    string // the interpreter or compiler as PATH has it
}

// Runtime is node, python, go or custom.
func (s Source) Runtime() string { return s.runtime }

// Concurrent says whether one worker may run several invocations at once, if
// its client does so when it is told AWS_LAMBDA_MAX_CONCURRENCY. The workers of
// Node and Python run one.
func (s Source) Concurrent() bool { return s.runtime == Go || s.runtime == Custom }

// Program makes what the workers are started by. Files of its own, which
// workers must be able to read, go to the folder scratch, which is made when it
// isn't there; with the same folder again, a Go program that has not changed
// isn't linked again. Errors about the code and the interpreter are of the type
// *Error, with the compiler's output.
func (s Source) Program(ctx context.Context, scratch string) (Program, error) {
	scratch, err := filepath.Abs(scratch)
	if err != nil {
		return Program{}, fmt.Errorf("find the scratch folder: %w", err)
	}
	p := Program{Runtime: s.runtime, Dir: s.root, Handler: s.handler}
	switch s.runtime {
	case Node:
		return s.node(ctx, p, scratch)
	case Python:
		return s.python(ctx, p, scratch)
	case Go:
		return s.build(ctx, p, scratch)
	}
	p.Command, p.Watch = []string{s.file}, []string{s.file}
	p.Env = map[string]string{"LAMBDA_RUNTIME_DIR": s.root}
	return p, nil
}

// An Error says what is wrong with one key of a function, and what would be
// right.
type Error struct {
	// Key is "handler" or "runtime".
	Key string
	// Message has no name of the key in front. It may have several lines.
	Message string
	// Suggestion is what was probably meant, or empty.
	Suggestion string
}

// Error returns the message with its key and the suggestion.
func (e *Error) Error() string {
	text := e.Key + ": " + e.Message
	if e.Suggestion != "" {
		text += fmt.Sprintf("; did you mean %q?", e.Suggestion)
	}
	return text
}

func wrong(key, format string, args ...any) *Error {
	return &Error{Key: key, Message: fmt.Sprintf(format, args...)}
}
