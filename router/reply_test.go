package router_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/event"
	"sluice/router"
	"sluice/sinks"
)

// An answering sink answers each delivery with so many events.
type answering struct {
	name    string
	replies int
	maxHops int

	mu    sync.Mutex
	calls map[string]int
}

func (s *answering) Deliver(_ context.Context, a sinks.Attempt) (sinks.Response, error) {
	d := &a.Deliveries[0]
	s.mu.Lock()
	if s.calls == nil {
		s.calls = map[string]int{}
	}
	s.calls[d.ID]++
	s.mu.Unlock()
	all := make([]event.Event, s.replies)
	for i := range all {
		all[i] = event.Event{Type: sinks.ReplyType, Data: d.Event.Data, DataContentType: "application/json"}
	}
	err := sinks.CompleteReplies(d, s.name, s.maxHops, all)
	return sinks.Response{Status: 200, Replies: map[int][]event.Event{0: all}}, err
}

func (s *answering) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.calls)
}

func (s *answering) trigger(on ...string) router.Trigger {
	t := trigger(s.name, nil)
	t.Sources, t.Sink, t.ReplyAs = on, s, s.name
	return t
}

// repliesIn returns the entries of the log that are replies.
func (f *fixture) repliesIn() []*event.Entry {
	f.t.Helper()
	batch, err := f.bus.Range(f.t.Context(), 1, 100_000, 64<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	var all []*event.Entry
	for _, e := range batch.Entries {
		if e.Trigger == "" && e.Origin != "" {
			all = append(all, e)
		}
	}
	return all
}

func TestRepliesGoOnAsEvents(t *testing.T) {
	f := newFixture(t)
	first := &answering{name: "first", replies: 3, maxHops: 8}
	var got counter
	second := trigger("second", got.deliver)
	second.Sources = []string{"first"}
	r := f.startWith(router.Options{Triggers: []router.Trigger{first.trigger("s"), second}, Replies: f.bus})
	f.publish("s", 0, 50)
	eventually(t, "all replies are delivered", func() bool { return got.len() == 150 })
	r.conserved(t)
	for _, e := range f.repliesIn() {
		origin, err := event.ParseDeliveryID(e.Origin)
		if err != nil || origin.Trigger != "first" || e.Source != "first" || !strings.HasPrefix(e.Event.ID, e.Origin+".") || sinks.Hops(e.Event) != 1 {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// TestRepliesArePublishedBeforeTheEnd shows I3: the outcome of an answered
// delivery is never written, so that it is made again, and what it was
// answered with is there once.
func TestRepliesArePublishedBeforeTheEnd(t *testing.T) {
	f := newFixture(t)
	first := &answering{name: "first", replies: 4, maxHops: 8}
	var away atomic.Bool
	l := &ledgerWith{Ledger: f.bus, after: func() error { return nil }, before: func(context.Context) error {
		if away.Load() {
			return event.ErrUnavailable
		}
		return nil
	}}
	o := router.Options{Triggers: []router.Trigger{first.trigger("s")}, Replies: f.bus, Drain: 1, Ledger: l, Letters: f.letters}
	r := f.startOn(o)
	away.Store(true)
	f.publish("s", 0, 20)
	eventually(t, "replies are there", func() bool { return len(f.repliesIn()) == 80 })
	_ = r.stop()
	away.Store(false)
	r = f.startOn(o)
	r.conserved(t)
	for id, calls := range first.calls {
		if calls < 2 {
			t.Errorf("%s was delivered %d times: the ledger had its end", id, calls)
		}
	}
	if n := len(f.repliesIn()); n != 80 || first.count() != 20 {
		t.Errorf("%d replies to %d deliveries", n, first.count())
	}
}

// repliesWith publishes nothing while it is told so.
type repliesWith struct {
	router.Replies
	fail atomic.Pointer[error]
}

func (r *repliesWith) PublishReplies(ctx context.Context, name, delivery string, events ...event.Event) error {
	if err := r.fail.Load(); err != nil {
		return *err
	}
	return r.Replies.PublishReplies(ctx, name, delivery, events...)
}

func TestRepliesThatCannotBePublished(t *testing.T) {
	f := newFixture(t)
	first := &answering{name: "first", replies: 1, maxHops: 8}
	one := first.trigger("s")
	one.Retry.Attempts = 1
	to := &repliesWith{Replies: f.bus}
	to.fail.Store(&event.ErrUnavailable)
	r := f.startWith(router.Options{Triggers: []router.Trigger{one}, Replies: to})
	f.publish("s", 0, 1)
	eventually(t, "waits", func() bool {
		lives, err := r.Life(t.Context(), 1)
		return err == nil && len(lives) == 1 && len(lives[0].Attempts) == 1 && lives[0].State == "waiting" &&
			lives[0].Attempts[0].Outcome == "throttled" && strings.HasPrefix(lives[0].Attempts[0].Error, "the reply could not be published: ")
	})
	to.fail.Store(nil)
	if a := r.conserved(t); a.Triggers[0].Delivered != 1 || len(f.repliesIn()) != 1 {
		t.Errorf("%+v, %d replies", a.Triggers[0], len(f.repliesIn()))
	}
	large := fmt.Errorf("a reply: %w", event.ErrTooLarge)
	to.fail.Store(&large)
	f.publish("s", 1, 2)
	if a := r.conserved(t); a.Triggers[0].Dead != 1 {
		t.Errorf("%+v", a.Triggers[0])
	}
}

// TestACycleEndsAtTheHopLimit: a trigger that is on its own replies.
func TestACycleEndsAtTheHopLimit(t *testing.T) {
	f := newFixture(t)
	loop := &answering{name: "loop", replies: 1, maxHops: 5}
	r := f.startWith(router.Options{Triggers: []router.Trigger{loop.trigger("s", "loop")}, Replies: f.bus})
	f.publish("s", 0, 3)
	eventually(t, "all cycles end", func() bool {
		all, err := r.Triggers(t.Context())
		return err == nil && all[0].Dead == 3
	})
	if a := r.conserved(t); a.Triggers[0].Delivered != 15 || a.Triggers[0].Dead != 3 || len(f.repliesIn()) != 15 {
		t.Errorf("%+v, %d replies", a.Triggers[0], len(f.repliesIn()))
	}
}

func TestRepliesNeedSomewhereToGo(t *testing.T) {
	f := newFixture(t)
	r, err := router.New(router.Options{
		Triggers: []router.Trigger{(&answering{name: "first"}).trigger("s")},
		Log:      f.bus, Ledger: f.bus, Letters: f.letters, Incarnation: f.bus.Incarnation(),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `trigger "first" publishes replies, and there is nowhere to publish them`
	if err := r.Run(t.Context()); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
