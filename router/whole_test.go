package router_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/bus"
	"sluice/dlq"
	"sluice/event"
	"sluice/router"
	"sluice/router/pattern"
	"sluice/sinks"
)

const mib = 1 << 20

func newLargeFixture(t *testing.T) *fixture {
	t.Helper()
	return newFixtureWith(t, bus.Options{MaxEventSize: event.MaxSize})
}

// publishLarge publishes an event with JSON data of about a size.
func (f *fixture) publishLarge(id string, size int) {
	f.t.Helper()
	err := f.bus.Source("s").Publish(f.t.Context(), event.Event{
		ID: id, Source: "/test", Type: "test.large", DataContentType: "application/json",
		Data: slices.Concat(fmt.Appendf(nil, `{"id":%q,"n":1,"fill":"`, id), bytes.Repeat([]byte(id), size/len(id)), []byte(`"}`)),
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// object returns where the data of an event is kept.
func (f *fixture) object(sequence uint64) string {
	f.t.Helper()
	found, err := f.bus.Fetch(f.t.Context(), []uint64{sequence})
	if err != nil || len(found) != 1 || found[0].Event.Large == nil {
		f.t.Fatalf("event %d: %+v, %v", sequence, found, err)
	}
	return found[0].Event.Large.Object
}

// lose takes the data of an event away.
func (f *fixture) lose(sequence uint64) {
	f.t.Helper()
	subject := f.bus.Names().Object(f.object(sequence))
	if err := f.objects().Purge(f.t.Context(), jetstream.WithPurgeSubject(subject)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) objects() jetstream.Stream {
	f.t.Helper()
	stream, err := f.bus.JetStream().Stream(f.t.Context(), f.bus.Names().Objects)
	if err != nil {
		f.t.Fatal(err)
	}
	return stream
}

// A scale is a sink that weighs what it holds at once, and holds it until open
// is closed.
type scale struct {
	open chan struct{}

	mu                sync.Mutex
	now, most, seen   int
	attempts, deepest int
}

func (s *scale) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	weight := 0
	for _, d := range a.Deliveries {
		weight += len(d.Event.Data)
	}
	s.mu.Lock()
	s.now += weight
	s.most, s.deepest = max(s.most, s.now), max(s.deepest, len(a.Deliveries))
	s.attempts++
	s.mu.Unlock()
	select {
	case <-s.open:
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now -= weight
	s.seen += len(a.Deliveries)
	return sinks.Response{Status: 200}, ctx.Err()
}

func (s *scale) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func scaled(name string, s *scale) router.Trigger {
	t := trigger(name, nil)
	t.Sink, t.Concurrency, t.Timeout = s, 64, time.Hour // it may be long until it is opened
	return t
}

// TestLargeEventsAreHeldWithinBounds: of 64 deliveries of 2 MiB at once each
// trigger holds its share, and no more.
func TestLargeEventsAreHeldWithinBounds(t *testing.T) {
	f := newLargeFixture(t)
	a, b := &scale{open: make(chan struct{})}, &scale{open: make(chan struct{})}
	r := f.start(scaled("a", a), scaled("b", b))
	const events, size, share = 64, 2*mib - 4096, 32 * mib
	for n := range events {
		f.publishLarge(fmt.Sprintf("e%02d", n), size)
	}
	eventually(t, "both hold their shares", func() bool { return a.held() > share-size && b.held() > share-size })
	close(a.open)
	close(b.open)
	r.conserved(t)
	for name, s := range map[string]*scale{"a": a, "b": b} {
		if s.seen != events || s.most > share {
			t.Errorf("%s has seen %d, and held %d MiB at once", name, s.seen, s.most/mib)
		}
	}
}

// TestAHungTriggerLeavesRoom: a trigger that hangs on the largest events, and on
// as many others as it may hold, keeps no other from events of any size
// (invariant I4).
func TestAHungTriggerLeavesRoom(t *testing.T) {
	f := newLargeFixture(t)
	hung, other := &scale{open: make(chan struct{})}, &scale{open: make(chan struct{})}
	close(other.open)
	a, b := scaled("hung", hung), scaled("other", other)
	r := f.start(a, b)
	for n := range 20 {
		f.publishLarge(fmt.Sprintf("e%02d", n), 3*mib)
	}
	for n := range 3 {
		f.publishLarge(fmt.Sprintf("huge%d", n), 60*mib)
	}
	eventually(t, "the other has everything", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return other.seen == 23
	})
	if held := hung.held(); held < 80*mib || held > 96*mib {
		t.Errorf("the hung one holds %d MiB", held/mib)
	}
	close(hung.open)
	r.conserved(t)
}

// TestBatchesCountTheirBytes: a batch ends where its data is too much together.
func TestBatchesCountTheirBytes(t *testing.T) {
	f := newLargeFixture(t)
	s := &scale{open: make(chan struct{})}
	close(s.open)
	many := batchTrigger(s, 12, never)
	r := f.start(many)
	for n := range 12 {
		f.publishLarge(fmt.Sprintf("e%02d", n), 3*mib)
	}
	eventually(t, "all delivered", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && all[0].Delivered >= 10
	})
	if s.deepest != 5 {
		t.Errorf("batches of up to %d events of 3 MiB", s.deepest)
	}
}

// TestLargeDataIsLookedInto: patterns and transforms see all of an event.
func TestLargeDataIsLookedInto(t *testing.T) {
	f := newLargeFixture(t)
	got := make(chan string, 10)
	looks := trigger("looks", func(_ context.Context, d sinks.Delivery) error {
		got <- string(d.Event.Data)
		return nil
	})
	looks.Pattern = compiled(t, `{"data":{"id":[{"prefix":"yes"}]}}`)
	looks.Transform = transforming(t, `{is: .data.id, length: (.data.fill | length)}`)
	r := f.start(looks)
	f.publishLarge("no0", mib)
	f.publishLarge("yes", 3*mib)
	f.publishLarge("yes-but-too-large", 9*mib) // patterns do not look into that
	r.conserved(t)
	close(got)
	var all []string
	for data := range got {
		all = append(all, data)
	}
	if want := fmt.Sprintf(`[{"is":"yes","length":%d}]`, 3*mib); fmt.Sprint(all) != want {
		t.Errorf("delivered %v", all)
	}
}

func compiled(t *testing.T, text string) *pattern.Pattern {
	t.Helper()
	p, err := pattern.Compile([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestLostDataMakesLetters: data that is missing or damaged ends its deliveries
// at once, and the letters say which object it was. A trigger that looks into it
// has the letter too, because nobody can tell that it would not have matched;
// one that could not have matched has none.
func TestLostDataMakesLetters(t *testing.T) {
	f := newLargeFixture(t)
	f.publishLarge("missing", mib)
	f.publishLarge("damaged", mib)
	f.publishLarge("whole", mib)
	f.lose(1)
	last, err := f.objects().GetLastMsgForSubject(t.Context(), f.bus.Names().Object(f.object(2)))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.objects().DeleteMsg(t.Context(), last.Sequence); err != nil {
		t.Fatal(err)
	}
	var plain, looked counter
	looks := trigger("looks", looked.deliver)
	looks.Pattern = compiled(t, `{"data":{"n":[1]}}`)
	never := trigger("never", looked.deliver)
	never.Pattern = compiled(t, `{"data":{"n":[1]},"type":["other"]}`)
	r := f.start(since(theBeginning, never), since(theBeginning, trigger("plain", plain.deliver)), since(theBeginning, looks))
	r.conserved(t)
	for name, c := range map[string]*counter{"plain": &plain, "looks": &looked} {
		if c.len() != 1 || c.seen["whole"] != 1 {
			t.Errorf("%s has had %v", name, c.seen)
		}
	}
	page, _, err := f.letters.List(t.Context(), dlq.Filter{}, 0, 10)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, l := range page {
		found[fmt.Sprintf("%s %d", l.ID.Trigger, l.ID.Sequence)] = fmt.Sprintf("%s after %d: %s", l.Reason, l.Made, l.Error)
		if l.Large == nil || l.Large.Object != f.object(l.ID.Sequence) {
			t.Errorf("the letter %s refers to %+v", l.ID, l.Large)
		}
	}
	want := map[string]string{}
	for sequence, what := range map[uint64]string{1: "there is no such object", 2: "less than "} {
		for _, name := range []string{"plain", "looks"} {
			want[fmt.Sprintf("%s %d", name, sequence)] = fmt.Sprintf("permanent after 1: the object %s: the data of the event is lost: %s", f.object(sequence), what)
		}
	}
	for key, text := range want {
		if !strings.HasPrefix(found[key], text) {
			t.Errorf("%s: %q, want %q", key, found[key], text)
		}
	}
	if len(found) != len(want) {
		t.Errorf("letters: %v", found)
	}
}

// bodiesAway is a log whose large data cannot be read for a while.
type bodiesAway struct {
	router.Log
	left atomic.Int32
}

func (l *bodiesAway) Body(ctx context.Context, large *event.Large) ([]byte, error) {
	switch n := l.left.Add(-1); {
	case n >= 2:
		return nil, event.ErrUnavailable
	case n >= 0:
		panic("a fault of our own")
	}
	return l.Log.Body(ctx, large)
}

// TestDataThatCannotBeReadNow: it is waited for, and nothing of that is an
// attempt of the sink.
func TestDataThatCannotBeReadNow(t *testing.T) {
	f := newLargeFixture(t)
	f.publishLarge("late", mib)
	log := &bodiesAway{Log: f.bus}
	log.left.Store(4)
	attempt := make(chan int, 1)
	patient := trigger("t", func(_ context.Context, d sinks.Delivery) error { attempt <- d.Attempt; return nil })
	r := f.startOn(router.Options{Log: log, Ledger: f.bus, Letters: f.letters, Triggers: []router.Trigger{since(theBeginning, patient)}})
	r.conserved(t)
	if n := <-attempt; n != 1 {
		t.Errorf("it was delivered at attempt %d", n)
	}
	if log.left.Load() >= 0 {
		t.Error("it did not fail")
	}
}
