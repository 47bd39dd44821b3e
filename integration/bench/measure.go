package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// A section is one part of a run.
type section struct {
	name string
	// each measures one system, alone what only sluice does, in a folder.
	each  func(b *bench, ctx context.Context, s system, dir string) error
	alone func(b *bench, ctx context.Context, dir string) error
	once  bool // in the first round only: it takes long, and stands by itself
}

var sections = []section{
	{name: "dispatch", each: (*bench).dispatch},
	{name: "latency", each: (*bench).latency},
	{name: "ingest", each: (*bench).ingest},
	{name: "batches", alone: (*bench).batches},
	{name: "triggers", alone: (*bench).manyTriggers},
	{name: "fanout", alone: (*bench).fanOut, once: true},
	{name: "fanout-one", alone: (*bench).fanOutOne, once: true},
	{name: "backlog", each: (*bench).backlog, once: true},
	{name: "adaptive", alone: (*bench).adaptive, once: true},
	{name: "retries", alone: (*bench).retries, once: true},
	{name: "life", alone: (*bench).life, once: true},
	{name: "letters", alone: (*bench).letters, once: true},
	{name: "schedules", alone: (*bench).tick, once: true},
}

func sectionNames() []string {
	names := make([]string, 0, len(sections))
	for _, s := range sections {
		names = append(names, s.name)
	}
	return names
}

// A bench is one run of the program.
type bench struct {
	*options
	self   string
	root   string // of all folders of the run
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
	if b.sluice.path, err = b.program(ctx); err != nil {
		return err
	}
	systems, err := b.systems(ctx)
	if err != nil {
		return err
	}
	for round := range o.rounds {
		if err := b.round(ctx, round, systems); err != nil {
			return err
		}
	}
	return b.report(stdout)
}

// program returns the sluice to measure.
func (b *bench) program(ctx context.Context) (string, error) {
	if b.options.sluice != "" {
		return filepath.Abs(b.options.sluice)
	}
	path := filepath.Join(b.root, nameSluice)
	return path, build(ctx, ".", path, "./cmd/sluice")
}

// round measures everything once. Which system comes first changes with each
// round.
func (b *bench) round(ctx context.Context, n int, systems []system) error {
	turn := n % len(systems)
	systems = append(slices.Clone(systems[turn:]), systems[:turn]...)
	for _, part := range sections {
		if !b.wants(part.name) || part.once && n > 0 {
			continue
		}
		if part.alone != nil {
			measure := func(ctx context.Context, dir string) error { return part.alone(b, ctx, dir) }
			if err := b.one(ctx, n, part.name, nameSluice, measure); err != nil {
				return err
			}
			continue
		}
		for _, s := range systems {
			measure := func(ctx context.Context, dir string) error { return part.each(b, ctx, s, dir) }
			if err := b.one(ctx, n, part.name, s.name(), measure); err != nil {
				return err
			}
		}
	}
	return nil
}

// one measures one thing of one system, in a folder of its own.
func (b *bench) one(ctx context.Context, round int, section, system string, measure func(context.Context, string) error) error {
	dir, err := os.MkdirTemp(b.root, section+"-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, cancel := context.WithCancel(ctx) // kills what is left of it
	defer cancel()
	began := time.Now()
	if err := measure(ctx, dir); err != nil {
		return fmt.Errorf("%s of %s: %w", section, system, err)
	}
	_, _ = fmt.Fprintf(b.stderr, "round %d of %d: %s of %s took %v\n", round+1, b.rounds, section, system, time.Since(began).Round(time.Millisecond))
	return nil
}

// pair starts a worker, and the system that dispatches to a path of it.
func (b *bench) pair(ctx context.Context, s system, dir, path string) (*workerProcess, *instance, error) {
	w, err := startWorker(ctx, dir, b.self)
	if err != nil {
		return nil, nil, err
	}
	i, err := s.start(ctx, dir, w.url+path)
	return w, i, err
}

// readyPair is pair for sluice, and waits until it is ready.
func (b *bench) readyPair(ctx context.Context, s theSluice, dir, path string) (*workerProcess, *instance, error) {
	w, i, err := b.pair(ctx, s, dir, path)
	if err != nil {
		return nil, nil, err
	}
	return w, i, i.ready(ctx)
}

// restart ends a sluice with a signal, lets something be done meanwhile, starts
// it again with the same worker, and returns how long it took to be ready.
func (s theSluice) restart(ctx context.Context, i *instance, dir, to string, signal syscall.Signal, meanwhile func() error) (*instance, time.Duration, error) {
	if err := i.stop(signal); err != nil {
		return nil, 0, err
	}
	if err := meanwhile(); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	i, err := s.start(ctx, dir, to)
	if err != nil {
		return nil, 0, err
	}
	err = i.ready(ctx)
	return i, time.Since(began), err
}

// end stops both.
func end(w *workerProcess, i *instance) error {
	err := i.stop(syscall.SIGTERM)
	if workerErr := w.stop(syscall.SIGTERM); err == nil {
		err = workerErr
	}
	return err
}
