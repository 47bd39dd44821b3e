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
	"os"
	"path/filepath"
	"strings"
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
	// Handler is the path of a file, of a folder with a Go program, or
	// AWS's form path/module.function.
	Handler string
	// Runtime is node, python, go, custom, or empty to be found out.
	Runtime string
}

// A Source is a function's code that has been found.
type Source struct {
	runtime string
	root    string // LAMBDA_TASK_ROOT, absolute
	handler string // _HANDLER
	file    string // the handler's file, the Go package's folder or the executable, absolute
	given   string // the handler as it stands in the file
}

// Runtime is node, python, go or custom.
func (s Source) Runtime() string { return s.runtime }

// An Error says what is wrong with one key of a function, and what would be
// right.
type Error struct {
	// Key is "handler" or "runtime".
	Key string
	// Message has no name of the key in front.
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

// Find looks for the code that o names, and for the interpreter or compiler
// that it needs in PATH. It runs nothing. Its errors are of the type *Error.
func Find(o Options) (Source, error) {
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Source{}, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	path := o.Handler
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, wrong("handler", "there is no file %q", o.Handler)
	}
	return custom(Source{file: path, given: o.Handler}, info)
}

// Program makes what the workers are started by. Files of its own, which
// workers must be able to read, go to the folder scratch, which must exist; with
// the same folder again, a Go program that has not changed isn't linked again.
// Errors about the code are of the type *Error, with the compiler's output.
func (s Source) Program(_ context.Context, _ string) (Program, error) {
	return Program{
		Runtime: s.runtime,
		Command: []string{s.file},
		Dir:     s.root,
		Handler: s.handler,
		Env:     map[string]string{"LAMBDA_RUNTIME_DIR": s.root},
		Watch:   []string{s.file},
	}, nil
}

// custom takes an executable file, or a folder with an executable bootstrap.
func custom(s Source, info os.FileInfo) (Source, error) {
	if info.IsDir() {
		s.file = filepath.Join(s.file, "bootstrap")
		inside, err := os.Stat(s.file)
		if err != nil {
			return Source{}, wrong("handler", "the folder %q has no file bootstrap", s.given)
		}
		info = inside
	}
	if !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
		return Source{}, wrong("handler", "%q is not executable: run `chmod +x %s`", s.given, s.given)
	}
	s.runtime, s.root = Custom, filepath.Dir(s.file)
	s.handler = strings.TrimSuffix(filepath.Base(s.file), filepath.Ext(s.file))
	return s, nil
}
