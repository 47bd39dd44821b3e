package router_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/event"
	"sluice/router"
	"sluice/sinks"
)

// A ledgerWith is a ledger whose appends may go wrong.
type ledgerWith struct {
	router.Ledger
	before func(ctx context.Context) error // instead of the append
	after  func() error                    // its answer is lost
}

func (l *ledgerWith) AppendRecord(ctx context.Context, claim string, expect uint64, data []byte) (uint64, error) {
	if err := l.before(ctx); err != nil {
		return 0, err
	}
	sequence, err := l.Ledger.AppendRecord(ctx, claim, expect, data)
	if err == nil {
		err = l.after()
	}
	return sequence, err
}

func (l *ledgerWith) AppendSnapshot(ctx context.Context, claim string, expect uint64, chunks [][]byte) (first, last uint64, err error) {
	if err := l.before(ctx); err != nil {
		return 0, 0, err
	}
	first, last, err = l.Ledger.AppendSnapshot(ctx, claim, expect, chunks)
	if err == nil {
		err = l.after()
	}
	return first, last, err
}

func (f *fixture) startOn(o router.Options) *running {
	f.t.Helper()
	if o.Log == nil {
		o.Log = f.bus
	}
	o.Incarnation = f.bus.Incarnation()
	r, err := router.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	var ended error
	done := make(chan struct{})
	go func() { defer close(done); ended = r.Run(ctx) }()
	stop := func() error { cancel(); <-done; return ended }
	f.t.Cleanup(func() { _ = stop() })
	select {
	case <-r.Started():
	case <-done:
		f.t.Fatalf("the router ended: %v", ended)
	}
	return &running{Router: r, log: f.bus, stop: stop}
}

// TestAppendsOfUnknownFate: appends whose answer is lost, or that were never
// stored, neither lose nor double anything, over restarts too.
func TestAppendsOfUnknownFate(t *testing.T) {
	f := newFixture(t)
	var c counter
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	draw := func(n int) bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n) == 0
	}
	var faulty atomic.Bool // not while a claim is being taken over
	l := &ledgerWith{
		Ledger: f.bus,
		before: func(context.Context) error {
			if faulty.Load() && draw(3) {
				return event.ErrUnavailable
			}
			return nil
		},
		after: func() error {
			if faulty.Load() && draw(3) {
				return errors.New("no answer")
			}
			return nil
		},
	}
	for n := range 5 {
		r := f.startOn(router.Options{Triggers: []router.Trigger{trigger("a", func(ctx context.Context, d sinks.Delivery) error {
			if draw(5) {
				return errors.New("again")
			}
			return c.deliver(ctx, d)
		})}, Ledger: l, Letters: f.letters})
		faulty.Store(true)
		f.publish("s", n*200, (n+1)*200)
		if n == 4 {
			eventually(t, "delivered", func() bool {
				s, err := r.Triggers(t.Context())
				return err == nil && s[0].Delivered+s[0].Dead == 1000
			})
			r.conserved(t)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		faulty.Store(false)
	}
	for id, n := range c.seen {
		if n != 1 {
			t.Errorf("%s was delivered %d times although every stop was orderly", id, n)
		}
	}
}
