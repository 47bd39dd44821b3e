package sinktest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
	"sluice/integration/conformance"
	"sluice/sinks"
)

// A Store is the real other side of a sink that keeps what it is given: a broker,
// a database, a bucket, a folder.
type Store struct {
	// Sink returns a new sink for it.
	Sink func(tb testing.TB) sinks.Sink
	// Section is what Sink is built from, as it stands in the file, in YAML's flow
	// style: `amqp: {exchange: work}`.
	Section string
	// Stored returns everything that is kept there, in its order, and as often as it
	// is. It may be called while sinks deliver.
	Stored func(tb testing.TB) []Received
	// Restart stops the server in an orderly way and starts it again, where it was.
	Restart func(tb testing.TB)
	// Crash kills the server and starts it again, where it was.
	Crash func(tb testing.TB)
	// Hold makes the server answer nothing, while its connections stay open, until
	// release is called.
	Hold func(tb testing.TB) (release func())
	// Wrong are sinks that cannot work.
	Wrong []Wrong
	// Bad returns an event that is refused for ever, whose data has the number n.
	Bad func(n int) *event.Event
	// Once says that a delivery is kept once, however often it is attempted.
	Once bool
	// Batches says that an attempt may have several deliveries.
	Batches bool
	// Unordered says that what is stored has no order.
	Unordered bool
}

// A Wrong is a sink that cannot work, such as one with a wrong password.
type Wrong struct {
	Name string
	Sink func(tb testing.TB) sinks.Sink
	// Want is part of the error of a delivery.
	Want string
	// Permanent says that no other attempt is to be made.
	Permanent bool
}

// A StoreFixture is how ExerciseStore gets at one kind of sink.
type StoreFixture struct {
	// Name is the sink's row in the table of docs/conformance.md; empty for none.
	// With a name, each case is run, or Without says why not.
	Name string
	// Start returns a new, empty store, which ends with tb.
	Start func(tb testing.TB) Store
	// Kill kills the real program while it delivers, and checks that everything is
	// stored.
	Kill func(t *testing.T, s Store)
	// Without says why a case is not for this sink, by the case's name.
	Without map[string]string
}

// ExerciseStore runs the suite of sinks whose other side keeps what it is given.
func ExerciseStore(t *testing.T, f StoreFixture) {
	t.Helper()
	suite := conformance.Suite[*storeBench]{
		Kind: conformance.Store, Adapter: f.Name, Without: f.Without,
		Start: func(t *testing.T) *storeBench { t.Helper(); return newStoreBench(t, f.Start(t)) },
		Cases: []conformance.Case[*storeBench]{
			{Name: "delivers all", Run: storesAll},
			{Name: "many at once", Run: storesMany},
			{Name: "order per key", Run: storesInOrder, Missing: func(s *storeBench) bool { return s.Unordered }},
			{Name: "batches, one by one", Run: storesBatches, Missing: func(s *storeBench) bool { return !s.Batches || s.Bad == nil }},
			{Name: "refused for ever", Run: storesNoBad, Missing: func(s *storeBench) bool { return s.Bad == nil }},
			{Name: "the same twice", Run: storesOnce, Missing: func(s *storeBench) bool { return !s.Once }},
			{Name: "done is durable", Run: storesDurably, Missing: func(s *storeBench) bool { return s.Crash == nil }},
			{Name: "server restart", Run: storesAfterRestart, Missing: func(s *storeBench) bool { return s.Restart == nil }},
			{Name: "server hangs", Run: endsWhileHeld, Missing: func(s *storeBench) bool { return s.Hold == nil }},
			{Name: "cancelled before", Run: storesNothing},
			{Name: "wrong settings", Run: wrongStores, Missing: func(s *storeBench) bool { return len(s.Wrong) == 0 }},
			{Name: "leaves the event as it is", Run: func(t *testing.T, s *storeBench) { t.Helper(); leavesTheEvent(t, s.bench()) }},
			{
				Name: "kill -9", Run: func(t *testing.T, s *storeBench) { t.Helper(); f.Kill(t, s.Store) },
				Missing: func(*storeBench) bool { return f.Kill == nil },
			},
		},
	}
	suite.Exercise(t)
}

// A storeBench is a store and a sink for it.
type storeBench struct {
	Store

	sink sinks.Sink
}

// newStoreBench closes the sink when the test ends.
func newStoreBench(t *testing.T, s Store) *storeBench {
	t.Helper()
	b := &storeBench{Store: s, sink: s.Sink(t)}
	t.Cleanup(func() { b.bench().close(t) })
	return b
}

func (b *storeBench) bench() *bench { return &bench{sink: b.sink} }

// keys is how many partition keys the numbered events have.
const keys = 4

// numbered returns the event of a number.
func numbered(n int) *event.Event {
	e := sample(n)
	e.Extensions["partitionkey"] = fmt.Sprintf("k%d", n%keys)
	return e
}

// numberedAttempt is an attempt of numbered events.
func numberedAttempt(try int, numbers ...int) sinks.Attempt {
	a := attempt(try, numbers...)
	for i, n := range numbers {
		a.Deliveries[i].Event = numbered(n)
	}
	return a
}

func (b *storeBench) deliver(t *testing.T, a sinks.Attempt) error {
	t.Helper()
	return b.bench().deliver(t, a)
}

// insist attempts a delivery until it is done, as a trigger does. It may be called
// from any goroutine of the test.
func (b *storeBench) insist(t *testing.T, n int) {
	t.Helper()
	deadline := deadlineOf(t)
	for try := 1; ; try++ {
		err := b.deliver(t, numberedAttempt(try, n))
		switch {
		case err == nil:
			return
		case sinks.IsPermanent(err) || time.Now().After(deadline):
			t.Errorf("attempt %d, permanent: %v: %v", try, sinks.IsPermanent(err), err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// serverPatience is how long it may take until everything is stored, a restart of
// the server on a busy machine included.
const serverPatience = time.Minute

// deadlineOf is when a test has waited for long enough; earlier when its own end is
// near.
func deadlineOf(t *testing.T) time.Time {
	t.Helper()
	limit := serverPatience
	if end, bounded := t.Deadline(); bounded {
		limit = min(limit, time.Until(end)/2)
	}
	return time.Now().Add(limit)
}

// want waits until all deliveries with numbers below n are stored.
func (b *storeBench) want(t *testing.T, n int) []Received {
	t.Helper()
	for deadline := deadlineOf(t); ; time.Sleep(10 * time.Millisecond) {
		all := b.Stored(t)
		missing := missingOf(all, n)
		if len(missing) == 0 {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d deliveries are not stored: %v", len(missing), n, missing[:min(len(missing), 10)])
		}
	}
}

// missingOf returns the numbers below n that were not stored.
func missingOf(all []Received, n int) []int {
	seen := map[int]bool{}
	for _, r := range all {
		seen[r.Number()] = true
	}
	var missing []int
	for i := range n {
		if !seen[i] {
			missing = append(missing, i)
		}
	}
	return missing
}

// Number returns the number of a delivery; -1 when its data has none.
func (r Received) Number() int {
	var data struct{ N *int }
	if json.Unmarshal([]byte(r.Data), &data) != nil || data.N == nil {
		return -1
	}
	return *data.N
}

func storesAll(t *testing.T, b *storeBench) {
	t.Helper()
	for n := range 10 {
		if err := b.deliver(t, numberedAttempt(n+1, n)); err != nil {
			t.Fatal(err)
		}
	}
	all := b.want(t, 10)
	if len(all) != 10 {
		t.Errorf("%d are stored, want 10", len(all))
	}
	for _, r := range all {
		n := r.Number()
		want := Received{ID: fmt.Sprintf("inc.%d.test", n), Attempt: n + 1, Data: fmt.Sprintf(`{"n":%d}`, n), Key: fmt.Sprintf("k%d", n%keys)}
		if r != want {
			t.Errorf("stored is %+v, want %+v", r, want)
		}
	}
}

// manyFor is for how long the workers of storesMany begin deliveries: a server that
// takes few in a second is given fewer.
const manyFor = 2 * time.Second

func storesMany(t *testing.T, b *storeBench) {
	t.Helper()
	const workers, each, least = 16, 20, 3
	deadline := time.Now().Add(manyFor)
	var next atomic.Int64
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for i := range each {
				if i >= least && time.Now().After(deadline) {
					return
				}
				if err := b.deliver(t, numberedAttempt(1, int(next.Add(1))-1)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	sent := int(next.Load())
	if n := len(b.want(t, sent)); n != sent {
		t.Errorf("%d are stored, want %d", n, sent)
	}
}

// storesInOrder delivers one after the other, and in batches, as an ordered
// trigger does.
func storesInOrder(t *testing.T, b *storeBench) {
	t.Helper()
	const n = 60
	for i := 0; i < n; {
		numbers := []int{i}
		if b.Batches {
			numbers = []int{i, i + 1, i + 2, i + 3, i + 4}
		}
		if err := b.deliver(t, numberedAttempt(1, numbers...)); err != nil {
			t.Fatal(err)
		}
		i += len(numbers)
	}
	last := map[string]int{}
	for _, r := range b.want(t, n) {
		if before, any := last[r.Key]; any && before >= r.Number() {
			t.Errorf("partition key %s: %d came after %d", r.Key, r.Number(), before)
		}
		last[r.Key] = r.Number()
	}
}

// storesBatches delivers a batch of which one is refused for ever: the others are
// done.
func storesBatches(t *testing.T, b *storeBench) {
	t.Helper()
	if err := b.deliver(t, numberedAttempt(1, 0, 1, 2)); err != nil {
		t.Fatal(err)
	}
	a := numberedAttempt(1, 3, 4, 5)
	a.Deliveries[1].Event = b.Bad(4)
	var some *sinks.PartialError
	if err := b.deliver(t, a); !errors.As(err, &some) || len(some.Failed) != 1 || !sinks.IsPermanent(some.Failed[1]) {
		t.Fatalf("a batch of which the second is refused for ever ended with %v", err)
	}
	if err := b.deliver(t, numberedAttempt(1, 4)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.want(t, 6)); n != 6 {
		t.Errorf("%d are stored, want 6", n)
	}
}

func storesNoBad(t *testing.T, b *storeBench) {
	t.Helper()
	a := numberedAttempt(1, 0)
	a.Deliveries[0].Event = b.Bad(0)
	if err := b.deliver(t, a); !sinks.IsPermanent(err) {
		t.Errorf("what is refused for ever came as %v", err)
	}
	if err := b.deliver(t, numberedAttempt(1, 0)); err != nil {
		t.Errorf("after it: %v", err)
	}
	if n := len(b.want(t, 1)); n != 1 {
		t.Errorf("%d are stored, want 1", n)
	}
}

func storesOnce(t *testing.T, b *storeBench) {
	t.Helper()
	for try := range 3 {
		if err := b.deliver(t, numberedAttempt(try+1, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.deliver(t, numberedAttempt(1, 1)); err != nil {
		t.Fatal(err)
	}
	if n := len(b.want(t, 2)); n != 2 {
		t.Errorf("%d are stored, want 2", n)
	}
}

// storesDurably kills the server in the moment after each delivery is done.
func storesDurably(t *testing.T, b *storeBench) {
	t.Helper()
	const rounds, each = 2, 20
	for round := range rounds {
		for i := range each {
			b.insist(t, round*each+i)
		}
		b.Crash(t)
	}
	b.want(t, rounds*each)
}

// storesAfterRestart delivers from several goroutines while the server restarts:
// what fails is tried again, and the sink comes back by itself.
func storesAfterRestart(t *testing.T, b *storeBench) {
	t.Helper()
	b.insist(t, 0)
	b.Restart(t)
	b.insist(t, 1)
	var all sync.WaitGroup
	const workers, each = 4, 25
	for w := range workers {
		all.Go(func() {
			for i := range each {
				b.insist(t, 2+w*each+i)
			}
		})
	}
	b.Restart(t)
	all.Wait()
	b.want(t, 2+workers*each)
}

func endsWhileHeld(t *testing.T, b *storeBench) {
	t.Helper()
	b.insist(t, 0)
	release := b.Hold(t)
	var all sync.WaitGroup
	all.Go(func() { endsAtDeadline(t, b, 1) })
	all.Go(func() { endsAtCancel(t, b, 2) })
	all.Wait()
	release()
	b.insist(t, 1)
	b.insist(t, 2)
	b.want(t, 3)
}

func endsAtDeadline(t *testing.T, b *storeBench, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	endsSoon(t, func() error {
		_, err := b.sink.Deliver(ctx, numberedAttempt(1, n))
		return err
	}, context.DeadlineExceeded)
}

func endsAtCancel(t *testing.T, b *storeBench, n int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	timer := time.AfterFunc(300*time.Millisecond, cancel)
	defer timer.Stop()
	endsSoon(t, func() error {
		_, err := b.sink.Deliver(ctx, numberedAttempt(1, n))
		return err
	}, context.Canceled)
}

func storesNothing(t *testing.T, b *storeBench) {
	t.Helper()
	b.insist(t, 0)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.sink.Deliver(ctx, numberedAttempt(1, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	b.insist(t, 2)
	if all := b.Stored(t); len(all) != 2 {
		t.Errorf("stored are %+v", all)
	}
}

func wrongStores(t *testing.T, b *storeBench) {
	t.Helper()
	for _, w := range b.Wrong {
		t.Run(w.Name, func(t *testing.T) {
			wrong := &bench{sink: w.Sink(t)}
			defer wrong.close(t)
			err := wrong.deliver(t, numberedAttempt(1, 0))
			if err == nil || !strings.Contains(err.Error(), w.Want) || sinks.IsPermanent(err) != w.Permanent {
				t.Errorf("permanent: %v: %v; want permanent: %v, and %q in it", sinks.IsPermanent(err), err, w.Permanent, w.Want)
			}
		})
	}
}
