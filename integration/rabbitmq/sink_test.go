//go:build integration

package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/sinks"
	"sluice/sinks/amqp"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

// sink builds a sink.
func (b *Broker) sink(tb testing.TB, change func(*amqp.Config)) sinks.Sink {
	tb.Helper()
	c := amqp.NewConfig()
	c.URL, c.User, c.Password = config.NewSecret(b.URL()), User, config.NewSecret(Password)
	change(c)
	s, err := c.Sink(sinks.Env{Name: "bill", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A drain takes what a queue has when it is asked, and keeps it.
type drain struct {
	broker *Broker
	queue  string
	taken  []amqp091.Delivery
}

// stored returns everything that the queue has had, by its deliveries.
func (d *drain) stored(tb testing.TB) []sinktest.Received {
	tb.Helper()
	var all []sinktest.Received
	for _, m := range d.all(tb) {
		number, _ := strconv.Atoi(fmt.Sprint(m.Headers[worker.HeaderAttempt]))
		if m.MessageId != m.Headers[worker.HeaderDelivery] {
			tb.Errorf("the message id is %q", m.MessageId)
		}
		key, _ := m.Headers["cloudEvents:partitionkey"].(string)
		all = append(all, sinktest.Received{ID: m.MessageId, Attempt: number, Data: string(m.Body), Key: key})
	}
	return all
}

// all returns everything that the queue has had.
func (d *drain) all(tb testing.TB) []amqp091.Delivery {
	tb.Helper()
	connection, err := amqp091.Dial(d.broker.Login())
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // everything is acknowledged
	channel, err := connection.Channel()
	if err != nil {
		tb.Fatal(err)
	}
	for {
		m, found, err := channel.Get(d.queue, true)
		if err != nil {
			tb.Fatal(err)
		}
		if !found {
			return slices.Clone(d.taken)
		}
		d.taken = append(d.taken, m)
	}
}

// store is a new queue that a new exchange sends everything to.
func store(tb testing.TB, b *Broker, kind string) sinktest.Store {
	tb.Helper()
	queue := newName()
	b.Queue(tb, queue, kind, nil)
	channel := b.Channel(tb)
	if err := channel.ExchangeDeclare(queue, "topic", true, false, false, false, nil); err != nil {
		tb.Fatal(err)
	}
	if err := channel.QueueBind(queue, "key.#", queue, false, nil); err != nil {
		tb.Fatal(err)
	}
	d := &drain{broker: b, queue: queue}
	const key = "key.{{ .partitionkey }}"
	return sinktest.Store{
		Sink: func(tb testing.TB) sinks.Sink {
			tb.Helper()
			return b.sink(tb, func(c *amqp.Config) { c.Exchange, c.RoutingKey = queue, key })
		},
		Section: fmt.Sprintf(`amqp: {url: "%s", exchange: %s, routing_key: "%s"}`, b.Login(), queue, key),
		Stored:  d.stored,
		Restart: b.Restart,
		Crash:   b.Crash,
		Hold:    b.Hold,
		Wrong:   wrongSinks(b, queue),
		Batches: true,
		Bad: func(n int) *event.Event { // its routing key is too long
			return &event.Event{
				ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "bad", Data: fmt.Appendf(nil, `{"n":%d}`, n),
				Extensions: map[string]any{"partitionkey": strings.Repeat("k", 300)},
			}
		},
	}
}

func wrongSinks(b *Broker, exchange string) []sinktest.Wrong {
	wrong := func(name, want string, permanent bool, change func(*amqp.Config)) sinktest.Wrong {
		return sinktest.Wrong{Name: name, Want: want, Permanent: permanent, Sink: func(tb testing.TB) sinks.Sink {
			tb.Helper()
			return b.sink(tb, func(c *amqp.Config) {
				c.Exchange, c.RoutingKey = exchange, "key"
				change(c)
			})
		}}
	}
	return []sinktest.Wrong{
		wrong("wrong password", `it refuses the user "sluice"`, false, func(c *amqp.Config) { c.Password = config.NewSecret("wrong") }),
		wrong("no such virtual host", `it refuses the virtual host "none"`, false, func(c *amqp.Config) { c.VHost = "none" }),
		wrong("no such exchange", `there is no exchange "none"`, false, func(c *amqp.Config) { c.Exchange = "none" }),
		wrong("no queue takes it", `no queue takes what is sent to the exchange "`+exchange+`" with the routing key "other"`, false, func(c *amqp.Config) { c.RoutingKey = "other" }),
		wrong("no such queue", `no queue takes what is sent to the exchange "" with the routing key "none"`, false, func(c *amqp.Config) { c.Exchange, c.RoutingKey = "", "none" }),
		wrong("nobody there", "connection refused", false, func(c *amqp.Config) { c.URL = config.NewSecret("amqp://127.0.0.1:1") }),
		wrong("an address that is refused", "refused to connect to 127.0.0.1", true, func(c *amqp.Config) { c.Egress = "public" }),
	}
}

func TestSink(t *testing.T) {
	b := Start(t)
	// A node of this version that is killed soon after a quorum queue was made does
	// not find it again, so that the suite has a classic one.
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name:    amqp.Kind,
		Start:   func(tb testing.TB) sinktest.Store { tb.Helper(); return store(tb, b, amqp091.QueueTypeClassic) },
		Kill:    adapters.KillSink,
		Without: map[string]string{"the same twice": "AMQP stores a message twice; consumers know it by its message id, the delivery's"},
	})
}

func BenchmarkSink(b *testing.B) {
	broker := Start(b)
	for _, kind := range []string{amqp091.QueueTypeClassic, amqp091.QueueTypeQuorum} {
		adapters.BenchSink(b, "amqp, "+kind+" queue", func(tb testing.TB) sinktest.Store { tb.Helper(); return store(tb, broker, kind) })
	}
}

// attempt is one of a delivery with so many bytes of data.
func attempt(id string, size int) sinks.Attempt {
	e := &event.Event{ID: id, Source: "/test", Type: "made", Data: []byte(strings.Repeat("x", size))}
	return sinks.Attempt{Trigger: "test", Claim: 1, Deliveries: []sinks.Delivery{{ID: "inc." + id + ".test", Attempt: 1, Event: e}}}
}

func closing(t *testing.T, s sinks.Sink) {
	t.Helper()
	t.Cleanup(func() {
		if err := s.(sinks.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestSinkLimits(t *testing.T) {
	b := Start(t)
	t.Run("a message that the broker never takes", func(t *testing.T) {
		queue := newName()
		b.Queue(t, queue, "classic", nil)
		s := b.sink(t, func(c *amqp.Config) { c.RoutingKey = queue })
		closing(t, s)
		for range 3 { // the broker says so first, and is not asked again
			if _, err := s.Deliver(t.Context(), attempt("1", MaxMessage+1)); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "max_message_size") {
				t.Errorf("it ended with %v", err)
			}
			if _, err := s.Deliver(t.Context(), attempt("2", MaxMessage)); err != nil {
				t.Errorf("the next one ended with %v", err)
			}
		}
	})
	t.Run("a queue that is full", func(t *testing.T) {
		queue := newName()
		b.Queue(t, queue, "classic", amqp091.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
		s := b.sink(t, func(c *amqp.Config) { c.RoutingKey = queue })
		closing(t, s)
		if _, err := s.Deliver(t.Context(), attempt("1", 1)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Deliver(t.Context(), attempt("2", 1)); !is[*sinks.ThrottledError](err) {
			t.Errorf("what the queue rejects ended with %v", err)
		}
	})
	t.Run("not mandatory", func(t *testing.T) {
		s := b.sink(t, func(c *amqp.Config) { c.RoutingKey, c.Mandatory = "none", false })
		closing(t, s)
		if _, err := s.Deliver(t.Context(), attempt("1", 1)); err != nil {
			t.Error(err)
		}
	})
	t.Run("attributes that no frame has room for", func(t *testing.T) {
		s := b.sink(t, func(c *amqp.Config) { c.RoutingKey = "none" })
		closing(t, s)
		a := attempt("1", 1)
		a.Deliveries[0].Event.Extensions = map[string]any{"x": strings.Repeat("x", 140_000)}
		if _, err := s.Deliver(t.Context(), a); !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "frame_max") {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("a broker that is low on memory", func(t *testing.T) { lowOnMemory(t, b) })
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// lowOnMemory sends while the broker takes nothing: what was sent before it says
// so is tried again, what comes after does not count as an attempt, and all goes on
// by itself.
func lowOnMemory(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, "classic", nil)
	s := b.sink(t, func(c *amqp.Config) { c.RoutingKey = queue })
	closing(t, s)
	b.Control(t, "set_vm_memory_high_watermark", "0.0000001")
	short := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		_, err := s.Deliver(ctx, attempt("1", 1))
		return err
	}
	for deadline := time.Now().Add(within); ; {
		err := short()
		if is[*sinks.ThrottledError](err) && strings.Contains(err.Error(), "low on memory") && errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the broker is low on memory, and a delivery ends with %v", err)
		}
	}
	done := make(chan error, 1)
	go func() {
		_, err := s.Deliver(t.Context(), attempt("2", 1))
		done <- err
	}()
	b.Control(t, "set_vm_memory_high_watermark", "0.4")
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(within):
		t.Error("it does not go on")
	}
}
