package router_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
	"sluice/router"
)

// since returns a trigger that begins at a time if it is new.
func since(at time.Time, t router.Trigger) router.Trigger {
	t.Since = at
	return t
}

var theBeginning = time.Unix(0, 0)

// halves publishes two halves of the log, and returns a time between them.
func (f *fixture) halves(n int) time.Time {
	f.t.Helper()
	f.publish("s", 0, n)
	batch, err := f.bus.Range(f.t.Context(), uint64(n), 1, 1<<20)
	if err != nil || len(batch.Entries) != 1 {
		f.t.Fatal(batch, err)
	}
	between := batch.Entries[0].Time.Add(time.Nanosecond)
	f.publish("s", n, 2*n)
	return between
}

// TestStartsInThePast: a trigger that is new begins where it is told to, at the
// start and with a reload; one that is known goes on where it is.
func TestStartsInThePast(t *testing.T) {
	const n = 1500
	f := newFixture(t)
	between := f.halves(n)
	var all, late, now counter
	r := f.start(since(theBeginning, trigger("all", all.deliver)), trigger("now", now.deliver))
	eventually(t, "history", func() bool { return all.len() == 2*n })
	err := r.Configure(t.Context(), []router.Trigger{
		since(theBeginning, trigger("all", all.deliver)), since(between, trigger("late", late.deliver)),
		since(theBeginning, trigger("now", now.deliver)),
	})
	if err != nil {
		t.Fatal(err)
	}
	f.publish("s", 2*n, 2*n+10)
	eventually(t, "the second half, and what is new", func() bool { return late.len() == n+10 && all.len() == 2*n+10 && now.len() == 10 })
	r.conserved(t)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r = f.start(since(theBeginning, trigger("all", all.deliver)), since(theBeginning, trigger("late", late.deliver)))
	f.publish("s", 2*n+10, 2*n+20)
	eventually(t, "what came after the restart", func() bool { return late.len() == n+20 && all.len() == 2*n+20 })
	r.conserved(t)
	for _, c := range []*counter{&all, &late, &now} {
		for id, times := range c.seen {
			if times != 1 {
				t.Errorf("%s was delivered %d times", id, times)
			}
		}
	}
}

// TestStartsInTheFutureOfTheLog: a time after the last event is the same as now.
func TestStartsInTheFutureOfTheLog(t *testing.T) {
	f := newFixture(t)
	f.publish("s", 0, 10)
	var c counter
	r := f.start(since(time.Now().Add(time.Hour), trigger("a", c.deliver)))
	f.publish("s", 10, 20)
	eventually(t, "delivered", func() bool { return c.len() == 10 })
	r.conserved(t)
}

// TestKilledBeforeTheStartIsWrittenDown: the next run finds the same start.
func TestKilledBeforeTheStartIsWrittenDown(t *testing.T) {
	f := newFixture(t)
	f.publish("s", 0, 100)
	var c counter
	var appends atomic.Int32
	reached := make(chan struct{})
	l := &ledgerWith{
		Ledger: f.bus,
		before: func(ctx context.Context) error {
			if appends.Add(1) == 1 {
				return nil // the first snapshot, which knows no trigger
			}
			if appends.Load() == 2 {
				close(reached)
			}
			<-ctx.Done()
			return event.ErrUnavailable
		},
		after: func() error { return nil },
	}
	killed, err := router.New(router.Options{
		Log: f.bus, Ledger: l, Letters: f.letters, Incarnation: f.bus.Incarnation(), Drain: time.Millisecond,
		Triggers: []router.Trigger{since(theBeginning, trigger("a", c.deliver))},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- killed.Run(ctx) }()
	<-reached
	cancel()
	if err := <-done; err == nil {
		t.Error("the last record was written")
	}
	if c.len() != 0 {
		t.Errorf("%d events were delivered although nothing says where the trigger begins", c.len())
	}
	f.publish("s", 100, 110)
	r := f.start(since(theBeginning, trigger("a", c.deliver)))
	eventually(t, "all of history", func() bool { return c.len() == 110 })
	r.conserved(t)
}
