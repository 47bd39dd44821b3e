package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
	"sluice/router"
	"sluice/router/core"
	"sluice/router/ledger"
	"sluice/router/pattern"
	"sluice/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sinkFunc is a sink made of a function.
type sinkFunc func(ctx context.Context, d sinks.Delivery) error

func (f sinkFunc) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	err := f(ctx, a.Deliveries[0])
	status := 200
	if err != nil {
		status = 500
	}
	return sinks.Response{Status: status}, err
}

// A counter counts deliveries by event id.
type counter struct {
	mu   sync.Mutex
	seen map[string]int
}

func (c *counter) deliver(_ context.Context, d sinks.Delivery) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[string]int{}
	}
	c.seen[d.Event.ID]++
	return nil
}

func (c *counter) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// A fixture is a bus with files on disk and what stands on it.
type fixture struct {
	t       testing.TB
	bus     *bus.Bus
	letters *dlq.Store
}

func newFixture(tb testing.TB) *fixture {
	tb.Helper()
	return newFixtureWith(tb, bus.Options{})
}

func newFixtureWith(tb testing.TB, o bus.Options) *fixture {
	tb.Helper()
	o.Dir = tb.TempDir()
	b, err := bus.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	letters, err := dlq.Open(tb.Context(), b.JetStream(), dlq.Options{
		Prefix: b.Prefix(), Stream: b.Names().Letters, Log: b, Settled: allSettled,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &fixture{t: tb, bus: b, letters: letters}
}

// A running router.
type running struct {
	*router.Router
	log  router.Log
	stop func() error
}

func (f *fixture) start(triggers ...router.Trigger) *running {
	f.t.Helper()
	return f.startWith(router.Options{Triggers: triggers})
}

func (f *fixture) startWith(o router.Options) *running {
	f.t.Helper()
	o.Log, o.Ledger, o.Letters, o.Incarnation = f.bus, f.bus, f.letters, f.bus.Incarnation()
	r, err := router.New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(f.t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	f.t.Cleanup(func() { _ = stop() })
	select {
	case <-r.Started():
	case err := <-done:
		f.t.Fatalf("the router ended: %v", err)
	}
	return &running{Router: r, log: f.bus, stop: stop}
}

func (f *fixture) publish(source string, from, to int) {
	f.t.Helper()
	out := f.bus.Source(source)
	var events []event.Event
	for n := from; n < to; n++ {
		events = append(events, event.Event{
			ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "test.made", DataContentType: "application/json",
			Data: fmt.Appendf(nil, `{"n":%d}`, n),
		})
	}
	if err := out.Publish(f.t.Context(), events...); err != nil {
		f.t.Fatal(err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

// conserved waits until nothing waits, and checks the audit (invariant I2).
func (r *running) conserved(t *testing.T) router.Audit {
	t.Helper()
	var audit router.Audit
	_, last, err := r.log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing waits", func() bool {
		all, err := r.Triggers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range all {
			if s.Waiting+s.Running+s.Buffered > 0 || s.Cursor < last && s.State == router.StateRunning {
				return false
			}
		}
		return true
	})
	audit, err = r.Audit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !audit.Conserved {
		t.Fatalf("not conserved: %+v", audit)
	}
	return audit
}

func trigger(name string, sink sinkFunc) router.Trigger {
	return router.Trigger{
		Name: name, Sources: []string{"s"}, Sink: sink,
		Retry: core.RetryPolicy{Attempts: 3, Initial: time.Millisecond, Max: 5 * time.Millisecond},
	}
}

func TestDeliversWhatMatches(t *testing.T) {
	f := newFixture(t)
	var all, some counter
	p, err := pattern.Compile([]byte(`{"data":{"n":[{"numeric":["<",100]}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	few := trigger("few", some.deliver)
	few.Pattern = p
	r := f.start(trigger("every", all.deliver), few)
	f.publish("s", 0, 900)
	f.publish("other", 900, 1000)
	eventually(t, "delivered", func() bool { return all.len() == 900 && some.len() == 100 })
	r.conserved(t)
}

func TestLettersAfterTheLastAttempt(t *testing.T) {
	f := newFixture(t)
	var observed sync.Map
	r := f.startWith(router.Options{
		Triggers: []router.Trigger{trigger("fails", func(_ context.Context, d sinks.Delivery) error {
			if d.Event.ID == "e1" {
				panic("broken worker")
			}
			if d.Event.ID == "e2" {
				return sinks.Permanent(errors.New("no such thing"))
			}
			return errors.New("out of order")
		})},
		Observe: func(o router.Observation) { observed.Store(o.EventID+o.Outcome, o) },
	})
	f.publish("s", 0, 3)
	eventually(t, "dead", func() bool {
		s, err := r.Triggers(t.Context())
		return err == nil && s[0].Dead == 3
	})
	r.conserved(t)
	want := map[uint64]struct {
		attempts      int
		reason, error string
	}{
		1: {3, dlq.ReasonExhausted, "out of order"},
		2: {3, dlq.ReasonExhausted, "the attempt panicked: broken worker"},
		3: {1, dlq.ReasonPermanent, "no such thing"},
	}
	for sequence, w := range want {
		id := event.DeliveryID{Incarnation: f.bus.Incarnation(), Sequence: sequence, Trigger: "fails"}
		l, err := f.letters.Get(t.Context(), id.String())
		if err != nil {
			t.Fatal(err)
		}
		if len(l.Attempts) != w.attempts || l.Reason != w.reason || l.Error != w.error || l.Event.ID == "" {
			t.Errorf("letter of %d: %+v, want %+v", sequence, l, w)
		}
		lives, err := r.Life(t.Context(), sequence)
		if err != nil {
			t.Fatal(err)
		}
		if len(lives) != 1 || lives[0].State != "dead" || len(lives[0].Attempts) != w.attempts || lives[0].Reason != w.reason {
			t.Errorf("life of %d: %+v", sequence, lives)
		}
	}
	if o, found := observed.Load("e2dying"); !found || o.(router.Observation).Type != "test.made" {
		t.Errorf("observed %+v", o)
	}
}

// TestLettersHaveTheReasonsOfTheLedger: the ledger and the letters must know
// nothing of each other, and use the same words.
func TestLettersHaveTheReasonsOfTheLedger(t *testing.T) {
	for _, reason := range []string{ledger.ReasonExhausted, ledger.ReasonPermanent, ledger.ReasonExpired, ledger.ReasonPoison} {
		if !slices.Contains(dlq.Reasons(), reason) {
			t.Errorf("letters know no reason %q, only %q", reason, dlq.Reasons())
		}
	}
}

// TestSlowTriggersHarmNobody shows I4: one hangs, one is paused, and the third
// gets everything.
func TestSlowTriggersHarmNobody(t *testing.T) {
	f := newFixture(t)
	var healthy, paused counter
	release := make(chan struct{})
	hangs := trigger("hangs", func(ctx context.Context, _ sinks.Delivery) error {
		select {
		case <-release:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
	r := f.start(hangs, trigger("healthy", healthy.deliver), trigger("paused", paused.deliver))
	if err := r.Pause(t.Context(), "paused"); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < 20_000; n += 1000 {
		f.publish("s", n, n+1000)
	}
	eventually(t, "the healthy one has all", func() bool { return healthy.len() == 20_000 })
	if n := paused.len(); n != 0 {
		t.Errorf("%d delivered while paused", n)
	}
	if err := r.Resume(t.Context(), "paused"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the paused one has caught up", func() bool { return paused.len() == 20_000 })
	close(release)
	r.conserved(t)
	if err := r.Pause(t.Context(), "unpaused"); !errors.Is(err, core.ErrUnknownTrigger) {
		t.Errorf("pause of an unknown trigger: %v", err)
	}
}

func TestGoesOnAfterARestart(t *testing.T) {
	f := newFixture(t)
	var got counter
	block := make(chan struct{})
	blocked := trigger("t", func(ctx context.Context, _ sinks.Delivery) error {
		select {
		case <-block:
		case <-ctx.Done():
		}
		return errors.New("down")
	})
	blocked.Retry = core.RetryPolicy{Attempts: 10, Initial: time.Millisecond, Max: time.Millisecond}
	r := f.startWith(router.Options{Triggers: []router.Trigger{blocked}, Drain: time.Millisecond})
	f.publish("s", 0, 500)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 500, 600)
	r = f.start(trigger("t", got.deliver))
	eventually(t, "all delivered", func() bool { return got.len() == 600 })
	if a := r.conserved(t); a.Triggers[0].Delivered != 600 {
		t.Errorf("%+v", a)
	}
}

func TestSecondRouterFencesTheFirst(t *testing.T) {
	f := newFixture(t)
	var first, second counter
	one := f.start(trigger("t", first.deliver))
	two := f.start(trigger("t", second.deliver))
	f.publish("s", 0, 10)
	eventually(t, "the second has all", func() bool { return second.len() == 10 })
	if err := one.stop(); !errors.Is(err, event.ErrFenced) {
		t.Errorf("the first ends with %v", err)
	}
	two.conserved(t)
}

func TestConfigure(t *testing.T) {
	f := newFixture(t)
	var a, b, c counter
	r := f.start(trigger("a", a.deliver))
	f.publish("s", 0, 10)
	eventually(t, "a has ten", func() bool { return a.len() == 10 })
	if err := r.Configure(t.Context(), []router.Trigger{trigger("a", a.deliver), trigger("b", b.deliver)}); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 10, 20)
	eventually(t, "b has the new ten", func() bool { return a.len() == 20 && b.len() == 10 })
	renamed := trigger("c", c.deliver)
	renamed.Was = []string{"a"}
	if err := r.Configure(t.Context(), []router.Trigger{renamed}); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 20, 30)
	eventually(t, "c has the newest ten", func() bool { return c.len() == 10 })
	all, err := r.Triggers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 2 || all[0].Name != "c" || all[0].Start != 1 || all[1].State != router.StateRemoved {
		t.Errorf("%+v", all)
	}
	if b.len() != 10 {
		t.Errorf("b got %d after it was removed", b.len())
	}
	// b comes back: what it missed waits in the log.
	if err := r.Configure(t.Context(), []router.Trigger{renamed, trigger("b", b.deliver)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "b has what it missed", func() bool { return b.len() == 20 })
	r.conserved(t)
}

func allSettled(ids ...string) []bool {
	settled := make([]bool, len(ids))
	for i := range settled {
		settled[i] = true
	}
	return settled
}
