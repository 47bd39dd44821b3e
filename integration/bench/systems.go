package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// A system is what is measured: the floor, sluice, or a peer.
type system interface {
	name() string
	// backlog makes a store in a folder, with so many events that are to be
	// delivered when it is started then.
	backlog(ctx context.Context, dir string, events int) error
	// start runs it on a folder. It dispatches to a URL, or nothing for "".
	start(ctx context.Context, dir, to string) (*instance, error)
}

// An instance is a system that runs.
type instance struct {
	*process
	server     *process // that it stores its events with, nil when that is inside of it
	ingest     string   // URL that takes events
	structured bool     // takes them as JSON only
	admin      string   // URL of sluice's admin listener
}

func (i *instance) processes() []*process {
	if i.server == nil {
		return []*process{i.process}
	}
	return []*process{i.process, i.server}
}

// cpu returns how much time of a processor its processes have used so far.
func (i *instance) cpu() (sum time.Duration) {
	for _, p := range i.processes() {
		sum += p.cpu()
	}
	return sum
}

// most returns the most resident memory that its processes have had, in bytes.
func (i *instance) most() (sum int64) {
	for _, p := range i.processes() {
		sum += p.memory("VmHWM")
	}
	return sum
}

// stop ends its processes. How long a peer takes to end is not measured: some
// wait for what does not come any more.
func (i *instance) stop(signal syscall.Signal) error {
	if i.server == nil {
		return i.process.stop(signal)
	}
	return errors.Join(i.process.stop(syscall.SIGKILL), i.server.stop(signal))
}

// theFloor is the floor: this program in its other role.
type theFloor struct{ self string }

func (theFloor) name() string { return roleFloor }

func (theFloor) backlog(ctx context.Context, dir string, events int) error {
	return publish(ctx, dir, 0, events)
}

func (f theFloor) start(ctx context.Context, dir, to string) (*instance, error) {
	return f.run(ctx, dir, "-to", to)
}

// run starts it on a folder.
func (f theFloor) run(ctx context.Context, dir string, more ...string) (*instance, error) {
	p, err := spawn(ctx, dir, roleFloor, f.self, append([]string{roleFloor, "-dir", dir}, more...)...)
	if err != nil {
		return nil, err
	}
	url, err := p.said(ctx, "listening")
	return &instance{process: p, ingest: url + "/"}, err
}

// systems returns those that were asked for, and builds what it must.
func (b *bench) systems(ctx context.Context) (all []system, err error) {
	for _, name := range b.names() {
		switch name {
		case roleFloor:
			all = append(all, theFloor{self: b.self})
		case nameSluice:
			all = append(all, b.sluice)
		default:
			_, _ = fmt.Fprintf(b.stderr, "building %s\n", name)
			p := peers[name]
			p.self, p.path = b.self, filepath.Join(b.root, name)
			if err := build(ctx, filepath.Join("integration", "peers", name), p.path, "."); err != nil {
				return nil, err
			}
			all = append(all, p)
		}
	}
	return all, nil
}

// build builds a program of a module's folder.
func build(ctx context.Context, folder, to, program string) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, program)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s in %s: %w\n%s", program, folder, err, output)
	}
	return nil
}

// ready waits until sluice says that it is.
func (i *instance) ready(ctx context.Context) error {
	return until(ctx, i.process, startWithin, often, func() bool { return ask(ctx, http.MethodGet, i.admin+"/readyz", nil) == nil })
}
