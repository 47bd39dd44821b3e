//go:build unix && !linux

package functions

import (
	"os"
	"sync/atomic"
	"syscall"
)

// CheckLandlock says whether this machine has Landlock.
func CheckLandlock() error { return errNoLandlock }

// A starter starts processes as they come. Only Linux ends a worker with
// sluice, and sets no_new_privs.
type starter struct{}

func newStarter(spec Spec, _ string) (*starter, error) {
	if spec.Landlock != nil {
		return nil, errNoLandlock
	}
	return &starter{}, nil
}

func (s *starter) do(f func()) { f() }
func (s *starter) close()      {}

func (l *launcher) attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Credential: l.user}
}

// keepDescriptors does nothing: what sluice opens is its own already.
func keepDescriptors() {}

func limit(int) error { return nil }

// reap waits for the end of the process, and ends the rest of its group.
func (p *process) reap(*watch) (*os.ProcessState, error) {
	state, err := p.os.Wait()
	p.Kill()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reaped = true
	return state, err
}

// killOrphans finds nothing where there is no /proc.
func killOrphans(string) {}

// A watch only takes what the system counts when a process has ended.
type watch struct{}

func newWatch(int64) *watch           { return &watch{} }
func (w *watch) add(*process) *memory { return &memory{} }
func (w *watch) close()               {}

type memory struct{ peak atomic.Int64 }

func (m *memory) max() int64 { return m.peak.Load() }

func (m *memory) ended(state *os.ProcessState) {
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		m.peak.Store(usage.Maxrss)
	}
}
