package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/router"
	"sluice/router/core"
	"sluice/sinks"
)

// A batcher is a sink that keeps the sizes of its attempts and who came.
type batcher struct {
	mu     sync.Mutex
	sizes  []int
	seen   map[string]int
	active int
	most   int
	answer func(sinks.Attempt) error // may be nil
	hold   chan struct{}             // may be nil: attempts wait until it is closed
}

func (b *batcher) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	b.mu.Lock()
	if b.seen == nil {
		b.seen = map[string]int{}
	}
	b.sizes = append(b.sizes, len(a.Deliveries))
	for _, d := range a.Deliveries {
		b.seen[d.Event.ID]++
	}
	b.active++
	b.most = max(b.most, b.active)
	answer := b.answer
	b.mu.Unlock()
	if b.hold != nil {
		select {
		case <-b.hold:
		case <-ctx.Done():
		}
	}
	b.mu.Lock()
	b.active--
	b.mu.Unlock()
	if answer != nil {
		return sinks.Response{Status: 200}, answer(a)
	}
	return sinks.Response{Status: 200}, nil
}

func (b *batcher) count() (attempts, events int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.sizes), len(b.seen)
}

func batchTrigger(sink sinks.Sink, size int, window time.Duration) router.Trigger {
	t := trigger("t", nil)
	t.Sink, t.Batch, t.Concurrency = sink, router.Batch{Size: size, Window: window}, 2
	return t
}

// TestAdaptiveCountsBatches: as many requests are under way as the sink was found
// to take, also when they are smaller than they may be.
func TestAdaptiveCountsBatches(t *testing.T) {
	f := newFixture(t)
	b := &batcher{hold: make(chan struct{})}
	trigger := batchTrigger(b, 10, 0)
	trigger.Flow.Adaptive, trigger.Concurrency = true, 50
	r := f.start(trigger)
	for n := range 30 {
		f.publish("s", n, n+1)
		eventually(t, "all have come", func() bool {
			all, err := r.Triggers(t.Context())
			return err == nil && len(all) == 1 && all[0].Running+all[0].Buffered == n+1
		})
	}
	eventually(t, "requests", func() bool { attempts, _ := b.count(); return attempts >= 10 })
	attempts, _ := b.count()
	close(b.hold)
	eventually(t, "all are delivered", func() bool { _, events := b.count(); return events == 30 })
	if attempts != 10 {
		t.Errorf("%d requests were under way, want the ten that it begins with", attempts)
	}
}

const never = 5 * time.Minute // a window that no test waits for

func TestABatchGoesWhenItIsWhole(t *testing.T) {
	f := newFixture(t)
	b := &batcher{}
	r := f.start(batchTrigger(b, 10, never))
	f.publish("s", 0, 100)
	eventually(t, "all delivered", func() bool { _, n := b.count(); return n == 100 })
	for _, size := range b.sizes {
		if size != 10 {
			t.Errorf("batches of %v", b.sizes)
		}
	}
	if a := r.conserved(t); a.Triggers[0].Delivered != 100 || b.most > 2 {
		t.Errorf("%+v, %d at once", a, b.most)
	}
}

func TestABatchGoesAfterItsWindow(t *testing.T) {
	f := newFixture(t)
	b := &batcher{}
	r := f.start(batchTrigger(b, 1000, 300*time.Millisecond))
	began := time.Now()
	f.publish("s", 0, 3)
	f.publish("s", 3, 7)
	eventually(t, "delivered", func() bool { _, n := b.count(); return n == 7 })
	if took := time.Since(began); took < 300*time.Millisecond || !slices.Equal(b.sizes, []int{7}) {
		t.Errorf("batches of %v after %v", b.sizes, took)
	}
	r.conserved(t)
}

// TestOnlyWhatFailedIsTriedAgain: of a partial answer, and together.
func TestOnlyWhatFailedIsTriedAgain(t *testing.T) {
	f := newFixture(t)
	b := &batcher{answer: func(a sinks.Attempt) error {
		failed := map[int]error{}
		for i, d := range a.Deliveries {
			switch {
			case strings.HasSuffix(d.Event.ID, "7"):
				failed[i] = sinks.Permanent(errors.New("seven"))
			case strings.HasSuffix(d.Event.ID, "5") && d.Attempt == 1:
				failed[i] = errors.New("five")
			}
		}
		return &sinks.PartialError{Failed: failed}
	}}
	r := f.start(batchTrigger(b, 50, 50*time.Millisecond))
	f.publish("s", 0, 100)
	a := r.conserved(t)
	if a.Triggers[0].Delivered != 90 || a.Triggers[0].Dead != 10 {
		t.Errorf("%+v", a.Triggers[0])
	}
	for id, n := range b.seen {
		if want := 1 + len(id) - len(strings.TrimSuffix(id, "5")); n != want {
			t.Errorf("%s was delivered %d times, want %d", id, n, want)
		}
	}
}

// TestABatchGoesWithoutRoomForMore: bodies are over the budget long before the
// batch is whole, or its window over.
func TestABatchGoesWithoutRoomForMore(t *testing.T) {
	f := newFixture(t)
	b := &batcher{}
	r := f.startWith(router.Options{Triggers: []router.Trigger{batchTrigger(b, 1000, never)}, Core: core.Options{Budget: 256 << 10, Ring: 4}})
	events := make([]event.Event, 50)
	for i := range events {
		events[i] = event.Event{ID: fmt.Sprintf("e%d", i), Source: "/test", Type: "test.made", Data: make([]byte, 5000+1000*(i%7))}
	}
	if err := f.bus.Source("s").Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	// The last ones fit, so that they would wait for others.
	eventually(t, "delivered but for the last", func() bool { _, n := b.count(); return n >= 40 })
	if err := r.Pause(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	if err := r.Resume(t.Context(), "t"); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 50, 51)
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for id, n := range b.seen {
		if n != 1 {
			t.Errorf("%s was delivered %d times", id, n)
		}
	}
}

// TestWhatIsGatheredGoesWhenItMust: at a pause, at a stop, and when the
// trigger is configured anew.
func TestWhatIsGatheredGoesWhenItMust(t *testing.T) {
	gathered := func(t *testing.T, f *fixture, r *running) {
		t.Helper()
		f.publish("s", 0, 5)
		eventually(t, "gathered", func() bool {
			all, err := r.Triggers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return len(all[0].Holds) == 1 && all[0].Holds[0].Reason == string(core.HeldByBatch) && all[0].Holds[0].Deliveries == 5
		})
	}
	for name, act := range map[string]func(*running) error{
		"pause": func(r *running) error { return r.Pause(t.Context(), "t") },
		"stop":  func(r *running) error { return r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			f, b := newFixture(t), &batcher{}
			r := f.start(batchTrigger(b, 100, never))
			gathered(t, f, r)
			if err := act(r); err != nil {
				t.Fatal(err)
			}
			eventually(t, "delivered", func() bool { _, n := b.count(); return n == 5 })
			if !slices.Equal(b.sizes, []int{5}) {
				t.Errorf("batches of %v", b.sizes)
			}
		})
	}
	for name, next := range map[string]func(sinks.Sink) router.Trigger{
		"a shorter window": func(s sinks.Sink) router.Trigger { return batchTrigger(s, 100, 0) },
		"smaller batches":  func(s sinks.Sink) router.Trigger { return batchTrigger(s, 3, 10*time.Millisecond) },
		"no batches":       func(s sinks.Sink) router.Trigger { return batchTrigger(s, 0, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			f, before, after := newFixture(t), &batcher{}, &batcher{}
			r := f.start(batchTrigger(before, 100, never))
			gathered(t, f, r)
			if err := r.Configure(t.Context(), []router.Trigger{next(after)}); err != nil {
				t.Fatal(err)
			}
			f.publish("s", 5, 10)
			eventually(t, "delivered", func() bool { _, n := after.count(); return n == 10 })
			if n, _ := before.count(); n != 0 {
				t.Error("the sink from before was asked")
			}
			r.conserved(t)
		})
	}
	t.Run("removed", func(t *testing.T) {
		f, b := newFixture(t), &batcher{}
		r := f.start(batchTrigger(b, 100, never))
		gathered(t, f, r)
		if err := r.Configure(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		eventually(t, "back", func() bool {
			all, err := r.Triggers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return all[0].Running == 0 && all[0].Waiting == 5
		})
		if err := r.Configure(t.Context(), []router.Trigger{batchTrigger(b, 5, never)}); err != nil {
			t.Fatal(err)
		}
		r.conserved(t)
	})
}

// TestWhatWaitsForABatchIsShown: as waiting and not as running, and what for. What
// is under way is running, and neither is counted twice when it takes so long that
// the ledger lists it.
func TestWhatWaitsForABatchIsShown(t *testing.T) {
	f := newFixture(t)
	b := &batcher{hold: make(chan struct{})}
	tr := batchTrigger(b, 10, never)
	tr.Concurrency = 1
	r := f.startWith(router.Options{Triggers: []router.Trigger{tr}, Core: core.Options{ListAfter: 20 * time.Millisecond}})
	shows := func(what string, running, waiting int, reason core.HoldReason) router.Status {
		t.Helper()
		var s router.Status
		eventually(t, what, func() bool {
			all, err := r.Triggers(t.Context())
			if err != nil || len(all) != 1 {
				return false
			}
			s = all[0]
			return s.Running == running && s.Waiting+s.Buffered == waiting && len(s.Holds) == 1 && s.Holds[0].Reason == string(reason)
		})
		if s.Matched != uint64(running+waiting) || s.Holds[0].Deliveries != waiting {
			t.Errorf("%s: %+v", what, s)
		}
		return s
	}
	f.publish("s", 0, 4)
	if s := shows("gathered", 0, 4, core.HeldByBatch); time.Until(s.Holds[0].Until) > never {
		t.Errorf("the batch goes at %v", s.Holds[0].Until)
	}
	f.publish("s", 4, 13)
	shows("one batch, and what waits for it to end", 10, 3, core.HeldByConcurrency)
	eventually(t, "listed", func() bool {
		a, err := r.Audit(t.Context())
		return err == nil && a.Triggers[0].Waiting == 13
	})
	if s := shows("the same", 10, 3, core.HeldByConcurrency); s.Holds[0].Limit != 1 {
		t.Errorf("%+v", s.Holds)
	}
	close(b.hold)
	f.publish("s", 13, 20)
	if a := r.conserved(t); a.Triggers[0].Delivered != 20 {
		t.Errorf("%+v", a.Triggers[0])
	}
}

// TestConcurrencyOfBatches: so many at once, and no more, while thousands wait.
func TestConcurrencyOfBatches(t *testing.T) {
	f := newFixture(t)
	b := &batcher{hold: make(chan struct{})}
	r := f.start(batchTrigger(b, 10, 0))
	f.publish("s", 0, 400)
	f.publish("s", 400, 800)
	eventually(t, "two under way", func() bool { n, _ := b.count(); return n == 2 })
	close(b.hold)
	a := r.conserved(t)
	if n, events := b.count(); a.Triggers[0].Delivered != 800 || events != 800 || b.most > 2 || n > 400 {
		t.Errorf("%+v, %d at once, %d attempts", a.Triggers[0], b.most, n)
	}
}

func TestAPanicOfABatchIsOfAll(t *testing.T) {
	f := newFixture(t)
	b := &batcher{answer: func(sinks.Attempt) error { panic("boom") }}
	r := f.start(batchTrigger(b, 10, never))
	f.publish("s", 0, 10)
	if a := r.conserved(t); a.Triggers[0].Dead != 10 {
		t.Errorf("%+v", a.Triggers[0])
	}
}
