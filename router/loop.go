package router

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
)

// A run is one claim: a core and everything that works for it.
type run struct {
	*Router
	core  *core.Core
	claim string
	clock clock
	from  uint64 // where the shared reader begins

	appends chan core.Append
	letters *mailbox[core.WriteLetter]
	reads   chan core.Read
	fetches chan core.Fetch
	// identities are the requests for keys.
	identities chan core.Identify
	ahead      chan struct{} // stretches that the core has not looked at
	hurry      chan struct{} // a token when somebody waits for the shared reader
	halt       chan struct{} // closed when the loop has ended
	fatal      chan error
	wait       sync.WaitGroup

	workers   workers
	bounds    *bounds
	held      hold
	gathering map[uint32]*gathering // by trigger
	hasty     bool                  // batches do not wait for more

	saturated atomic.Bool // nobody waits for the shared reader
}

// window is how many stretches the shared reader is ahead of the core: fewer
// events than the ring of the core holds, so that a trigger which has fallen
// behind within them finds them there.
const window = 4

// lastRecord is how long the last record may take after the drain.
const lastRecord = 2 * time.Second

var errUnwritten = fmt.Errorf("the last record could not be written, so that attempts may be repeated: %w", event.ErrUnavailable)

// clock is the wall clock at the start, going on monotonically, and never
// before what the ledger has seen.
type clock struct{ start, base time.Time }

// newClock returns a clock that starts now, or at what the ledger has seen if
// that is later.
func newClock(seen int64) clock {
	c := clock{start: time.Now()}
	c.base = c.start.Round(0)
	if last := time.Unix(0, seen); last.After(c.base) {
		c.base = last
	}
	return c
}

func (c clock) now() time.Time { return c.base.Add(time.Since(c.start)) }

func (r *Router) newRun(ctx context.Context, state *ledger.State, last uint64) (*run, error) {
	in, err := r.configuration(r.options.Triggers)
	if err != nil {
		return nil, err
	}
	known := make([]string, 0, len(state.Triggers))
	for _, t := range state.Triggers {
		known = append(known, t.Name)
	}
	r.persist(ctx, "log", func() error { return r.begin(ctx, in.Triggers, r.options.Triggers, known) })
	if ctx.Err() != nil {
		return nil, ctx.Err() // not known where they begin
	}
	done := make(chan error, 1)
	in.Last, in.Token = last, done
	now := newClock(state.Time)
	state.Resume(now.base.UnixNano())
	u := &run{
		Router: r, claim: claimName(state.Claim), clock: now, from: state.Mark + 1,
		core:    core.Open(state, last, r.options.Core),
		appends: make(chan core.Append, 1), letters: newMailbox[core.WriteLetter](),
		reads: make(chan core.Read, 1), fetches: make(chan core.Fetch, 1), identities: make(chan core.Identify, 1),
		bounds: newBounds(),
		ahead:  make(chan struct{}, window), held: newHold(modestMost, bulkyMost), gathering: map[uint32]*gathering{}, hurry: make(chan struct{}, 1), halt: make(chan struct{}), fatal: make(chan error, 4),
	}
	r.inbox.put(in)
	u.announce(done)
	return u, nil
}

// announce tells when the first configuration is durable.
func (u *run) announce(done chan error) {
	u.wait.Go(func() {
		select {
		case <-done:
			u.health.set("router", nil)
			close(u.started)
		case <-u.halt:
		}
	})
}

// loop steps the core whenever something has happened or is due.
func (u *run) loop(ctx context.Context) error {
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	reading, stopReading := context.WithCancel(work)
	defer u.finish(cancel)
	defer stopReading()
	u.serve(work)
	wakes := alarm{timer: time.NewTimer(0)}
	defer wakes.timer.Stop()
	draining, deadline, given := ctx.Done(), (<-chan time.Time)(nil), (<-chan time.Time)(nil)
	for {
		select {
		case <-u.inbox.signal:
		case <-wakes.timer.C:
			wakes.at = time.Time{}
		case query := <-u.queries:
			query(u)
			continue
		case <-draining:
			draining, deadline = nil, time.After(u.options.Drain)
			u.hasty = true
			stopReading()
			u.inbox.put(core.Drain{})
			continue
		case <-deadline:
			given = time.After(lastRecord)
			u.inbox.put(core.Stop{})
			continue
		case <-given:
			return errUnwritten
		case err := <-u.fatal:
			return err
		}
		stopped, wake, err := u.step(reading, work)
		if stopped || err != nil {
			return err
		}
		wakes.set(wake, u.clock)
	}
}

// An alarm is a timer that is left alone when it rings at the right time already.
type alarm struct {
	timer *time.Timer
	at    time.Time
}

// set has the alarm ring at a time; the zero time means never.
func (a *alarm) set(at time.Time, c clock) {
	switch {
	case at.Equal(a.at):
		return
	case at.IsZero():
		a.timer.Stop()
	default:
		a.timer.Reset(max(0, at.Sub(c.now())))
	}
	a.at = at
}

// finish ends everything that works for the core, and waits for it.
func (u *run) finish(cancel context.CancelFunc) {
	cancel()
	u.bounds.close()
	close(u.halt)
	u.workers.close()
	u.wait.Wait()
}

// step lets the core take what has happened and does what it asks for.
func (u *run) step(reading, work context.Context) (stopped bool, wake time.Time, err error) {
	inputs := u.inbox.take()
	for _, in := range inputs {
		if _, stretch := in.(core.Matched); stretch {
			<-u.ahead
		}
	}
	outputs, wake := u.core.Step(u.clock.now(), inputs)
	for _, out := range outputs {
		switch out := out.(type) {
		case core.Start:
			u.take(work, out)
		case core.Append:
			u.observe(out)
			u.appends <- out
		case core.WriteLetter:
			u.letters.put(out)
		case core.Read:
			u.reads <- out
		case core.Fetch:
			u.fetches <- out
		case core.Identify:
			u.identities <- out
		case core.Indexed:
			u.index(reading, out)
		case core.Acknowledge:
			out.Token.(chan error) <- out.Err
		case core.Stopped:
			stopped = true
		case core.Broken:
			return true, wake, fmt.Errorf("the ledger is inconsistent: %w", out.Err)
		}
	}
	if batch := u.send(work); !batch.IsZero() && (wake.IsZero() || batch.Before(wake)) {
		wake = batch
	}
	u.draw()
	u.pace()
	return stopped, wake, nil
}

// index takes a configuration that is numbered; with the first one the shared
// reader begins.
func (u *run) index(reading context.Context, out core.Indexed) {
	first := u.configured.Load() == nil
	u.indexed(out)
	if first {
		u.wait.Go(func() { u.tail(reading) })
	}
}

// draw tells the janitor up to where it may trim.
func (u *run) draw() {
	low, snapshot := u.core.Low(), u.core.State().Snapshot
	if l := u.line.Load(); snapshot != 0 && (l == nil || l.needed != low || l.ledger != snapshot) {
		u.line.Store(&line{needed: low, ledger: snapshot})
	}
}

// serve begins everything that works for the core.
func (u *run) serve(ctx context.Context) {
	u.wait.Go(func() { u.writeRecords(ctx) })
	u.wait.Go(func() { u.writeLetters(ctx) })
	u.wait.Go(func() { u.sweep(ctx) })
	u.wait.Go(func() { u.fetch(ctx) })
	u.wait.Go(func() { u.identify(ctx) })
}

// fail ends the run.
func (u *run) fail(err error) {
	select {
	case u.fatal <- err:
	default:
	}
}
