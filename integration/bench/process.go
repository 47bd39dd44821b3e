package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	startWithin = 30 * time.Second
	stopWithin  = 40 * time.Second
)

// A process is a child. It is killed when the context of its start ends.
type process struct {
	name   string
	cmd    *exec.Cmd
	log    string // the file with what it has said
	exited chan struct{}
}

// spawn starts a child in dir, whose output goes to a file there.
func spawn(ctx context.Context, dir, name, path string, args ...string) (*process, error) {
	return spawnWith(ctx, nil, dir, name, path, args...)
}

// spawnWith is spawn with more in the environment, NAME=value.
func spawnWith(ctx context.Context, environment []string, dir, name, path string, args ...string) (*process, error) {
	log, err := os.CreateTemp(dir, name+"-*.log")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt is for us; we end the children
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), exited: make(chan struct{})}
	go func() { _ = cmd.Wait(); close(p.exited) }()
	return p, nil
}

// stop asks the child to end with a signal, and waits until it has.
func (p *process) stop(signal syscall.Signal) error {
	if err := p.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("stop %s: %w", p.name, err)
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopWithin):
		_ = p.cmd.Process.Kill()
		<-p.exited
		return fmt.Errorf("%s has not ended within %v", p.name, stopWithin)
	}
}

// said returns the line that begins with a word, without it, as soon as the
// child has written it.
func (p *process) said(ctx context.Context, word string) (rest string, err error) {
	err = until(ctx, p, startWithin, often, func() bool {
		rest, err = find(p.log, word)
		return err != nil || rest != ""
	})
	if err != nil {
		return "", fmt.Errorf("%s: %w", p.name, err)
	}
	return rest, nil
}

func find(path, word string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if rest, found := strings.CutPrefix(lines.Text(), word+" "); found {
			return rest, nil
		}
	}
	return "", lines.Err()
}

// How often until looks: a start is waited for at once, and what goes on under
// load is not to be disturbed.
const (
	often  = time.Millisecond
	seldom = 5 * time.Millisecond
)

// until waits for a condition while the child runs.
func until(ctx context.Context, p *process, within, every time.Duration, holds func() bool) error {
	deadline := time.After(within)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-p.exited:
			return fmt.Errorf("%s has ended: %v; it said:\n%s", p.name, p.cmd.ProcessState, p.tail())
		case <-deadline:
			return fmt.Errorf("%s: not there after %v; it said:\n%s", p.name, within, p.tail())
		}
	}
	return nil
}

// tail returns the end of what the child has said.
func (p *process) tail() string {
	const most = 4 << 10
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, io.SeekEnd)
	}
	text, _ := io.ReadAll(f)
	return string(text)
}

// ticksPerSecond is the unit of the times in /proc on every Linux.
const ticksPerSecond = 100

// cpu returns how much time of a processor the child has used so far. It is 0
// where the system has no /proc.
func (p *process) cpu() time.Duration {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "stat"))
	if err != nil {
		return 0
	}
	// The name, in parentheses, may hold anything: count from behind it.
	_, rest, _ := strings.Cut(string(text[strings.LastIndexByte(string(text), ')')+1:]), " ")
	fields := strings.Fields(rest)
	const user, system = 11, 12
	if len(fields) <= system {
		return 0
	}
	ticks := 0
	for _, field := range []string{fields[user], fields[system]} {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

// forgetMost has the system forget the most memory that the child has had, so
// that what its start has taken does not count; see proc_pid_clear_refs(5).
func (p *process) forgetMost() error {
	return os.WriteFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "clear_refs"), []byte("5"), 0)
}

// memory returns what the system calls VmRSS, the child's resident memory, or
// VmHWM, the most that it has had, in bytes; 0 where that cannot be known.
func (p *process) memory(name string) int64 {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), "status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, name+": %d kB", &kilobytes); n == 1 {
			return kilobytes << 10
		}
	}
	return 0
}
