// Package router matches the events of the log against triggers and delivers
// them to sinks. What to do is decided by router/core; this package does it.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/event"
	"sluice/event/transform"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/router/pattern"
	"sluice/sinks"
)

// A Trigger says which events go to which sink, and how.
type Trigger struct {
	Name string
	// Was are the names that the trigger had before, the newest first.
	Was []string
	// Since is the time that the trigger begins at if it is new: with the first
	// event of the log that was accepted then or later. The zero time means with
	// what comes from now on.
	Since time.Time
	// Sources are the names of the sources that it is on; none means all.
	Sources []string
	// Directed is set for a trigger that is on no source: it takes only what is
	// directed to it.
	Directed bool
	// Pattern selects among their events; nil selects all.
	Pattern *pattern.Pattern
	// Transform makes what is delivered of each event; nil leaves it as it is. The
	// log and letters keep the event as it came.
	Transform *transform.Transform
	Sink      sinks.Sink
	// Timeout bounds one attempt: 30 s by default.
	Timeout time.Duration
	// Concurrency is how many attempts may be under way at once: 10 by default.
	Concurrency int
	// Batch puts several deliveries into one attempt; there are Concurrency
	// attempts under way then, each of several.
	Batch Batch
	// Flow holds back what is delivered. Its PerKey counts attempts, like
	// Concurrency; Keys are what its limits go by.
	Flow core.Flow
	Keys Keys
	// Buffer is how many events wait in memory for an attempt: 1,024 by default.
	Buffer int
	Retry  core.RetryPolicy
	// ReplyAs is the name under which events are published that the sink answers
	// with; empty when it answers with none.
	ReplyAs string
	// OnSuccess and OnFailure tell another trigger of deliveries that are done, and
	// of those that become letters; nil tells nobody.
	OnSuccess, OnFailure *Result

	held hold
}

// Options are what a router is made of.
type Options struct {
	Log     Log
	Ledger  Ledger
	Letters Letters
	// Replies may be nil when no trigger has ReplyAs.
	Replies Replies
	// Results may be nil when no trigger has OnSuccess or OnFailure.
	Results Results
	// Incarnation is the log's: sequences of another one mean nothing here.
	Incarnation string
	Triggers    []Trigger
	Logger      *slog.Logger
	// Drain is how long Run waits for attempts under way when it ends: 25 s by
	// default.
	Drain time.Duration
	// Metrics takes the router's metrics; nil for none.
	Metrics prometheus.Registerer
	// Observe is called for every outcome; it must not block. It may be nil.
	Observe func(Observation)
	// Turns are those in which transforms are evaluated; nil for no bound.
	Turns *transform.Turns
	// Core are the limits of the core; their zero values mean the defaults.
	Core core.Options
}

// A Router reads the log, matches, and delivers. Make it with New, and run it
// once.
type Router struct {
	options    Options
	logger     *slog.Logger
	codec      *ledger.Codec
	inbox      *mailbox[core.Input]
	queries    chan func(*run)
	started    chan struct{}
	ended      chan struct{}
	upcoming   atomic.Pointer[upcoming]
	configured atomic.Pointer[table]
	version    atomic.Uint64
	configure  sync.Mutex
	line       atomic.Pointer[line]
	health     health
	metrics    *metrics
	observed   map[ledger.Key]about
}

// line is what the janitor may trim up to.
type line struct{ needed, ledger uint64 }

// New returns a router that has not begun.
func New(options Options) (*Router, error) {
	codec, err := ledger.NewCodec()
	if err != nil {
		return nil, err
	}
	if options.Drain == 0 {
		options.Drain = 25 * time.Second
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	r := &Router{
		options: options, logger: options.Logger, codec: codec, inbox: newMailbox[core.Input](),
		queries: make(chan func(*run)), started: make(chan struct{}), ended: make(chan struct{}),
		observed: map[ledger.Key]about{},
	}
	r.health.set("router", errStarting)
	if r.metrics, err = newMetrics(r, options.Metrics); err != nil {
		return nil, err
	}
	return r, nil
}

var errStarting = errors.New("starting")

// Started is closed once the ledger is open and all triggers are written down:
// whatever is published from then on is matched.
func (r *Router) Started() <-chan struct{} { return r.started }

// Run works until ctx ends; then it drains within Options.Drain and returns
// nil. Any other error is fatal, such as event.ErrFenced when another router
// has taken over.
func (r *Router) Run(ctx context.Context) error {
	defer close(r.ended)
	state, last, err := r.recover(ctx)
	if err != nil {
		return fmt.Errorf("open the ledger: %w", err)
	}
	run, err := r.newRun(ctx, state, last)
	if err != nil {
		return err
	}
	return run.loop(ctx)
}

// Configure replaces the triggers. It returns when that is durable.
func (r *Router) Configure(ctx context.Context, triggers []Trigger) error {
	select {
	case <-r.started:
	case <-r.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	r.configure.Lock()
	defer r.configure.Unlock()
	var known []string
	err := r.ask(ctx, func(c *core.Core) {
		for _, s := range c.Standings() {
			known = append(known, s.Gate.Name)
		}
	})
	if err != nil {
		return err
	}
	in, err := r.configuration(triggers)
	if err == nil {
		err = r.begin(ctx, in.Triggers, triggers, known)
	}
	if err != nil {
		return err
	}
	return r.command(ctx, func(token any) core.Input { in.Token = token; return in })
}

// Pause stops the deliveries of a trigger, durably: what matches waits. It
// returns core.ErrUnknownTrigger when there is none of this name.
func (r *Router) Pause(ctx context.Context, name string) error {
	return r.command(ctx, func(token any) core.Input { return core.Pause{Name: name, Token: token} })
}

// Resume takes Pause back.
func (r *Router) Resume(ctx context.Context, name string) error {
	return r.command(ctx, func(token any) core.Input { return core.Resume{Name: name, Token: token} })
}

// command waits until an input is acknowledged.
func (r *Router) command(ctx context.Context, input func(token any) core.Input) error {
	done := make(chan error, 1)
	r.inbox.put(input(done))
	select {
	case err := <-done:
		return err
	case <-r.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errStopped = fmt.Errorf("the router has stopped: %w", event.ErrUnavailable)

// ask runs a function beside the core, between two of its steps.
func (r *Router) ask(ctx context.Context, fn func(*core.Core)) error {
	return r.askRun(ctx, func(u *run) { fn(u.core) })
}

// askRun runs a function beside the loop, between two of its steps.
func (r *Router) askRun(ctx context.Context, fn func(*run)) error {
	done := make(chan struct{})
	select {
	case r.queries <- func(u *run) { fn(u); close(done) }:
		<-done
		return nil
	case <-r.ended:
		return errStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Line returns the lowest sequence of the log that is still needed, and the
// ledger sequence of the newest snapshot; ok is false until they are known.
func (r *Router) Line() (needed, ledger uint64, ok bool) {
	l := r.line.Load()
	if l == nil {
		return 0, 0, false
	}
	return l.needed, l.ledger, true
}

// Health returns nil when the router works, or what holds it up.
func (r *Router) Health() error { return r.health.err() }

// health keeps what is wrong, by part.
type health struct {
	mu    sync.Mutex
	parts map[string]error
}

// set says how a part is, and whether that is news.
func (h *health) set(part string, err error) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.parts[part]
	if err == nil {
		delete(h.parts, part)
		return was != nil
	}
	if h.parts == nil {
		h.parts = map[string]error{}
	}
	h.parts[part] = err
	return was == nil
}

func (h *health) err() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	names := make([]string, 0, len(h.parts))
	for part, err := range h.parts {
		names = append(names, part+": "+err.Error())
	}
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return errors.New(strings.Join(names, "; "))
}
