package functions

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A starter is a thread of its own that starts processes. What a process
// inherits from its thread is set there once, and holds for sluice's other
// threads in no way: no_new_privs, and the Landlock domain. And the kernel ends
// a process with the thread that has started it, so that no worker outlives
// sluice: the thread must live as long as they do.
type starter struct {
	work chan func()
	done sync.WaitGroup
}

func newStarter(spec Spec, scratch string) (*starter, error) {
	rules, err := newRuleset(spec, scratch)
	if err != nil {
		return nil, err
	}
	defer rules.close()
	s := &starter{work: make(chan func())}
	set := make(chan error)
	s.done.Go(func() { s.onThread(func() error { return confine(rules) }, set) })
	if err := <-set; err != nil {
		s.done.Wait()
		return nil, err
	}
	return s, nil
}

// onThread serves on a thread that is no other goroutine's, and ends with it.
// The main thread never ends, and so is not taken.
func (s *starter) onThread(confine func() error, set chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		var other sync.WaitGroup
		other.Go(func() { s.onThread(confine, set) }) // this thread is locked, so it is another one
		other.Wait()
		runtime.UnlockOSThread()
		return
	}
	err := confine()
	set <- err
	if err != nil {
		return
	}
	for f := range s.work {
		f()
	}
}

func confine(rules *ruleset) error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("set no_new_privs: %w", err)
	}
	return rules.restrict()
}

// do runs f on the thread.
func (s *starter) do(f func()) {
	done := make(chan struct{})
	s.work <- func() { f(); close(done) }
	<-done
}

// close ends the thread, and every process that it has started.
func (s *starter) close() {
	close(s.work)
	s.done.Wait()
}

func (l *launcher) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: l.user}
}

// keepDescriptors keeps from workers what sluice itself has inherited; what it
// opens is its own already. Before Linux 5.11 it does nothing.
func keepDescriptors() {
	_ = unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}

// maxFiles is how many descriptors a worker may have open, as in the service.
const maxFiles = 1024

// limit sets what a process may take of the machine. The number of processes is
// not among it: the kernel counts that by user, over all functions. Limits of
// another user's process need CAP_SYS_RESOURCE, which root in a container may
// lack; then sluice's own hold.
func limit(pid int) error {
	for resource, most := range map[int]uint64{unix.RLIMIT_CORE: 0, unix.RLIMIT_NOFILE: maxFiles} {
		err := unix.Prlimit(pid, resource, &unix.Rlimit{Cur: most, Max: most}, nil)
		if err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("limit the worker: %w", err)
		}
	}
	return nil
}

// reap waits for the end of the process and ends the rest of its group, before
// the system may give its id to another one.
func (p *process) reap(w *watch) (*os.ProcessState, error) {
	for unix.Waitid(unix.P_PID, p.os.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR { //nolint:errorlint // an errno
	}
	w.remove(p.memory)
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	return p.os.Wait()
}
