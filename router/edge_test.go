package router_test

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/dlq"
	"sluice/event"
	"sluice/router"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/sinks"
)

// TestStopsWithoutALedger: Run returns within the deadline although the
// ledger is away.
func TestStopsWithoutALedger(t *testing.T) {
	f := newFixture(t)
	var away atomic.Bool
	l := &ledgerWith{Ledger: f.bus, after: func() error { return nil }, before: func(context.Context) error {
		if away.Load() {
			return event.ErrUnavailable
		}
		return nil
	}}
	var c counter
	r := f.startOn(router.Options{Triggers: []router.Trigger{trigger("a", c.deliver)}, Drain: 100 * time.Millisecond, Ledger: l, Letters: f.letters})
	f.publish("s", 0, 10)
	eventually(t, "delivered", func() bool { return c.len() == 10 })
	away.Store(true)
	f.publish("s", 10, 20)
	ended := make(chan error, 1)
	go func() { ended <- r.stop() }()
	select {
	case <-ended:
	case <-time.After(3 * time.Second):
		t.Error("Run has not returned 3 s after a deadline of 100 ms")
		away.Store(false)
		<-ended
	}
}

// lettersWith refuses the letters of one trigger.
type lettersWith struct {
	router.Letters
	refuse string
}

func (l lettersWith) Put(ctx context.Context, letter *dlq.Letter) error {
	if letter.ID.Trigger == l.refuse {
		return event.ErrTooLarge
	}
	return l.Letters.Put(ctx, letter)
}

// TestALetterThatCannotBeStored does not hold up those of other triggers
// (invariant I4).
func TestALetterThatCannotBeStored(t *testing.T) {
	f := newFixture(t)
	fails := func(context.Context, sinks.Delivery) error { return sinks.Permanent(errors.New("no")) }
	a, b := trigger("a", fails), trigger("b", fails)
	r := f.startOn(router.Options{Triggers: []router.Trigger{a, b}, Ledger: f.bus, Letters: lettersWith{f.letters, "a"}})
	f.publish("s", 0, 1)
	f.publish("s", 1, 200)
	deadline := time.Now().Add(5 * time.Second)
	dead := uint64(0)
	for dead < 200 {
		all, err := r.Triggers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range all {
			if all[i].Name == "b" {
				dead = all[i].Dead
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of 200 letters of the other trigger are stored after 5 s", dead)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestEntriesForAFormerName: what was directed to a trigger before it was
// renamed reaches it.
func TestEntriesForAFormerName(t *testing.T) {
	f := newFixture(t)
	var c counter
	old := trigger("old", c.deliver)
	r := f.start(old)
	if err := r.Pause(t.Context(), "old"); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		if _, err := f.bus.PublishDirected(t.Context(), event.Directed{Trigger: "old", Event: event.Event{ID: strconv.Itoa(n), Source: "/t", Type: "t"}}); err != nil {
			t.Fatal(err)
		}
	}
	renamed := trigger("new", c.deliver)
	renamed.Was = []string{"old"}
	if err := r.Configure(t.Context(), []router.Trigger{renamed}); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(t.Context(), "new"); err != nil {
		t.Fatal(err)
	}
	r.conserved(t)
	if c.len() != 3 {
		all, _ := r.Triggers(t.Context())
		t.Errorf("%d of 3 entries have reached the renamed trigger: %+v", c.len(), all)
	}
}

// TestOrderlyStopsMakeNoPoison: an attempt that does not end within the
// deadline of three orderly stops is still attempted (invariant I7).
func TestOrderlyStopsMakeNoPoison(t *testing.T) {
	f := newFixture(t)
	for n := range 5 {
		started := make(chan struct{}, 1)
		r := f.startOn(router.Options{Ledger: f.bus, Letters: f.letters, Drain: 50 * time.Millisecond, Triggers: []router.Trigger{
			trigger("slow", func(ctx context.Context, _ sinks.Delivery) error {
				started <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}),
		}})
		if n == 0 {
			f.publish("s", 0, 1)
		}
		select {
		case <-started:
		case <-time.After(5 * time.Second):
			letter, err := f.letters.Get(t.Context(), event.DeliveryID{Incarnation: f.bus.Incarnation(), Sequence: 1, Trigger: "slow"}.String())
			if err != nil {
				t.Fatalf("run %d: not attempted: %v", n, err)
			}
			t.Fatalf("run %d: after orderly stops only it is a letter: %s: %s", n, letter.Reason, letter.Error)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConfigureBeforeRun: a configuration that comes early starts neither
// at the beginning of the log nor a second reader.
func TestConfigureBeforeRun(t *testing.T) {
	f := newFixture(t)
	f.publish("s", 0, 50)
	var c counter
	tails := atomic.Int32{}
	r, err := router.New(router.Options{
		Log: &countedTails{Log: f.bus, n: &tails}, Ledger: f.bus, Letters: f.letters, Incarnation: f.bus.Incarnation(),
		Triggers: []router.Trigger{trigger("a", c.deliver)},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	configured := make(chan error, 1)
	go func() { configured <- r.Configure(ctx, []router.Trigger{trigger("a", c.deliver)}) }()
	<-time.After(50 * time.Millisecond) // Configure is waiting by now
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	<-r.Started()
	if err := <-configured; err != nil {
		t.Error(err)
	}
	f.publish("s", 50, 60)
	eventually(t, "delivered", func() bool { return c.len() >= 10 })
	<-time.After(200 * time.Millisecond)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if c.len() != 10 || tails.Load() != 1 {
		t.Errorf("%d events were delivered, want those 10 that came after the start; %d readers", c.len(), tails.Load())
	}
}

type countedTails struct {
	router.Log
	n *atomic.Int32
}

func (l *countedTails) Tail(ctx context.Context, from uint64, take func(event.Batch) error) error {
	l.n.Add(1)
	return l.Log.Tail(ctx, from, take)
}

// TestAuditOfATrimmedLedger: when the ledger's history was trimmed for
// space, an audit does not name as missing what it cannot know.
func TestAuditOfATrimmedLedger(t *testing.T) {
	f := newFixture(t)
	var c counter
	r := f.startWith(router.Options{Triggers: []router.Trigger{trigger("a", c.deliver)}, Core: core.Options{SnapshotEvery: 1}})
	for n := 0; n < 100; n += 10 { // in several records, however fast it goes
		f.publish("s", n, n+10)
		eventually(t, "delivered", func() bool { return c.len() == n+10 })
		r.conserved(t)
	}
	var snapshot uint64
	eventually(t, "a snapshot", func() bool {
		_, at, ok := r.Line()
		snapshot = at
		return ok && at > 5
	})
	stream, err := f.bus.JetStream().Stream(t.Context(), f.bus.Names().Ledger)
	if err != nil {
		t.Fatal(err)
	}
	// What the janitor does when the ledger is seven eighths full.
	if err := purgeTo(t.Context(), stream, snapshot); err != nil {
		t.Fatal(err)
	}
	audit, err := r.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !audit.Conserved {
		t.Errorf("false alarm: %d missing, the first: %+v", len(audit.Missing), audit.Missing[0])
	}
}

// TestRangeBehindADeletedEnd: a trigger catches up although the last
// message of the log was deleted.
func TestRangeBehindADeletedEnd(t *testing.T) {
	f := newFixture(t)
	var c counter
	r := f.start(trigger("a", c.deliver))
	if err := r.Pause(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 0, 5000) // more than the ring holds
	if err := f.bus.Direct(t.Context(), "job", []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "read", func() bool {
		s, err := r.Triggers(t.Context())
		return err == nil && s[0].Lag >= 5000
	})
	if err := f.bus.Forget(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second)
	for c.len() < 5000 {
		if time.Now().After(deadline) {
			t.Fatalf("stalled at %d of 5000 events", c.len())
		}
		<-time.After(10 * time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if batch, err := f.bus.Range(ctx, 4990, 100, 1<<20); err != nil {
		t.Errorf("Range at the end: %v, after %d entries", err, len(batch.Entries))
	}
}

// TestCatchUpToADeletedEnd: a trigger catches up after a restart although
// the last message of the log was deleted.
func TestCatchUpToADeletedEnd(t *testing.T) {
	f := newFixture(t)
	var c counter
	r := f.start(trigger("a", c.deliver))
	if err := r.Pause(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 0, 20)
	if err := f.bus.Direct(t.Context(), "job", []byte("x")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "read", func() bool {
		s, err := r.Triggers(t.Context())
		return err == nil && s[0].Lag >= 21
	})
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if err := f.bus.Forget(t.Context(), "job"); err != nil {
		t.Fatal(err)
	}
	r = f.start(trigger("a", c.deliver))
	if err := r.Resume(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(5 * time.Second); c.len() < 20; <-time.After(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("stalled at %d of 20 events", c.len())
		}
	}
}

func purgeTo(ctx context.Context, s jetstream.Stream, keep uint64) error {
	return s.Purge(ctx, jetstream.WithPurgeSequence(keep))
}

// TestGoneUntilResumed: a trigger whose sink is gone is paused over a restart,
// says why, and loses nothing.
func TestGoneUntilResumed(t *testing.T) {
	f := newFixture(t)
	var got counter
	var gone atomic.Bool
	gone.Store(true)
	deliver := func(ctx context.Context, d sinks.Delivery) error {
		if gone.Load() {
			return &sinks.GoneError{Err: errors.New("answered 410 Gone")}
		}
		return got.deliver(ctx, d)
	}
	r := f.start(trigger("t", deliver))
	f.publish("s", 0, 100)
	paused := func() *router.Status {
		all, err := r.Triggers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return &all[0]
	}
	eventually(t, "paused", func() bool { s := paused(); return s.State == router.StatePaused && s.Running == 0 })
	before := paused().Pause
	if before.Reason != ledger.PausedGone || before.Error != "answered 410 Gone" || time.Since(time.Unix(0, before.Since)) > time.Minute {
		t.Errorf("the pause is %+v", before)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	gone.Store(false)
	r = f.start(trigger("t", deliver))
	f.publish("s", 100, 120)
	if s := paused(); s.State != router.StatePaused || s.Pause != before || got.len() != 0 {
		t.Errorf("after a restart: %+v, %d delivered", s, got.len())
	}
	if err := r.Resume(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all delivered", func() bool { return got.len() == 120 })
	if a := r.conserved(t); a.Triggers[0].Delivered != 120 || a.Triggers[0].Dead != 0 {
		t.Errorf("%+v", a)
	}
}
