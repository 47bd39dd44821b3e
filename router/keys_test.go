package router_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"sluice/event"
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
