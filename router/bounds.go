package router

import (
	"context"
	"sync"
	"time"
)

// bounds end the contexts of attempts: each at its time, and all with the run.
// There is one timer for all that are under way, which runs only while there are
// some, and what context.WithTimeout makes for each, a timer and a channel, is
// made when somebody asks for it: a sink that needs neither costs neither.
type bounds struct {
	mu    sync.Mutex
	live  bounded // the ring of those under way; it is none itself
	timer *time.Timer
	rings time.Time // when the timer does; the zero time: it is not set
	ended bool
}

func newBounds() *bounds {
	b := &bounds{}
	b.live.before, b.live.behind = &b.live, &b.live
	b.timer = time.AfterFunc(time.Hour, b.ring)
	b.timer.Stop()
	return b
}

// within returns a context that ends after a time, and has ended when the run's
// has; and the same again, as what is to be released.
func (b *bounds) within(ctx context.Context, d time.Duration) (context.Context, *bounded) {
	c := &bounded{bounds: b, at: time.Now().Add(d), err: ctx.Err()}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.before, c.behind = b.live.before, &b.live
	c.before.behind, c.behind.before = c, c
	if !b.ended && (b.rings.IsZero() || c.at.Before(b.rings)) {
		b.set(c.at)
	}
	return c, c
}

// set lets the timer ring at a time. The lock is held.
func (b *bounds) set(at time.Time) {
	b.rings = at
	b.timer.Reset(time.Until(at))
}

// ring ends those whose time is over.
func (b *bounds) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rings = time.Time{}
	if b.ended {
		return
	}
	now := time.Now()
	for c := b.live.behind; c != &b.live; c = c.behind {
		switch {
		case !c.at.After(now):
			c.end(context.DeadlineExceeded)
		case b.rings.IsZero() || c.at.Before(b.rings):
			b.rings = c.at
		}
	}
	if !b.rings.IsZero() {
		b.set(b.rings)
	}
}

// close ends all of them, once the run's context has ended.
func (b *bounds) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.timer.Stop()
	for c := b.live.behind; c != &b.live; c = c.behind {
		c.end(context.Canceled)
	}
}

// A bounded is the context of one attempt. It has no values.
type bounded struct {
	bounds         *bounds
	at             time.Time
	before, behind *bounded // under the lock of bounds

	mu    sync.Mutex
	err   error
	done  chan struct{} // nil until somebody asks for it
	calls *afterEnd
}

var _ context.Context = (*bounded)(nil)

// An afterEnd is called when a context has ended.
type afterEnd struct {
	call func()
	next *afterEnd
}

// release ends the context of an attempt that has ended.
func (c *bounded) release() {
	c.bounds.mu.Lock()
	c.before.behind, c.behind.before = c.behind, c.before
	c.bounds.mu.Unlock()
	c.end(context.Canceled)
}

func (c *bounded) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = err
	if c.done != nil {
		close(c.done)
	}
	for after := c.calls; after != nil; after = after.next {
		go after.call() // package context does it so: a call may wait for who ends this
	}
	c.calls = nil
}

// Deadline returns when the attempt's time is over.
func (c *bounded) Deadline() (time.Time, bool) { return c.at, true }

// Done returns a channel that is closed when the context has ended.
func (c *bounded) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.err != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err returns why the context has ended, or nil.
func (c *bounded) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Value returns nil.
func (c *bounded) Value(any) any { return nil }

// AfterFunc has a function called once the context has ended. Package context
// uses it, and sinks may: they need no channel then.
func (c *bounded) AfterFunc(call func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		go call()
		return func() bool { return false }
	}
	after := &afterEnd{call: call, next: c.calls}
	c.calls = after
	return func() bool { return c.forget(after) }
}

// forget tells whether a function is not called any more.
func (c *bounded) forget(after *afterEnd) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for at := &c.calls; *at != nil; at = &(*at).next {
		if *at == after {
			*at = after.next
			return true
		}
	}
	return false
}
