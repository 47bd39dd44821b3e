package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/router"
	"sluice/router/core"
	"sluice/router/pattern"
	"sluice/sinks"
)

// TestTheDataOfABatchIsBounded: but one event always goes.
func TestTheDataOfABatchIsBounded(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	var batches [][]int
	sink := &batcher{answer: func(a sinks.Attempt) error {
		sizes := make([]int, len(a.Deliveries))
		for i, d := range a.Deliveries {
			sizes[i] = len(d.Event.Data)
		}
		mu.Lock()
		defer mu.Unlock()
		batches = append(batches, sizes)
		return nil
	}}
	trigger := batchTrigger(sink, 100, 100*time.Millisecond)
	trigger.Batch.Bytes = 3000
	r := f.start(trigger)
	events := make([]event.Event, 40)
	for i := range events {
		size := 900
		if i%8 == 5 {
			size = 5000
		}
		events[i] = event.Event{ID: fmt.Sprintf("e%d", i), Source: "/test", Type: "test.made", Data: make([]byte, size)}
	}
	if err := f.bus.Source("s").Publish(t.Context(), events...); err != nil {
		t.Fatal(err)
	}
	if a := r.conserved(t); a.Triggers[0].Delivered != 40 {
		t.Errorf("%+v", a.Triggers[0])
	}
	several := false
	for _, sizes := range batches {
		sum := 0
		for _, size := range sizes {
			sum += size
		}
		if sum > 3000 && len(sizes) > 1 {
			t.Errorf("a batch of %v", sizes)
		}
		several = several || len(sizes) > 2
	}
	if !several {
		t.Errorf("no batch of several: %v", batches)
	}
}

// tenantEvents are events of tenants by turns, with what is asked of their data.
func tenantEvents(count int, tenants ...string) []event.Event {
	events := make([]event.Event, count)
	for i := range events {
		tenant := tenants[i%len(tenants)]
		events[i] = event.Event{
			ID: fmt.Sprintf("e%d", i), Source: "/test", Type: "test.made", Subject: tenant, DataContentType: "application/json",
			Data: fmt.Appendf(nil, `{"tenant":%q,"n":%d}`, tenant, i), Extensions: map[string]any{"partitionkey": tenant},
		}
	}
	return events
}

// A tenants is a sink that looks at the tenants of its attempts.
type tenants struct {
	mu          sync.Mutex
	mixed       int            // attempts with several
	sizes       []int          // of the attempts
	active      map[string]int // attempts by tenant
	most        int            // of one tenant at once
	order       map[string][]int
	hold        chan struct{} // may be nil: attempts wait until it is closed
	unsettled   int           // deliveries that came while one of their tenant was there
	failOnEvery int           // 0: none fails
	count       int
}

func (s *tenants) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	names := map[string]bool{}
	s.mu.Lock()
	if s.active == nil {
		s.active, s.order = map[string]int{}, map[string][]int{}
	}
	for _, d := range a.Deliveries {
		names[d.Event.Subject] = true
	}
	if len(names) > 1 {
		s.mixed++
	}
	for name := range names {
		if s.active[name]++; s.active[name] > 1 {
			s.unsettled++
		}
		s.most = max(s.most, s.active[name])
	}
	s.sizes = append(s.sizes, len(a.Deliveries))
	s.count++
	fails := s.failOnEvery > 0 && s.count%s.failOnEvery == 0
	s.mu.Unlock()
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range names {
		s.active[name]--
	}
	if fails {
		return sinks.Response{Status: 500}, errors.New("not now")
	}
	for _, d := range a.Deliveries {
		var data struct{ N int }
		if err := json.Unmarshal(d.Event.Data, &data); err != nil {
			return sinks.Response{}, sinks.Permanent(err)
		}
		s.order[d.Event.Subject] = append(s.order[d.Event.Subject], data.N)
	}
	return sinks.Response{Status: 200}, nil
}

var tenant = []pattern.Field{{"data", "tenant"}}

// TestBatchesHaveOneKey, and no more are under way of a key than may be.
func TestBatchesHaveOneKey(t *testing.T) {
	f := newFixture(t)
	sink := &tenants{}
	trigger := batchTrigger(sink, 7, 20*time.Millisecond)
	trigger.Concurrency, trigger.Flow.PerKey = 6, 1
	trigger.Keys = router.Keys{Concurrency: tenant, Batch: tenant}
	r := f.start(trigger)
	for range 5 {
		events := tenantEvents(300, "a", "b", "c", "d")
		for i := range events {
			events[i].ID += fmt.Sprint("-", len(sink.sizes))
		}
		if err := f.bus.Source("s").Publish(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		r.conserved(t)
	}
	if sink.mixed > 0 || sink.most > 1 {
		t.Errorf("%d attempts with several keys; %d of one key at once", sink.mixed, sink.most)
	}
	if slices.Max(sink.sizes) != 7 {
		t.Errorf("batches of %v", sink.sizes)
	}
}

// TestABatchOfAnotherKeyDoesNotWait for one whose key is under way.
func TestABatchOfAnotherKeyDoesNotWait(t *testing.T) {
	f := newFixture(t)
	sink := &tenants{hold: make(chan struct{})}
	trigger := batchTrigger(sink, 5, 0)
	trigger.Concurrency, trigger.Flow.PerKey = 4, 1
	trigger.Keys = router.Keys{Concurrency: tenant, Batch: tenant}
	r := f.start(trigger)
	if err := f.bus.Source("s").Publish(t.Context(), tenantEvents(60, "a", "a", "a", "b", "c")...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "one of each", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return sink.active["a"] == 1 && sink.active["b"] == 1 && sink.active["c"] == 1
	})
	close(sink.hold)
	r.conserved(t)
	if sink.most > 1 {
		t.Errorf("%d of one key at once", sink.most)
	}
}

// TestOrderOfKeys: also in batches, and over failures.
func TestOrderOfKeys(t *testing.T) {
	for _, size := range []int{0, 10} {
		f := newFixture(t)
		sink := &tenants{failOnEvery: 5}
		trigger := batchTrigger(sink, size, 0)
		trigger.Concurrency, trigger.Flow.Ordered = 8, true
		trigger.Retry = core.RetryPolicy{Attempts: 1000, Initial: time.Millisecond, Max: 2 * time.Millisecond}
		r := f.start(trigger)
		if err := f.bus.Source("s").Publish(t.Context(), tenantEvents(400, "a", "b", "c", "d", "e")...); err != nil {
			t.Fatal(err)
		}
		r.conserved(t)
		if sink.unsettled > 0 {
			t.Errorf("batches of %d: %d attempts of a key while another one was under way", size, sink.unsettled)
		}
		for key, order := range sink.order {
			if !slices.IsSorted(order) || len(order) != 80 {
				t.Errorf("batches of %d: %s came as %v", size, key, order)
			}
		}
	}
}

// TestKeysAreFoundAnew when a configuration has others: what waits goes by them.
func TestKeysAreFoundAnew(t *testing.T) {
	f := newFixture(t)
	sink := &tenants{hold: make(chan struct{})}
	trigger := batchTrigger(sink, 0, 0)
	trigger.Concurrency, trigger.Flow.PerKey, trigger.Keys.Concurrency = 3, 3, []pattern.Field{{"type"}}
	r := f.start(trigger)
	if err := f.bus.Source("s").Publish(t.Context(), tenantEvents(300, "a", "b")...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "as many run as may", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return sink.count == 3
	})
	trigger.Flow.PerKey, trigger.Keys.Concurrency = 1, tenant
	if err := r.Configure(t.Context(), []router.Trigger{trigger}); err != nil {
		t.Fatal(err)
	}
	sink.mu.Lock()
	sink.most = 0
	sink.mu.Unlock()
	close(sink.hold)
	r.conserved(t)
	if sink.most > 2 { // two of a key were under way before
		t.Errorf("%d of one key at once", sink.most)
	}
}

// TestHoldsAreTold, in attempts and with what the trigger allows.
func TestHoldsAreTold(t *testing.T) {
	f := newFixture(t)
	sink := &tenants{hold: make(chan struct{})}
	full := batchTrigger(sink, 5, 0)
	slow := trigger("slow", sinkFunc(func(context.Context, sinks.Delivery) error { return nil }))
	slow.Flow.Rate = core.Rate{Limit: 3, Per: time.Hour, Burst: 1}
	r := f.start(full, slow)
	if err := f.bus.Source("s").Publish(t.Context(), tenantEvents(60, "a")...); err != nil {
		t.Fatal(err)
	}
	var of map[string][]router.Hold
	running := 0
	eventually(t, "both are held back", func() bool {
		all, err := r.Triggers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		of = map[string][]router.Hold{}
		for i := range all {
			of[all[i].Name] = all[i].Holds
			running = max(running, all[i].Running)
		}
		return running > 0 && len(of["t"]) > 0 && of["t"][0].Deliveries == 60-running && len(of["slow"]) > 0 && of["slow"][0].Deliveries == 59
	})
	if h := of["t"][0]; h.Reason != "concurrency" || h.Limit != 2 {
		t.Errorf("%+v", h)
	}
	if h := of["slow"][0]; h.Reason != "rate" || h.Limit != 3 || h.Per != time.Hour || h.Until.IsZero() {
		t.Errorf("%+v", h)
	}
	close(sink.hold)
}
