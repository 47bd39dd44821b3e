//go:build unix

package functions

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A launcher starts processes of this machine.
type launcher struct {
	spec    Spec
	user    *syscall.Credential // nil: sluice's own
	starter *starter
	watch   *watch
}

// newLauncher finds out whether workers can be started as the spec asks. Their
// private folders are below scratch.
func newLauncher(spec Spec, scratch string) (Launcher, error) {
	if len(spec.Program.Command) == 0 {
		return nil, errors.New("it has no command")
	}
	user, err := findUser(spec)
	if err != nil {
		return nil, err
	}
	starter, err := newStarter(spec, scratch)
	if err != nil {
		return nil, err
	}
	return &launcher{spec, user, starter, newWatch(spec.Memory)}, nil
}

// Close ends what the launcher itself runs.
func (l *launcher) Close() error {
	l.watch.close()
	l.starter.close()
	return nil
}

// Launch starts a process in a group of its own, with nothing but /dev/null,
// the output and the environment.
func (l *launcher) Launch(_ context.Context, with Launch) (Process, error) {
	defer func() { _ = with.Output.Close() }()
	if l.user != nil {
		if err := os.Chown(with.Folder, int(l.user.Uid), int(l.user.Gid)); err != nil {
			return nil, fmt.Errorf("give the worker its folder: %w", err)
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	attributes := &os.ProcAttr{
		Dir: l.spec.Program.Dir, Env: onThisMachine(with.Env, l.spec.Program, with.Folder), Files: []*os.File{null, with.Output, with.Output},
		Sys: l.attributes(),
	}
	p := &process{worker: with.Worker, started: time.Now(), done: make(chan struct{})}
	command := l.spec.Program.Command
	l.starter.do(func() {
		keepDescriptors()
		p.os, err = os.StartProcess(command[0], command, attributes)
	})
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", filepath.Base(command[0]), unwrapPath(err))
	}
	if err := limit(p.os.Pid); err != nil {
		p.Kill()
		_, _ = p.os.Wait()
		return nil, err
	}
	p.memory = l.watch.add(p)
	go p.wait(l.watch)
	return p, nil
}

// unwrapPath leaves the reason of an error that names the system call and the
// path, which the caller has said.
func unwrapPath(err error) error {
	if path, ok := errors.AsType[*os.PathError](err); ok {
		return path.Err
	}
	return err
}

// A process leads a group. Its id is not used for another one before wait has
// reaped it, which mu guards.
type process struct {
	os          *os.Process
	worker      string
	started     time.Time
	memory      *memory
	outOfMemory atomic.Bool
	done        chan struct{}
	exit        Exit

	mu     sync.Mutex
	reaped bool
}

// wait waits for the end of the process, and ends what it has left.
func (p *process) wait(w *watch) {
	state, err := p.reap(w)
	killOrphans(p.worker)
	p.exit.Status = "signal: killed"
	if err == nil {
		p.exit.Status = state.String()
		p.memory.ended(state)
	}
	p.exit.OutOfMemory = p.outOfMemory.Load()
	close(p.done)
}

// Started is when it has begun to run.
func (p *process) Started() time.Time { return p.started }

// Settle has nothing to wait for: the process itself writes to its output.
func (p *process) Settle() {}

// Done is closed when it has ended.
func (p *process) Done() <-chan struct{} { return p.done }

// Exit says how it has ended, once it is done.
func (p *process) Exit() Exit { return p.exit }

// Terminate sends SIGTERM to the process alone.
func (p *process) Terminate() { p.signal(p.os.Pid, syscall.SIGTERM) }

// Kill sends SIGKILL to the group.
func (p *process) Kill() { p.signal(-p.os.Pid, syscall.SIGKILL) }

func (p *process) signal(id int, signal syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.reaped {
		_ = syscall.Kill(id, signal) // gone is what it should be
	}
}

// MaxMemory is the most bytes that it has used until now.
func (p *process) MaxMemory() int64 { return p.memory.max() }

// readNow reads what a pipe has, without waiting.
func readNow(fd uintptr, buffer []byte) (int, pipeState) {
	for {
		switch n, err := syscall.Read(int(fd), buffer); {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			return 0, empty
		case err != nil || n == 0:
			return 0, atEnd
		default:
			return n, hasMore
		}
	}
}
