package sourcetest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/integration/conformance"
	"sluice/sources"
)

// StopWithin is how long Run may take to return after its context has ended.
const StopWithin = 10 * time.Second

// A Fixture is how Exercise gets at one kind of source.
type Fixture struct {
	// Name is the source's row in the table of docs/conformance.md; empty for none.
	// With a name, each case is run, or Without says why not.
	Name string
	// Start returns a new, empty upstream. What it opens ends with tb.
	Start func(tb testing.TB) Upstream
	// Kill kills the real program while things happen upstream, and checks that all
	// of them arrive.
	Kill func(t *testing.T, u Upstream)
	// Without says why a case is not for this source, by the case's name.
	Without map[string]string
}

// An Upstream is what a source reads from, or who sends to it. Its things have
// an identity: each makes one event, whose id follows from it.
type Upstream struct {
	// Source returns a new source over the same upstream, as after a restart of
	// the program. Run has not been called yet.
	Source func(tb testing.TB) sources.Source
	// Section is what Source is built from as it stands in the file, in YAML's flow
	// style: `amqp: {queue: work}`.
	Section string
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
	// Exact says that it can be read again from where the source was: nothing is
	// published twice, whatever has happened.
	Exact bool
	// Number returns the number, from 0 over all Sends, of the thing that an event
	// was made from; nil where things have no order. Send makes them of several
	// partition keys.
	Number func(e *event.Event) int
	// Restart stops the upstream in an orderly way and starts it again, where it
	// was, with all that it has kept; nil where it is no server.
	Restart func(tb testing.TB)
	// Wrong are sources that cannot work.
	Wrong []Wrong
	// Fill makes n things happen as fast as it goes, each with size bytes of data.
	// It is for benchmarks; Send and Fill are not mixed.
	Fill func(ctx context.Context, n, size int) error
}

// A Wrong is a source that cannot work, such as one with a wrong password.
type Wrong struct {
	Name   string
	Source func(tb testing.TB, env sources.Env) sources.Source
	// Want is part of what Run returns, or reports as the source's health.
	Want string
}

// Exercise runs the suite that every source passes.
func Exercise(t *testing.T, fixture Fixture) {
	t.Helper()
	suite := conformance.Suite[Upstream]{
		Kind: conformance.Source, Adapter: fixture.Name, Without: fixture.Without,
		Start: func(t *testing.T) Upstream { t.Helper(); return fixture.Start(t) },
		Cases: []conformance.Case[Upstream]{
			{Name: "delivers all", Run: deliversAll},
			{Name: "I1: no early ack", Run: failingPublish},
			{Name: "I1: lost answers", Run: lostAnswers},
			{Name: "restart", Run: restart},
			{Name: "I5: same id twice", Run: again, Missing: func(u Upstream) bool { return u.Again == nil }},
			{Name: "order per key", Run: order, Missing: func(u Upstream) bool { return u.Number == nil }},
			{Name: "server restart", Run: serverRestart, Missing: func(u Upstream) bool { return u.Restart == nil }},
			{Name: "wrong settings", Run: wrongSettings, Missing: func(u Upstream) bool { return len(u.Wrong) == 0 }},
			{Name: "stops while idle", Run: stopsIdle},
			{Name: "stops while publish hangs", Run: stopsBlocked},
			{Name: "kill -9", Run: fixture.Kill, Missing: func(Upstream) bool { return fixture.Kill == nil }},
		},
	}
	suite.Exercise(t)
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

// Supervise runs sources as the program does, until stop is called: one that
// returns an error is followed by another one.
func Supervise(tb testing.TB, next func(tb testing.TB) sources.Source, out *Out) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			if err := next(tb).Run(ctx, out.Restart()); err != nil && ctx.Err() == nil {
				tb.Logf("Run returned %v, and is run again", err)
				wait(ctx, pause)
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case <-ended:
		case <-time.After(within(tb, StopWithin)):
			tb.Error("Run has not returned in time")
		}
	})
	tb.Cleanup(stop)
	return stop
}

// pause is how long a source that has ended is left alone.
const pause = 100 * time.Millisecond

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
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
	awaitAcked(t, u, 0) // what was acknowledged stays so; what is being sent or given back may not be counted yet
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
	wantExact(t, u, out)
}

// wantExact fails when something was published twice that need not be.
func wantExact(tb testing.TB, u Upstream, out *Out) {
	tb.Helper()
	if repeats := out.Repeats(); u.Exact && len(repeats) > 0 {
		tb.Errorf("%d events were published again, the first has the id %q", len(repeats), repeats[0].ID)
	}
}

func order(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	stop := Run(t, u.Source(t), out)
	const each = 100
	sending(t, u, each)()
	out.Wait(t, each/2)
	out.FailNext(3, event.ErrUnavailable)
	sending(t, u, each)()
	wantEvents(t, out, 2*each)
	stop()
	wantOrder(t, u, out.Events())
}

// wantOrder fails unless the things of each partition key come in their order.
func wantOrder(tb testing.TB, u Upstream, events []event.Event) {
	tb.Helper()
	last := map[string]int{}
	for i := range events {
		key, number := events[i].PartitionKey(), u.Number(&events[i])
		if before, any := last[key]; any && before >= number {
			tb.Errorf("partition key %q: thing %d came after thing %d", key, number, before)
		}
		last[key] = number
	}
	if len(last) < 2 {
		tb.Errorf("all things have one partition key, %v", last)
	}
}

// serverRestart restarts the upstream while the source runs, idle and with things
// on their way.
func serverRestart(t *testing.T, u Upstream) {
	t.Helper()
	out := NewOut()
	stop := Supervise(t, u.Source, out)
	sending(t, u, 5)()
	out.Wait(t, 5)
	u.Restart(t)
	sending(t, u, 5)()
	out.Wait(t, 10)
	unblock := out.Block()
	if u.Keeps {
		sending(t, u, 5)()
		out.WaitBlocked(t, 1)
	}
	u.Restart(t)
	unblock()
	if !u.Keeps {
		sending(t, u, 5)()
	}
	wantEvents(t, out, 15)
	awaitAcked(t, u, 15)
	stop()
	wantExact(t, u, out)
}

func wrongSettings(t *testing.T, u Upstream) {
	t.Helper()
	for _, w := range u.Wrong {
		t.Run(w.Name, func(t *testing.T) { wrongSetting(t, w) })
	}
}

// wrongSetting runs a source that cannot work until it has said why. It may go on
// trying, or give up.
func wrongSetting(t *testing.T, w Wrong) {
	t.Helper()
	said := make(chan error, 1)
	report := func(err error) {
		if err == nil {
			return
		}
		select {
		case said <- err:
		default:
		}
	}
	env := Env("wrong", nil)
	env.Report = report
	source := w.Source(t, env)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		report(source.Run(ctx, NewOut()))
	}()
	select {
	case err := <-said:
		if !strings.Contains(err.Error(), w.Want) {
			t.Errorf("it says %q, want %q in it", err, w.Want)
		}
	case <-time.After(within(t, Patience)):
		t.Errorf("it says nothing, want %q", w.Want)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(within(t, StopWithin)):
		t.Error("Run has not returned in time")
	}
}

func again(t *testing.T, u Upstream) {
	t.Helper()
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
