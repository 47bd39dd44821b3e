//go:build integration

package server

import (
	"context"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	readyWithin = 3 * time.Minute // RabbitMQ on a busy machine
	stopWithin  = 30 * time.Second
	every       = 20 * time.Millisecond
)

// Options say what a server is.
type Options struct {
	// Name is what it is called in messages: "RabbitMQ".
	Name string
	// Command is the program, looked up in PATH, and its arguments.
	Command []string
	// Env is added to the test's own environment.
	Env []string
	// Dir is the working directory; empty for the test's own.
	Dir string
	// User is the name of the user that the server runs as when the test runs as
	// root; empty for root itself.
	User string
	// Ready returns nil when the server answers.
	Ready func(ctx context.Context) error
	// Signal asks for an orderly stop; SIGTERM by default.
	Signal syscall.Signal
}

// A Server is a process that can be stopped, killed, paused and started again. It
// is not for use by several goroutines at once. It ends with the test.
type Server struct {
	options Options
	command *exec.Cmd
	exited  chan error
	output  *os.File
	paused  bool
}

// Start starts the server and waits until it is ready.
func Start(tb testing.TB, options Options) *Server {
	tb.Helper()
	if options.Signal == 0 {
		options.Signal = syscall.SIGTERM
	}
	output, err := os.OpenFile(filepath.Join(tb.TempDir(), "output"), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Server{options: options, output: output}
	tb.Cleanup(func() {
		s.Kill(tb)
		if tb.Failed() {
			tb.Logf("%s said:\n%s", options.Name, s.Output())
		}
		_ = output.Close() // it is a test's own
	})
	s.Restart(tb)
	return s
}

// mostOutput is how many bytes of what a server has said are shown.
const mostOutput = 64 << 10

// Output returns the end of what the server has said.
func (s *Server) Output() string {
	info, err := s.output.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(0, info.Size()-mostOutput)
	text, err := io.ReadAll(io.NewSectionReader(s.output, from, info.Size()-from))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Restart stops the server when it runs, starts it, and waits until it is ready.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	s.start(tb)
}

// Crash kills the server, starts it, and waits until it is ready.
func (s *Server) Crash(tb testing.TB) {
	tb.Helper()
	s.Kill(tb)
	s.start(tb)
}

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	// Not bound to the test's context: that ends before the clean-up stops it.
	command := exec.Command(s.options.Command[0], s.options.Command[1:]...) //nolint:noctx // see above
	command.Env, command.Dir = append(os.Environ(), s.options.Env...), s.options.Dir
	command.Stdout, command.Stderr = s.output, s.output
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.credential(tb)}
	if err := command.Start(); err != nil {
		tb.Fatalf("%s does not start: %v", s.options.Name, err)
	}
	exited := make(chan error, 1)
	go wait(command, exited)
	s.command, s.exited = command, exited
	s.waitReady(tb)
}

// wait waits for a process. It has a name, so that who looks for leaks knows it: a
// server may be started again in the middle of a test.
func wait(command *exec.Cmd, exited chan<- error) { exited <- command.Wait() }

// credential is that of the user that the server runs as; nil for the test's.
func (s *Server) credential(tb testing.TB) *syscall.Credential {
	tb.Helper()
	if s.options.User == "" || os.Geteuid() != 0 {
		return nil
	}
	uid, gid := UserID(tb, s.options.User)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// UserID returns the numbers of a user and its group, to give files to it.
func UserID(tb testing.TB, name string) (uid, gid int) {
	tb.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		tb.Fatal(err)
	}
	uid, uidErr := strconv.Atoi(u.Uid)
	gid, gidErr := strconv.Atoi(u.Gid)
	if uidErr != nil || gidErr != nil {
		tb.Fatalf("the user %s has the ids %s and %s: numbers are needed", name, u.Uid, u.Gid)
	}
	return uid, gid
}

func (s *Server) waitReady(tb testing.TB) {
	tb.Helper()
	deadline := time.Now().Add(readyWithin)
	for {
		err := s.ready(tb.Context())
		if err == nil {
			return
		}
		select {
		case exit := <-s.exited:
			s.command = nil
			tb.Fatalf("%s has ended: %v\n%s", s.options.Name, exit, s.Output())
		case <-time.After(every):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("%s is not ready after %v: %v\n%s", s.options.Name, readyWithin, err, s.Output())
		}
	}
}

func (s *Server) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	return s.options.Ready(ctx)
}

// Stop ends the server as a service manager would, and waits for it.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.Resume(tb)
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(s.options.Signal) // it may have ended on its own
	select {
	case <-s.exited:
		s.command = nil
	case <-time.After(stopWithin):
		s.Kill(tb)
		tb.Errorf("%s has not ended within %v of %v\n%s", s.options.Name, stopWithin, s.options.Signal, s.Output())
	}
}

// Kill ends the server and all that it has started with SIGKILL, and waits for
// it.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	if s.command == nil {
		return
	}
	s.signal(tb, syscall.SIGKILL)
	<-s.exited
	s.command, s.paused = nil, false
}

// Pause stops the server's processes where they are: connections stay open, and
// nothing is answered.
func (s *Server) Pause(tb testing.TB) {
	tb.Helper()
	s.signal(tb, syscall.SIGSTOP)
	s.paused = true
}

// Resume lets a server that was paused go on.
func (s *Server) Resume(tb testing.TB) {
	tb.Helper()
	if s.paused {
		s.signal(tb, syscall.SIGCONT)
		s.paused = false
	}
}

// signal sends a signal to the whole group of processes; they may have ended.
func (s *Server) signal(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	if err := syscall.Kill(-s.command.Process.Pid, signal); err != nil && err != syscall.ESRCH {
		tb.Errorf("%v to %s: %v", signal, s.options.Name, err)
	}
}
