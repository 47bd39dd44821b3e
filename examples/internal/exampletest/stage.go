// Package exampletest runs an example as its reader would, in a process of its
// own, with free ports and a folder of its own.
package exampletest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/integration/freeport"
)

// patience is how long a step may take: building sluice is one of them.
const patience = 4 * time.Minute

// A Stage is an example that runs.
type Stage struct {
	// Bucket, Worker, Ingest and Admin are the URLs of its parts.
	Bucket, Worker, Ingest, Admin string

	t           *testing.T
	screen      screen
	binary      string
	environment []string // of all programs
}

// A screen is the output of the example, read while it is written.
type screen struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// Raise runs the example in the current folder until the test ends, and waits
// until it is ready. The environment has what is given beside the ports.
func Raise(t *testing.T, environment ...string) *Stage {
	t.Helper()
	s := &Stage{t: t}
	data := t.TempDir()
	program := filepath.Join(data, "example")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	s.binary = filepath.Join(data, "sluice")
	ports := freeport.Ports(t, 4)
	s.Bucket, s.Worker, s.Admin, s.Ingest = local(ports[0]), local(ports[1]), local(ports[2]), local(ports[3])
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	command := exec.CommandContext(ctx, program)
	s.environment = append(os.Environ(), "NO_COLOR=1", "DATA="+data, "SLUICE_SERVER="+s.Admin,
		"S3_PORT="+ports[0], "WORKER_PORT="+ports[1], "ADMIN_PORT="+ports[2], "INGEST_PORT="+ports[3])
	s.environment = append(s.environment, environment...)
	command.Env = s.environment
	command.Stdout, command.Stderr = &s.screen, &s.screen
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGINT) } // as a terminal does
	command.WaitDelay = 30 * time.Second
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = command.Wait() // the context's end is its error
		if code := command.ProcessState.ExitCode(); code != 0 {
			t.Errorf("the example ended with %d:\n%s", code, s.screen.String())
		}
	})
	s.Await("Stop with Ctrl-C")
	return s
}

func local(port string) string { return "http://127.0.0.1:" + port }

// Await waits until the example has shown a text.
func (s *Stage) Await(text string) {
	s.t.Helper()
	s.Eventually("it shows "+text, func() bool { return strings.Contains(s.screen.String(), text) })
}

// After waits until the example has shown a text, and returns the word after it.
func (s *Stage) After(text string) string {
	s.t.Helper()
	word := ""
	s.Eventually("it shows a word after "+text, func() bool {
		_, rest, _ := strings.Cut(s.screen.String(), text)
		end := strings.IndexAny(rest, " \n")
		word = rest[:max(end, 0)]
		return end > 0
	})
	return word
}

// Count returns how often the example has shown a text.
func (s *Stage) Count(text string) int { return strings.Count(s.screen.String(), text) }

// Eventually waits until something holds.
func (s *Stage) Eventually(what string, holds func() bool) {
	s.t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("it never happens that %s:\n%s", what, s.screen.String())
		}
	}
}

// Ask sends a request, as curl does, which must be answered with a status.
func (s *Stage) Ask(status int, method, url string, body io.Reader, header ...string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, url, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != status {
		text, _ := io.ReadAll(answer.Body) // for the message only
		s.t.Fatalf("%s %s: status %d, want %d: %s", method, url, answer.StatusCode, status, text)
	}
}

// Sluice runs a command, which must succeed and print what is wanted, and returns
// all that it prints.
func (s *Stage) Sluice(want string, args ...string) string {
	s.t.Helper()
	out, err := s.try(args)
	if err != nil || !strings.Contains(out, want) {
		s.t.Fatalf("sluice %s: %v, and it does not print %q:\n%s", strings.Join(args, " "), err, want, out)
	}
	return out
}

// SluiceEventually runs a command until it succeeds and prints what is wanted.
func (s *Stage) SluiceEventually(want string, args ...string) {
	s.t.Helper()
	s.Eventually("sluice "+strings.Join(args, " ")+" prints "+want, func() bool {
		out, err := s.try(args)
		return err == nil && strings.Contains(out, want)
	})
}

func (s *Stage) try(args []string) (string, error) {
	command := exec.CommandContext(s.t.Context(), s.binary, args...)
	command.Env = s.environment
	out, err := command.CombinedOutput()
	return string(out), err
}
