//go:build integration

package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/integration/freeport"
)

// A Sluice is one installation: a folder, a file, two ports, and at most one
// process at a time. It is for use by the test's own goroutine.
type Sluice struct {
	// Ingest and Admin are the URLs of the listeners.
	Ingest, Admin string
	// Dir is the folder of the bus, File the configuration.
	Dir, File string
	// Kills are the moments at which a process was killed.
	Kills []time.Time
	// Env is added to the environment of processes, NAME=value.
	Env []string

	tb      testing.TB
	path    string
	client  *http.Client
	command *exec.Cmd
	exited  chan struct{} // closed when the process has ended
	runs    int
	home    string
}

const (
	readyWithin = 30 * time.Second
	logTail     = 8 << 10
)

// New returns an installation with a configuration, to which the bus, ingest and
// admin sections are added. What runs of it is killed when the test ends.
func New(tb testing.TB, program *Program, configuration string) *Sluice {
	tb.Helper()
	home := tb.TempDir()
	return newSluice(tb, program, home, fmt.Sprintf("{dir: %q}", filepath.Join(home, "data")), configuration)
}

// NewOn is New with a bus section of its own, such as {url: "nats://…"}.
func NewOn(tb testing.TB, program *Program, bus, configuration string) *Sluice {
	tb.Helper()
	return newSluice(tb, program, tb.TempDir(), bus, configuration)
}

func newSluice(tb testing.TB, program *Program, home, bus, configuration string) *Sluice {
	tb.Helper()
	ingest, admin := freeport.Address(tb), freeport.Address(tb)
	transport := &http.Transport{}
	s := &Sluice{
		Ingest: "http://" + ingest, Admin: "http://" + admin,
		Dir: filepath.Join(home, "data"), File: filepath.Join(home, "sluice.yaml"),
		tb: tb, path: program.Path(tb), home: home, client: &http.Client{Transport: transport, Timeout: time.Minute},
	}
	text := fmt.Sprintf("bus: %s\ningest: {listen: %q}\nadmin: {listen: %q}\n%s", bus, ingest, admin, configuration)
	if err := os.WriteFile(s.File, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if tb.Failed() {
			tb.Logf("the triggers stand so: %s\nthe audit is: %s\nthe last process said:\n%s", s.look("triggers"), s.look("audit"), s.Log())
		}
		s.stop(syscall.SIGKILL)
		transport.CloseIdleConnections()
	})
	return s
}

// look returns what the API answers, or why it does not, for who looks for the
// cause of a failure.
func (s *Sluice) look(path string) string {
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, s.Admin+"/api/v1/"+path, http.NoBody)
	if err != nil {
		return err.Error()
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, logTail))
	return fmt.Sprintf("%s (%v)", text, err)
}

// Start starts the process, and does not wait until it is ready.
func (s *Sluice) Start() {
	s.tb.Helper()
	s.StartWith()
}

// StartWith is Start with more flags.
func (s *Sluice) StartWith(flags ...string) {
	s.tb.Helper()
	if s.command != nil {
		s.tb.Fatal("sluice runs already")
	}
	s.runs++
	log, err := os.Create(s.logFile())
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = log.Close() }() // the process has its own
	// Not bound to the test's context: that ends before the clean-up kills it.
	command := exec.Command(s.path, append([]string{"up", "--config", s.File}, flags...)...) //nolint:noctx // see above
	command.Stdout, command.Stderr = log, log
	command.Env = append(append(os.Environ(), "TMPDIR="+s.home), s.Env...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := command.Start(); err != nil {
		s.tb.Fatalf("sluice does not start: %v", err)
	}
	exited := make(chan struct{})
	go func() { _ = command.Wait(); close(exited) }()
	s.command, s.exited = command, exited
}

func (s *Sluice) logFile() string { return filepath.Join(s.home, "log-"+strconv.Itoa(s.runs)) }

// Log returns the end of what the process has said.
func (s *Sluice) Log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return err.Error()
	}
	if len(text) > logTail {
		text = text[len(text)-logTail:]
	}
	return string(text)
}

// Logged returns how often the process has said a text.
func (s *Sluice) Logged(text string) int {
	s.tb.Helper()
	all, err := os.ReadFile(s.logFile())
	if err != nil {
		s.tb.Fatal(err)
	}
	return bytes.Count(all, []byte(text))
}

// Ready waits until the process is ready, and returns how long that took. It
// fails the test when the process ends.
func (s *Sluice) Ready() time.Duration {
	s.tb.Helper()
	began := time.Now()
	Eventually(s.tb, readyWithin, "sluice is ready", func() bool {
		select {
		case <-s.exited:
			s.tb.Fatalf("sluice has ended: %v", s.command.ProcessState)
		default:
		}
		return s.isReady()
	})
	return time.Since(began)
}

func (s *Sluice) isReady() bool {
	request, err := http.NewRequestWithContext(s.tb.Context(), http.MethodGet, s.Admin+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// Up starts the process and waits until it is ready.
func (s *Sluice) Up() {
	s.tb.Helper()
	s.Start()
	s.Ready()
}

// PID returns the number of the process.
func (s *Sluice) PID() int { return s.command.Process.Pid }

// Kill ends the process with SIGKILL and waits until it is gone.
func (s *Sluice) Kill() {
	s.tb.Helper()
	s.Kills = append(s.Kills, time.Now())
	s.stop(syscall.SIGKILL)
}

// Signal sends a signal and does not wait.
func (s *Sluice) Signal(signal syscall.Signal) {
	s.tb.Helper()
	if err := s.command.Process.Signal(signal); err != nil {
		s.tb.Fatalf("signal %v: %v", signal, err)
	}
}

// Exited is closed when the process has ended.
func (s *Sluice) Exited() <-chan struct{} { return s.exited }

// Wait waits until the process ends by itself, and returns how it did.
func (s *Sluice) Wait(within time.Duration) *os.ProcessState {
	s.tb.Helper()
	select {
	case <-s.exited:
	case <-time.After(within):
		s.tb.Fatalf("sluice has not ended within %v", within)
	}
	state := s.command.ProcessState
	s.command = nil
	return state
}

func (s *Sluice) stop(signal syscall.Signal) {
	if s.command == nil {
		return
	}
	_ = syscall.Kill(-s.command.Process.Pid, signal) // it may have ended on its own
	<-s.exited
	s.command = nil
}

// Memory returns the resident memory of the process in bytes.
func (s *Sluice) Memory() int64 {
	s.tb.Helper()
	return s.memory("VmRSS")
}

// MostMemory returns the most resident memory that the process has had, in bytes.
func (s *Sluice) MostMemory() int64 {
	s.tb.Helper()
	return s.memory("VmHWM")
}

func (s *Sluice) memory(name string) int64 {
	s.tb.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		s.tb.Skipf("the memory of a process cannot be read here: %v", err)
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, name+": %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	s.tb.Fatal("the process has no " + name)
	return 0
}

// A Said is what a command has said.
type Said struct {
	Out, Err string
	Code     int
}

// Command runs a command of the program against the installation.
func (s *Sluice) Command(args ...string) Said {
	s.tb.Helper()
	command := exec.CommandContext(s.tb.Context(), s.path, args...)
	command.Env = append(append(os.Environ(), "SLUICE_SERVER="+s.Admin, "NO_COLOR=1"), s.Env...)
	command.Dir = s.home
	var out, errs bytes.Buffer
	command.Stdout, command.Stderr = &out, &errs
	var exit *exec.ExitError
	if err := command.Run(); err != nil && !errors.As(err, &exit) {
		s.tb.Fatalf("sluice %v: %v", args, err)
	}
	return Said{Out: out.String(), Err: errs.String(), Code: command.ProcessState.ExitCode()}
}
