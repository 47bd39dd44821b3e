package service

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"sluice/config"
	"sluice/sinks"
)

// A lentSink is a sink that can be taken out of use: it is closed after its last
// attempt.
type lentSink struct {
	inner  sinks.Sink
	config config.Sink
	egress string // of the whole installation

	mu      sync.Mutex
	using   int
	retired bool
	closed  chan struct{}
	err     error // of closing
}

var errRetired = errors.New("the sink was replaced by a new configuration")

// retryRetired is when a delivery comes again that met a sink on its way out.
const retryRetired = 10 * time.Millisecond

// Deliver is for sinks.Sink.
func (l *lentSink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	if !l.borrow() {
		return sinks.Response{}, &sinks.ThrottledError{Err: errRetired, After: retryRetired}
	}
	defer l.done()
	return l.inner.Deliver(ctx, attempt)
}

// borrow keeps the sink from being closed until done, and tells whether that
// was possible.
func (l *lentSink) borrow() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retired && l.using == 0 {
		return false
	}
	l.using++
	return true
}

func (l *lentSink) done() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.using--
	l.closeIdle()
}

// retire closes the sink as soon as nothing uses it.
func (l *lentSink) retire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.retired {
		l.retired = true
		l.closeIdle()
	}
}

func (l *lentSink) closeIdle() {
	if !l.retired || l.using > 0 {
		return
	}
	if closer, ok := l.inner.(sinks.Closer); ok {
		l.err = closer.Close()
	}
	close(l.closed)
}

// A sinkSet holds the sinks of one configuration, by what they serve: a
// function's are shared by its triggers.
type sinkSet map[string]*lentSink

// buildSinks makes the sinks of a file, with what env has for all. Those of the
// set before that have not changed are kept.
func buildSinks(file *config.File, before sinkSet, env sinks.Env) (sinkSet, error) {
	env.Egress = file.Egress
	next := sinkSet{}
	var problems []error
	add := func(key, name string, wanted config.Sink) {
		if old := before[key]; old != nil && old.egress == file.Egress && old.config.Kind == wanted.Kind && sameSection(old.config.Section, wanted.Section) {
			next[key] = old
			return
		}
		env.Name = name
		made, err := newSink(wanted, env)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", key, err))
			return
		}
		next[key] = made
	}
	for _, f := range file.Functions {
		add(functionKey(f.Name), f.Name, f.Sink)
	}
	for _, t := range allTriggers(file) {
		if t.Sink != nil {
			add(triggerKey(t.Name), t.Name, *t.Sink)
		}
	}
	if len(problems) > 0 {
		next.retireExcept(before)
		return nil, errors.Join(problems...)
	}
	return next, nil
}

func functionKey(name string) string { return fmt.Sprintf("function %q", name) }
func triggerKey(name string) string  { return fmt.Sprintf("trigger %q", name) }

func newSink(wanted config.Sink, env sinks.Env) (*lentSink, error) {
	section, ok := wanted.Section.(sinks.Config)
	if !ok {
		return nil, fmt.Errorf("its kind %q is no sink", wanted.Kind)
	}
	inner, err := section.Sink(env)
	if err != nil {
		return nil, err
	}
	return &lentSink{inner: inner, config: wanted, egress: env.Egress, closed: make(chan struct{})}, nil
}

// of returns the sink of a trigger.
func (s sinkSet) of(t *config.Trigger) *lentSink {
	if t.Sink != nil {
		return s[triggerKey(t.Name)]
	}
	return s[functionKey(t.Function)]
}

// retireExcept retires the sinks that are not in keep.
func (s sinkSet) retireExcept(keep sinkSet) {
	for key, sink := range s {
		if keep[key] != sink {
			sink.retire()
		}
	}
}

// close retires all sinks and waits until each is closed.
func (s sinkSet) close() error {
	var problems []error
	for key, sink := range s {
		sink.retire()
		select {
		case <-sink.closed:
			if sink.err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", key, sink.err))
			}
		case <-time.After(closeWithin):
			problems = append(problems, fmt.Errorf("%s is still in use", key))
		}
	}
	return errors.Join(problems...)
}

// closeWithin is how long closing a sink waits for attempts that the router has
// left behind.
const closeWithin = 2 * time.Second
