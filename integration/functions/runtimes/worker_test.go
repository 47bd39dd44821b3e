//go:build integration

// Package runtimes_test runs functions of every runtime by the interpreters and
// the compiler of this machine, against the Runtime API that sluice serves.
package runtimes_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"sluice/functions/runtimeapi"
	"sluice/functions/runtimes"
)

func TestMain(m *testing.M) {
	realPython()
	goleak.VerifyTestMain(m)
}

// realPython puts the interpreter behind a shim first in PATH, because a shim
// takes longer than all the rest. TestShim looks at shims.
func realPython() {
	path, err := exec.Command("python3", "-c", "import os, sys; print(os.path.dirname(sys.executable))").Output() //nolint:noctx // before any test
	if err == nil {
		_ = os.Setenv("PATH", strings.TrimSpace(string(path))+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
}

const (
	arn      = "arn:aws:lambda:us-east-1:000000000000:function:thumbnail"
	patience = 20 * time.Second
)

// A worker is one process of a function.
type worker struct {
	tb     testing.TB
	api    *runtimeapi.Server
	cmd    *exec.Cmd
	exited chan error

	mu     sync.Mutex
	output bytes.Buffer
}

// writeFiles makes the files below dir; those that begin with #! are executable.
func writeFiles(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(text, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			tb.Fatal(err)
		}
	}
}

// start writes the files, and starts a worker of the handler with the variables.
func start(tb testing.TB, handler string, files, env map[string]string) *worker {
	tb.Helper()
	dir := tb.TempDir()
	writeFiles(tb, dir, files)
	return startIn(tb, runtimes.Options{Dir: dir, Handler: handler, Memory: 128 << 20}, env)
}

func startIn(tb testing.TB, options runtimes.Options, env map[string]string) *worker {
	tb.Helper()
	source, err := runtimes.Find(options)
	if err != nil {
		tb.Fatal(err)
	}
	program, err := source.Program(tb.Context(), filepath.Join(options.Dir, "scratch"))
	if err != nil {
		tb.Fatal(err)
	}
	return run(tb, program, env)
}

// run starts a worker of a program as the pool does, in a clean environment.
func run(tb testing.TB, program runtimes.Program, env map[string]string) *worker {
	tb.Helper()
	w := &worker{tb: tb, api: runtimeapi.New(runtimeapi.Options{ARN: arn, Handler: program.Handler}), exited: make(chan error, 1)}
	if err := w.api.Listen(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	w.cmd = exec.Command(program.Command[0], program.Command[1:]...) //nolint:noctx // it ends with the test
	w.cmd.Dir, w.cmd.Stdout, w.cmd.Stderr = program.Dir, write, write
	w.cmd.Env = environment(program, w.api.Addr(), env)
	if err := w.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	_ = write.Close()
	logged := make(chan struct{})
	go func() { defer close(logged); w.read(read) }()
	go func() {
		err := w.cmd.Wait()
		<-logged
		w.exited <- err
		close(w.exited)
	}()
	tb.Cleanup(w.stop)
	return w
}

func environment(program runtimes.Program, api string, env map[string]string) []string {
	all := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin", "AWS_LAMBDA_RUNTIME_API": api, "_HANDLER": program.Handler, "LAMBDA_TASK_ROOT": program.Dir,
		"AWS_LAMBDA_FUNCTION_NAME": "thumbnail", "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/thumbnail", "AWS_LAMBDA_LOG_STREAM_NAME": "2026/01/02/[$LATEST]0123", "TZ": ":UTC",
		"PYTHONDONTWRITEBYTECODE": "1", // into this repository
	}
	maps.Copy(all, program.Env)
	maps.Copy(all, env)
	var list []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		list = append(list, name+"="+all[name])
	}
	return list
}

func (w *worker) read(from io.ReadCloser) {
	defer func() { _ = from.Close() }()
	lines := bufio.NewReader(from)
	for {
		line, err := lines.ReadString('\n')
		w.mu.Lock()
		w.output.WriteString(line)
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// logs is what the worker has written so far.
func (w *worker) logs() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.output.String()
}

// stop takes the Runtime API away, which ends every worker that waits for an
// invocation, and kills what does not end.
func (w *worker) stop() {
	if err := w.api.Close(); err != nil {
		w.tb.Error(err)
	}
	if w.cmd.ProcessState == nil {
		_ = w.cmd.Process.Kill()
	}
	for range w.exited {
	}
}

// exit waits for the end of the process, and returns its code.
func (w *worker) exit() int {
	w.tb.Helper()
	select {
	case err, ok := <-w.exited:
		if _, is := errors.AsType[*exec.ExitError](err); ok && err != nil && !is {
			w.tb.Fatal(err)
		}
		return w.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		w.tb.Fatalf("the worker does not end; it has written:\n%s", w.logs())
		return 0
	}
}

// An outcome is what became of an invocation: an answer, an error of the
// function, or the exit of the worker.
type outcome struct {
	answer *runtimeapi.Answer
	failed *runtimeapi.Error
	exited bool
	id     string
}

// invoke makes one invocation.
func (w *worker) invoke(payload string) outcome {
	w.tb.Helper()
	return w.call(runtimeapi.Invocation{Payload: []byte(payload)})
}

func (w *worker) call(in runtimeapi.Invocation) outcome {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	in.RequestID = uuid.NewString()
	if in.Deadline.IsZero() {
		in.Deadline = time.Now().Add(10 * time.Second)
	}
	o := outcome{id: in.RequestID}
	done := make(chan error, 1)
	go func() {
		answer, err := w.api.Invoke(ctx, in)
		o.answer = answer
		done <- err
	}()
	var err error
	select {
	case err = <-done:
	case failed := <-w.api.InitError():
		cancel()
		<-done
		return outcome{failed: failed}
	case <-w.exited:
		cancel()
		<-done
		return outcome{exited: true}
	}
	if err != nil && !errors.As(err, &o.failed) {
		w.tb.Fatalf("%v; the worker has written:\n%s", err, w.logs())
	}
	return o
}

// refused makes an invocation that the Runtime API ends itself, and returns why.
func (w *worker) refused(payload string) error {
	w.tb.Helper()
	ctx, cancel := context.WithTimeout(w.tb.Context(), patience)
	defer cancel()
	in := runtimeapi.Invocation{RequestID: uuid.NewString(), Deadline: time.Now().Add(patience), Payload: []byte(payload)}
	_, err := w.api.Invoke(ctx, in)
	if ctx.Err() != nil {
		w.tb.Fatal(err)
	}
	return err
}

func (o outcome) String() string {
	switch {
	case o.failed != nil:
		return "the error " + string(o.failed.Payload)
	case o.answer != nil:
		return short(string(o.answer.Payload))
	case o.exited:
		return "the end of the worker"
	}
	return "nothing"
}

func short(text string) string {
	const most = 2000
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}
