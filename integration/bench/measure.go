package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// The sections of a run.
const (
	sectionDispatch = "dispatch"
	sectionLatency  = "latency"
	sectionIngest   = "ingest"
	sectionLife     = "life"
	sectionTick     = "schedules"
)

var sections = []string{sectionDispatch, sectionLatency, sectionIngest, sectionLife, sectionTick}

// A bench is one run of the program.
type bench struct {
	*options
	self   string
	root   string // of all folders of the run
	floor  theFloor
	sluice theSluice
	book   *book
	stderr io.Writer
}

// measure runs all rounds and writes the result.
func measure(ctx context.Context, o *options, stdout, stderr io.Writer) (err error) {
	b := &bench{options: o, book: newBook(), stderr: stderr}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.root, err = os.MkdirTemp(o.dir, "sluice-bench-"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(b.root) }()
	path := o.sluice
	if path == "" {
		if path, err = build(ctx, b.root); err != nil {
			return err
		}
	}
	b.floor, b.sluice = theFloor{self: b.self}, theSluice{path: path}
	for round := range o.rounds {
		if err := b.round(ctx, round); err != nil {
			return err
		}
	}
	return b.report(stdout)
}

// round measures everything once. Which of the two comes first changes with
// each round.
func (b *bench) round(ctx context.Context, n int) error {
	systems := []system{b.floor, b.sluice}
	if n%2 == 1 {
		systems[0], systems[1] = systems[1], systems[0]
	}
	for _, part := range []struct {
		name    string
		measure func(context.Context, system, string) error
	}{{sectionDispatch, b.dispatch}, {sectionLatency, b.latency}, {sectionIngest, b.ingest}} {
		if !b.wants(part.name) {
			continue
		}
		for _, s := range systems {
			if err := b.one(ctx, n, part.name, s, part.measure); err != nil {
				return err
			}
		}
	}
	if b.wants(sectionLife) {
		if err := b.one(ctx, n, sectionLife, b.sluice, b.life); err != nil {
			return err
		}
	}
	if n == 0 && b.wants(sectionTick) { // once: it takes a minute
		return b.one(ctx, n, sectionTick, b.sluice, b.tick)
	}
	return nil
}

// one measures one thing of one system, in a folder of its own.
func (b *bench) one(ctx context.Context, round int, section string, s system, measure func(context.Context, system, string) error) error {
	dir, err := os.MkdirTemp(b.root, section+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(ctx) // kills what is left of it
	defer cancel()
	began := time.Now()
	if err := measure(ctx, s, dir); err != nil {
		return fmt.Errorf("%s of %s: %w", section, s.name(), err)
	}
	_, _ = fmt.Fprintf(b.stderr, "round %d of %d: %s of %s took %v\n", round+1, b.rounds, section, s.name(), time.Since(began).Round(time.Millisecond))
	return nil
}

// pair starts a worker, and the system that dispatches to it.
func (b *bench) pair(ctx context.Context, s system, dir string) (*workerProcess, *instance, error) {
	w, err := startWorker(ctx, dir, b.self)
	if err != nil {
		return nil, nil, err
	}
	i, err := s.start(ctx, dir, w.url+"/work")
	return w, i, err
}

// end stops both.
func end(w *workerProcess, i *instance) error {
	err := i.stop(syscall.SIGTERM)
	if workerErr := w.stop(syscall.SIGTERM); err == nil {
		err = workerErr
	}
	return err
}
