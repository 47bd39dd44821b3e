package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"sluice/bus"
	"sluice/integration/freeport"
)

// The names of what stands in the configuration.
const (
	sourceName  = "in"
	triggerName = "work"
	// storeSize is what the events may take, the same for both.
	storeSize = 2 << 30
)

// storeOptions are how a store is opened by this program.
func storeOptions(dir string) bus.Options {
	return bus.Options{Dir: filepath.Join(dir, "data"), MaxBytes: storeSize}
}

// A system is what is measured: the floor, or sluice.
type system interface {
	name() string
	// prepare makes a store in a folder that knows where the dispatch begins:
	// what is published to it from then on is to be delivered.
	prepare(ctx context.Context, dir string) error
	// start runs it on a folder. It dispatches to a URL, or nothing for "".
	start(ctx context.Context, dir, worker string) (*instance, error)
}

// An instance is a system that runs.
type instance struct {
	*process
	ingest string // URL that takes events
	admin  string // URL of sluice's admin listener
}

// theFloor is the floor: this program in its other role.
type theFloor struct{ self string }

func (theFloor) name() string                          { return roleFloor }
func (theFloor) prepare(context.Context, string) error { return nil }

func (f theFloor) start(ctx context.Context, dir, worker string) (*instance, error) {
	args := []string{roleFloor, "-dir", dir}
	if worker != "" {
		args = append(args, "-to", worker)
	}
	p, err := spawn(ctx, dir, roleFloor, f.self, args...)
	if err != nil {
		return nil, err
	}
	url, err := p.said(ctx, "listening")
	return &instance{process: p, ingest: url + "/"}, err
}

// theSluice is the real program, with a configuration file.
type theSluice struct{ path string }

func (theSluice) name() string { return "sluice" }

// prepare runs it once, so that its trigger begins before what is published
// then.
func (s theSluice) prepare(ctx context.Context, dir string) error {
	i, err := s.start(ctx, dir, "http://127.0.0.1:9/")
	if err != nil {
		return err
	}
	if err := s.ready(ctx, i); err != nil {
		return err
	}
	return i.stop(syscall.SIGTERM)
}

func (s theSluice) start(ctx context.Context, dir, worker string) (*instance, error) {
	addresses, err := freeport.Addresses(2)
	if err != nil {
		return nil, err
	}
	ingest, admin := addresses[0], addresses[1]
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(path, []byte(configuration(dir, ingest, admin, worker)), 0o600); err != nil {
		return nil, err
	}
	p, err := spawn(ctx, dir, s.name(), s.path, "up", "--config", path)
	if err != nil {
		return nil, err
	}
	return &instance{process: p, ingest: "http://" + ingest + "/in", admin: "http://" + admin}, nil
}

func configuration(dir, ingest, admin, worker string) string {
	text := fmt.Sprintf("bus: {dir: %q, max_bytes: %dMiB}\ningest: {listen: %q}\nadmin: {listen: %q}\nsources: {%s: {http: {path: /in}}}\n",
		filepath.Join(dir, "data"), storeSize>>20, ingest, admin, sourceName)
	if worker == "" {
		return text
	}
	return text + fmt.Sprintf("triggers:\n  %s:\n    on: %s\n    when: {type: [{prefix: bench.}]}\n    to: {http: {url: %q}}\n"+
		"    retry: {attempts: 5, initial: 1s, max: 5m}\n    concurrency: %d\n", triggerName, sourceName, worker, floorWorkers)
}

// ready waits until sluice says that it is.
func (theSluice) ready(ctx context.Context, i *instance) error {
	return until(ctx, i.process, startWithin, often, func() bool { return ask(ctx, http.MethodGet, i.admin+"/readyz", nil) == nil })
}

// build builds sluice into a folder.
func build(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "sluice")
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", path, "sluice/cmd/sluice")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build sluice: %w\n%s", err, output)
	}
	return path, nil
}
