package router_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"sluice/event"
	"sluice/router"
	"sluice/sinks"
)

// TestFanOut gives each event to a thousand triggers, one of which refuses it
// and one of which is paused: the others have each event once, and nothing is
// lost (I2, I4).
func TestFanOut(t *testing.T) {
	const triggers, events = 1000, 20
	f := newFixture(t)
	taken := make([]counter, triggers)
	all := make([]router.Trigger, 0, triggers)
	for n := range triggers {
		deliver := taken[n].deliver
		if n == 1 {
			deliver = func(context.Context, sinks.Delivery) error { return sinks.Permanent(errors.New("not mine")) }
		}
		all = append(all, trigger(fmt.Sprintf("t%d", n), deliver))
	}
	r := f.start(all...)
	if err := r.Pause(t.Context(), "t2"); err != nil {
		t.Fatal(err)
	}
	f.publish("s", 0, events)
	others := func() int {
		n := 0
		for i := range taken {
			n += taken[i].len()
		}
		return n
	}
	eventually(t, "delivered by all others", func() bool { return others() == (triggers-2)*events })
	if err := r.Resume(t.Context(), "t2"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "delivered by the one that was paused", func() bool { return taken[2].len() == events })
	audit := r.conserved(t)
	if len(audit.Triggers) < triggers {
		t.Errorf("the audit is of %d triggers", len(audit.Triggers))
	}
}

// TestSettled asks of several deliveries at once.
func TestSettled(t *testing.T) {
	f := newFixture(t)
	release := make(chan struct{})
	held := trigger("held", func(ctx context.Context, _ sinks.Delivery) error {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	})
	var done counter
	r := f.start(held, trigger("quick", done.deliver))
	f.publish("s", 0, 1)
	id := func(trigger string) string {
		return event.DeliveryID{Incarnation: f.bus.Incarnation(), Sequence: 1, Trigger: trigger}.String()
	}
	ids := []string{id("held"), id("quick"), id("unknown"), "none", "other.1.held"}
	eventually(t, "only the held one, and what is no id, is not settled", func() bool {
		return slices.Equal(r.Settled(ids...), []bool{false, true, true, false, true})
	})
	close(release)
	eventually(t, "all are settled", func() bool { return r.Settled(ids...)[0] })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if answers := r.Settled(ids...); answers[0] || answers[1] || !answers[4] {
		t.Errorf("without the router: %v", answers)
	}
}
