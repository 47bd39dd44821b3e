package sourcetest

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sources"
)

// StopWithin is how long Run may take to return after its context has ended.
const StopWithin = 10 * time.Second

// A Fixture is how Exercise gets at one kind of source.
type Fixture struct {
	// Start returns a new, empty upstream. What it opens ends with tb.
	Start func(tb testing.TB) Upstream
}

// An Upstream is what a source reads from, or who sends to it. Its things have
// an identity: each makes one event, whose id follows from it.
type Upstream struct {
	// Source returns a new source over the same upstream, as after a restart of
	// the program. Run has not been called yet.
	Source func(tb testing.TB) sources.Source
	// Send makes n new things happen. An upstream that waits for an answer
	// tries again until it has it, or ctx ends.
	Send func(ctx context.Context, n int) error
	// Again shows the source the things of the last Send once more; nil where
	// the upstream never does. It is called while the source runs.
	Again func(ctx context.Context) error
	// Acked returns how many things the upstream has been told are safe, each
	// counted once; nil where it is not told, which makes the suite weaker.
	Acked func() int
	// Keeps says that the upstream keeps things while the source is away, so
	// that Send may be called between two runs.
	Keeps bool
}

// Exercise runs the suite that every source passes.
func Exercise(t *testing.T, fixture Fixture) {
	t.Helper()
	cases := []struct {
		name string
		run  func(t *testing.T, u Upstream)
	}{
		{"delivers all", deliversAll},
		{"I1: no upstream ack while publish fails, then the same ids", failingPublish},
		{"I1: answers of the bus are lost", lostAnswers},
		{"restart goes on where it was", restart},
		{"I5: the same thing twice has the same id", again},
		{"stops while idle", stopsIdle},
		{"stops while publish hangs", stopsBlocked},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			ignore := goleak.IgnoreCurrent()
			t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
			c.run(t, fixture.Start(t))
		})
	}
}

// Env returns what a source in a test is built with; name is the source's.
func Env(name string, ingest sources.Mux) sources.Env {
	return sources.Env{
		Name:   name,
		Logger: slog.New(slog.DiscardHandler),
		Ingest: ingest,
		Report: func(error) {},
		Now:    time.Now,
	}
}

// Run runs source until stop is called, which the test's end does too. The
// test fails when Run returns by itself, with an error, or too late.
func Run(tb testing.TB, source sources.Source, out sources.Out) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, out) }()
	stopped := false
	stop = func() {
		tb.Helper()
		if stopped {
			return
		}
		stopped = true
		early := len(ended) > 0
		cancel()
		select {
		case err := <-ended:
			if err != nil || early {
				tb.Errorf("Run returned %v; by itself: %v", err, early)
			}
		case <-time.After(within(tb, StopWithin)):
			tb.Errorf("Run has not returned in time")
		}
	}
	tb.Cleanup(stop)
	return stop
}

// sending calls send in the background; wait fails the test when it fails.
func sending(tb testing.TB, u Upstream, n int) (wait func()) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), within(tb, Patience))
	ended := make(chan error, 1)
	go func() { ended <- u.Send(ctx, n) }()
	return func() {
		tb.Helper()
		defer cancel()
		if err := <-ended; err != nil {
			tb.Fatalf("send: %v", err)
		}
	}
}

// awaitAcked waits until the upstream knows that n things are safe.
func awaitAcked(tb testing.TB, u Upstream, n int) {
	tb.Helper()
	if u.Acked == nil {
		return
	}
	Eventually(tb, fmt.Sprintf("%d things acknowledged upstream", n), func() bool { return u.Acked() == n })
}

// Eventually waits until done says so.
func Eventually(tb testing.TB, what string, done func() bool) {
	tb.Helper()
	deadline := time.Now().Add(within(tb, Patience))
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		if time.Now().After(deadline) {
			tb.Fatalf("not yet: %s", what)
		}
		<-tick.C
	}
}

func deliversAll(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	stop := Run(t, u.Source(t), out)
	sending(t, u, 10)()
	wantEvents(t, out, 10)
	awaitAcked(t, u, 10)
	stop()
}

// wantEvents waits for n events, and no more, that are each their own.
func wantEvents(tb testing.TB, out *Out, n int) {
	tb.Helper()
	events := out.Wait(tb, n)
	if len(events) != n {
		tb.Errorf("%d events stored, want %d", len(events), n)
	}
	ids := map[string]bool{}
	for i := range events {
		ids[events[i].Source+"\n"+events[i].ID] = true
		if err := event.CheckSize(&events[i], event.DefaultMaxSize); err != nil {
			tb.Errorf("event %d: %v", i, err)
		}
	}
	if len(ids) != len(events) {
		tb.Errorf("%d identities of %d events", len(ids), len(events))
	}
}

func failingPublish(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	out.FailWith(event.ErrUnavailable)
	stop := Run(t, u.Source(t), out)
	sent := sending(t, u, 5)
	out.WaitFailed(t, 2)
	if u.Acked != nil && u.Acked() != 0 {
		t.Errorf("%d things acknowledged upstream while publish fails", u.Acked())
	}
	out.FailWith(nil)
	sent()
	wantEvents(t, out, 5)
	awaitAcked(t, u, 5)
	stored := map[string]bool{}
	for _, e := range out.Events() {
		stored[e.ID] = true
	}
	for _, e := range out.Refused() {
		if !stored[e.ID] {
			t.Errorf("id %q was refused and never came back", e.ID)
		}
	}
	stop()
}

func lostAnswers(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	out.LoseAnswers(2, event.ErrUnavailable)
	stop := Run(t, u.Source(t), out)
	sending(t, u, 5)()
	wantEvents(t, out, 5)
	awaitAcked(t, u, 5)
	stop()
	wantEvents(t, out, 5)
}

func restart(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	stop := Run(t, u.Source(t), out)
	sending(t, u, 5)()
	out.Wait(t, 5)
	stop()
	if u.Keeps {
		sending(t, u, 5)()
	}
	out = out.Restart()
	stop = Run(t, u.Source(t), out)
	if !u.Keeps {
		sending(t, u, 5)()
	}
	wantEvents(t, out, 10)
	awaitAcked(t, u, 10)
	stop()
}

func again(t *testing.T, u Upstream) {
	t.Helper()
	if u.Again == nil {
		t.Skip("the upstream shows nothing twice")
	}
	out := NewOut()
	stop := Run(t, u.Source(t), out)
	sending(t, u, 5)()
	out.Wait(t, 5)
	ctx, cancel := context.WithTimeout(context.Background(), within(t, Patience))
	defer cancel()
	if err := u.Again(ctx); err != nil {
		t.Fatalf("again: %v", err)
	}
	// When the next thing is through, what came before it is too.
	sending(t, u, 1)()
	out.Wait(t, 6)
	awaitAcked(t, u, 6)
	stop()
	wantEvents(t, out, 6)
}

func stopsIdle(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	stop := Run(t, u.Source(t), out)
	sending(t, u, 1)()
	out.Wait(t, 1)
	stop()
}

func stopsBlocked(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	unblock := out.Block()
	stop := Run(t, u.Source(t), out)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = u.Send(ctx, 1) // an upstream that waits for the answer gets none
	}()
	out.WaitBlocked(t, 1)
	stop()
	cancel()
	<-ended
	unblock()
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events stored, want none", n)
	}
}
