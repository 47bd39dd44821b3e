package router_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/dlq"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

func transforming(t *testing.T, value any) *transform.Transform {
	t.Helper()
	made, err := transform.FromValue(value)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestTransforms checks that the sink gets what the transform makes, that what
// yields nothing is discarded with its reason (invariant I2), and that what fails
// is a letter at once, with the event as it came.
func TestTransforms(t *testing.T) {
	f := newFixture(t)
	var mu sync.Mutex
	got := map[string]string{}
	changes := trigger("changes", func(_ context.Context, d sinks.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		got[d.Event.ID] = string(d.Event.Data)
		return nil
	})
	changes.Transform = transforming(t, `.data | if .n == 1 then empty elif .n == 2 then .n[0] else {twice: (.n * 2)} end`)
	r := f.start(changes)
	f.publish("s", 0, 4)
	eventually(t, "all are settled", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && all[0].Delivered == 2 && all[0].Discarded == 1 && all[0].Dead == 1
	})
	r.conserved(t)
	if want := map[string]string{"e0": `{"twice":0}`, "e3": `{"twice":6}`}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the sink has received %v", got)
	}
	lives, err := r.Life(t.Context(), 2)
	if err != nil || lives[0].State != "discarded" || lives[0].Reason != "filtered" {
		t.Errorf("the life of what yields nothing: %+v, %v", lives, err)
	}
	page, _, err := f.letters.List(t.Context(), dlq.Filter{}, 0, 10)
	if err != nil || len(page) != 1 {
		t.Fatalf("letters: %+v, %v", page, err)
	}
	letter, err := f.letters.Get(t.Context(), page[0].ID.String())
	if err != nil {
		t.Fatal(err)
	}
	want := "in `if .n == 1 then empty elif .n == 2 then .n[0] else { twice: (.n * 2) } end` of .data: expected an array but got: number (2)"
	if string(letter.Event.Data) != `{"n":2}` || len(letter.Attempts) != 1 || !strings.Contains(letter.Attempts[0].Error, want) {
		t.Errorf("the letter is %s, %+v", letter.Event.Data, letter.Attempts)
	}
}

// TestTransformsInABatch checks that one that fails leaves the others.
func TestTransformsInABatch(t *testing.T) {
	f := newFixture(t)
	b := &batcher{}
	many := batchTrigger(b, 4, never)
	many.Transform = transforming(t, `if .data.n == 2 then error("two") else .data end`)
	r := f.start(many)
	f.publish("s", 0, 4)
	eventually(t, "all are settled", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && all[0].Delivered == 3 && all[0].Dead == 1
	})
	r.conserved(t)
	if attempts, events := b.count(); attempts != 1 || events != 3 {
		t.Errorf("%d attempts of %d events", attempts, events)
	}
}

// TestTransformsKeepTheHops checks that a transform cannot make a cycle endless.
func TestTransformsKeepTheHops(t *testing.T) {
	f := newFixture(t)
	hops := make(chan int, 1)
	changes := trigger("changes", func(_ context.Context, d sinks.Delivery) error {
		hops <- sinks.Hops(d.Event)
		return nil
	})
	changes.Transform = transforming(t, map[string]any{"event": "del(.sluicehops) | .type = \"changed\""})
	f.start(changes)
	e := event.Event{ID: "1", Source: "/t", Type: "made", Extensions: map[string]any{sinks.AttributeHops: int32(3)}}
	if err := f.bus.Source("s").Publish(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	select {
	case n := <-hops:
		if n != 3 {
			t.Errorf("%d hops", n)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was delivered")
	}
}

// TestAPanicInATransform checks that it is a failed attempt (invariant I7): the
// delivery ends as a letter, and other triggers go on (invariant I4).
func TestAPanicInATransform(t *testing.T) {
	f := newFixture(t)
	var fine counter
	broken := trigger("broken", func(context.Context, sinks.Delivery) error {
		t.Error("what has no transform's result is delivered")
		return nil
	})
	broken.Transform = new(transform.Transform) // of no form: nothing makes it but a mistake of ours
	r := f.start(broken, trigger("fine", fine.deliver))
	f.publish("s", 0, 3)
	eventually(t, "both are settled", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && all[0].Dead == 3 && all[1].Delivered == 3
	})
	r.conserved(t)
	letter, err := f.letters.Get(t.Context(), event.DeliveryID{Incarnation: f.bus.Incarnation(), Sequence: 1, Trigger: "broken"}.String())
	if err != nil {
		t.Fatal(err)
	}
	if n := len(letter.Attempts); n != 3 || !strings.HasPrefix(letter.Attempts[0].Error, "transform: it panicked: ") {
		t.Errorf("the attempts are %+v", letter.Attempts)
	}
}
