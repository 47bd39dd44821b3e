//go:build integration

package nats_test

import (
	"context"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
	"sluice/integration/nats"
	"sluice/sources"
	sourcenats "sluice/sources/nats"
	"sluice/sources/sourcetest"
)

// A watched environment knows what a source has reported last.
type watched struct {
	sources.Env

	mu   sync.Mutex
	last string
}

func watch() *watched {
	w := &watched{Env: env()}
	w.Report = func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.last = ""; err != nil {
			w.last = err.Error()
		}
	}
	return w
}

func (w *watched) says(text string) func() bool {
	return func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.last, text) && (text != "" || w.last == "")
	}
}

// A limited out refuses what is too large, as the bus does.
type limited struct {
	*sourcetest.Out
	most int
}

func (l *limited) Publish(ctx context.Context, events ...event.Event) error {
	if err := l.check(events); err != nil {
		return err
	}
	return l.Out.Publish(ctx, events...)
}

func (l *limited) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if err := l.check(events); err != nil {
		return err
	}
	return l.Out.PublishAt(ctx, shard, cursor, events...)
}

func (l *limited) check(events []event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], l.most); err != nil {
			return err
		}
	}
	return nil
}

// bed is a server with the stream ORDERS.
func bed(t *testing.T, retention jetstream.RetentionPolicy) (*nats.Server, jetstream.JetStream) {
	t.Helper()
	s := nats.Start(t)
	_, js := s.Dial(t)
	makeStream(t, js, retention)
	return s, js
}

func makeStream(t *testing.T, js jetstream.JetStream, retention jetstream.RetentionPolicy) {
	t.Helper()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: retention})
	if err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, js jetstream.JetStream, numbers ...string) {
	t.Helper()
	for _, n := range numbers {
		if _, err := js.Publish(t.Context(), "orders.a", []byte(`{"n":"`+n+`"}`)); err != nil {
			t.Fatal(err)
		}
	}
}

func numbers(events []event.Event) string {
	var all []string
	for i := range events {
		all = append(all, string(rune('0'+number(&events[i]))))
	}
	return strings.Join(all, " ")
}

func TestStart(t *testing.T) {
	for start, want := range map[string]string{"all": "0 1 2 3 4", "new": "3 4", "3": "2 3 4", "2020-01-01T00:00:00Z": "0 1 2 3 4"} {
		for _, w := range ways()[:2] {
			t.Run(w.name+" "+start, func(t *testing.T) {
				s, js := bed(t, jetstream.LimitsPolicy)
				put(t, js, "0", "1", "2")
				out := sourcetest.NewOut()
				source := w.source(t, s, env(), func(c *sourcenats.Config) { c.Start = start })
				stop := sourcetest.Run(t, source, out)
				sourcetest.Eventually(t, "it reads", func() bool { _, items := source.(sources.Lagging).Lag(); return items >= 0 })
				put(t, js, "3", "4")
				sourcetest.Eventually(t, want, func() bool { return numbers(out.Events()) == want })
				stop()
			})
		}
	}
}

// A stream that is deleted is told; one of the same name that is made anew is
// read from its beginning, and its messages are others. One that was purged goes
// on.
func TestStreamMadeAnew(t *testing.T) {
	for _, w := range ways()[:2] {
		t.Run(w.name, func(t *testing.T) {
			s, js := bed(t, jetstream.LimitsPolicy)
			out, health := sourcetest.NewOut(), watch()
			stop := sourcetest.Run(t, w.source(t, s, health.Env), out)
			put(t, js, "0", "1", "2")
			out.Wait(t, 3)
			stream, err := js.Stream(t.Context(), "ORDERS")
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			put(t, js, "3")
			out.Wait(t, 4)
			if err := js.DeleteStream(t.Context(), "ORDERS"); err != nil {
				t.Fatal(err)
			}
			sourcetest.Eventually(t, "it is told", health.says("there is no stream"))
			makeStream(t, js, jetstream.LimitsPolicy)
			put(t, js, "4", "5")
			out.Wait(t, 6)
			sourcetest.Eventually(t, "it is well again", health.says(""))
			if found := numbers(out.Events()); found != "0 1 2 3 4 5" {
				t.Errorf("found %s", found)
			}
			stop()
		})
	}
}

// What a work queue has is gone when it is acknowledged: a cursor cannot read it.
func TestWorkQueue(t *testing.T) {
	s, js := bed(t, jetstream.WorkQueuePolicy)
	put(t, js, "0", "1")
	out, health := sourcetest.NewOut(), watch()
	stop := sourcetest.Run(t, ways()[0].source(t, s, health.Env), out)
	sourcetest.Eventually(t, "it is told", health.says("write consumer"))
	stop()
	stop = sourcetest.Run(t, ways()[1].source(t, s, env()), out)
	out.Wait(t, 2)
	stream, err := js.Stream(t.Context(), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.Eventually(t, "the queue is empty", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	stop()
}

// What is too large for the bus is passed by, told, and kept; with a larger limit
// it comes.
func TestTooLarge(t *testing.T) {
	w := ways()[0]
	s, js := bed(t, jetstream.LimitsPolicy)
	put(t, js, "0", "1")
	if _, err := js.Publish(t.Context(), "orders.a", []byte(`{"n":"2","x":"`+strings.Repeat("x", 5000)+`"}`)); err != nil {
		t.Fatal(err)
	}
	put(t, js, "3")
	out, health := sourcetest.NewOut(), watch()
	stop := sourcetest.Run(t, w.source(t, s, health.Env), &limited{Out: out, most: 2000})
	out.Wait(t, 3)
	sourcetest.Eventually(t, "it is told", health.says("larger than bus.max_event"))
	stop()
	health = watch()
	stop = sourcetest.Run(t, w.source(t, s, health.Env), out.Restart())
	out.Wait(t, 4)
	sourcetest.Eventually(t, "it is well", health.says(""))
	if found := numbers(out.Events()); found != "0 1 3 2" {
		t.Errorf("found %s", found)
	}
	stop()
}

// What comes faster than it can become durable is lost from core subjects, and
// that is told.
func TestSlowConsumer(t *testing.T) {
	s := nats.Start(t)
	conn, _ := s.Dial(t)
	out, health := sourcetest.NewOut(), watch()
	unblock := out.Block()
	stop := sourcetest.Run(t, ways()[2].source(t, s, health.Env), out)
	sourcetest.Eventually(t, "it listens", func() bool { return s.Hears("orders.a") })
	for range 90_000 {
		if err := conn.Publish("orders.a", []byte(`{"n":"1"}`)); err != nil {
			t.Fatal(err)
		}
	}
	sourcetest.Eventually(t, "it is told", health.says("are lost"))
	unblock()
	out.Wait(t, 50_000)
	stop()
}
