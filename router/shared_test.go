package router_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/event/transform"
	"sluice/router"
	"sluice/router/core"
	"sluice/sinks"
)

// A looking sink remembers the events as they were when they came, and as they are.
type looking struct {
	mu   sync.Mutex
	were []event.Event
	are  []*event.Event
	fail bool
}

func (l *looking) Deliver(_ context.Context, a sinks.Attempt) (sinks.Response, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	response := sinks.Response{Status: 200}
	for i := range a.Deliveries {
		e := a.Deliveries[i].Event
		l.were, l.are = append(l.were, e.Clone()), append(l.are, e)
	}
	if l.fail {
		return response, errors.New("not now")
	}
	return response, nil
}

func (l *looking) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.are)
}

// TestSharedEventsStayAsTheyAre has triggers of all kinds share the entries of one
// log: with transforms, batches, keys, retries and letters. What a sink was given
// stays as it was, and the race detector sees who would write to it.
func TestSharedEventsStayAsTheyAre(t *testing.T) {
	f := newFixture(t)
	const events = 300
	var all []*looking
	var triggers []router.Trigger
	add := func(name string, change func(*router.Trigger, *looking)) {
		l := &looking{}
		tr := router.Trigger{Name: name, Sources: []string{"s"}, Sink: l, Retry: core.RetryPolicy{Attempts: 2, Initial: time.Millisecond, Max: time.Millisecond}}
		change(&tr, l)
		all, triggers = append(all, l), append(triggers, tr)
	}
	jq := func(value any) func(*router.Trigger, *looking) {
		tf, err := transform.FromValue(value)
		if err != nil {
			t.Fatal(err)
		}
		return func(tr *router.Trigger, _ *looking) { tr.Transform = tf }
	}
	add("plain", func(*router.Trigger, *looking) {})
	add("data", jq(".data.n"))
	add("whole", jq(map[string]any{"event": `.type = "changed" | del(.sluicehops)`}))
	add("batch", func(tr *router.Trigger, _ *looking) { tr.Batch = router.Batch{Size: 10, Window: 5 * time.Millisecond} })
	add("ordered", func(tr *router.Trigger, _ *looking) { tr.Flow.Ordered = true })
	add("failing", func(_ *router.Trigger, l *looking) { l.fail = true })
	r := f.startWith(router.Options{Triggers: triggers, Turns: transform.NewTurns(2)})
	published := make([]event.Event, events)
	for i := range published {
		published[i] = event.Event{
			ID: strconv.Itoa(i), Source: "/test", Type: "test.made", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, i),
			Extensions: map[string]any{"partitionkey": strconv.Itoa(i % 7), sinks.AttributeHops: int32(1), "flag": true},
		}
	}
	if err := f.bus.Source("s").Publish(t.Context(), published...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivered to all", func() bool {
		for i, l := range all {
			want := events
			if triggers[i].Name == "failing" {
				want = 2 * events
			}
			if l.len() < want {
				return false
			}
		}
		return true
	})
	r.conserved(t)
	for i, l := range all {
		for n := range l.are {
			if !reflect.DeepEqual(*l.are[n], l.were[n]) {
				t.Errorf("%s: an event was %+v and is %+v", triggers[i].Name, l.were[n], *l.are[n])
			}
		}
	}
	for n, e := range all[0].are {
		if e.Type != "test.made" || sinks.Hops(e) != 1 || e.Extensions["flag"] != true {
			t.Fatalf("%d: %+v", n, e)
		}
	}
}
