//go:build integration

package rabbitmq

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/sources"
	"sluice/sources/amqp"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { adapters.Main(m) }

// names are those of queues, each used once in a process.
var names atomic.Int64

func newName() string { return "q" + strconv.FormatInt(names.Add(1), 10) }

// source builds the source of a queue.
func (b *Broker) source(tb testing.TB, env sources.Env, change func(*amqp.Config)) sources.Source {
	tb.Helper()
	c := amqp.NewConfig()
	c.URL, c.User, c.Password = config.NewSecret(b.URL()), User, config.NewSecret(Password)
	change(c)
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A publisher sends numbered messages, each until it is confirmed.
type publisher struct {
	broker   *Broker
	exchange string
	sent     int
}

// keys are how many routing keys there are.
const keys = 4

func (p *publisher) message(n int) (key string, message amqp091.Publishing) {
	return fmt.Sprintf("key.%d", n%keys), amqp091.Publishing{
		MessageId: "m" + strconv.Itoa(n), ContentType: "application/json", DeliveryMode: amqp091.Persistent,
		Body: fmt.Appendf(nil, `{"n":%d}`, n), Headers: amqp091.Table{"n": int64(n)},
	}
}

// send sends the messages from, …, to-1 in their order.
func (p *publisher) send(ctx context.Context, from, to int) error {
	for from < to {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		n, err := p.try(ctx, from, to)
		if from = n; err != nil {
			pause(ctx)
		}
	}
	return nil
}

// pause lets a broker that is away come back.
func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(20 * time.Millisecond):
	}
}

// try returns the number of the first message that was not confirmed.
func (p *publisher) try(ctx context.Context, from, to int) (int, error) {
	connection, err := amqp091.Dial(p.broker.Login())
	if err != nil {
		return from, err
	}
	defer func() { _ = connection.CloseDeadline(time.Now().Add(time.Second)) }() // the broker may have gone
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		return from, err
	}
	for ; from < to; from++ {
		key, message := p.message(from)
		confirmation, err := channel.PublishWithDeferredConfirm(p.exchange, key, false, false, message)
		if err != nil {
			return from, err
		}
		if ok, err := confirmation.WaitContext(ctx); err != nil || !ok {
			return from, fmt.Errorf("confirmed %v: %w", ok, err)
		}
	}
	return to, nil
}

// upstream is a new queue that an exchange sends everything to.
func upstream(tb testing.TB, b *Broker, kind string) sourcetest.Upstream {
	tb.Helper()
	queue := newName()
	b.Queue(tb, queue, kind, nil)
	channel := b.Channel(tb)
	if err := channel.ExchangeDeclare(queue, "topic", true, false, false, false, nil); err != nil {
		tb.Fatal(err)
	}
	if err := channel.QueueBind(queue, "#", queue, false, nil); err != nil {
		tb.Fatal(err)
	}
	p := &publisher{broker: b, exchange: queue}
	last, repeated := 0, 0
	return sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			return b.source(tb, sourcetest.Env("jobs", nil), func(c *amqp.Config) { c.Queue = queue })
		},
		Section: fmt.Sprintf(`amqp: {url: "%s", queue: %s}`, b.Login(), queue),
		Keeps:   true,
		Send: func(ctx context.Context, n int) error {
			last = n
			p.sent += n
			return p.send(ctx, p.sent-n, p.sent)
		},
		Again: func(ctx context.Context) error {
			repeated += last
			return p.send(ctx, p.sent-last, p.sent)
		},
		Acked: func() int { return p.sent + repeated - b.messages(tb, queue) - repeated },
		Number: func(e *event.Event) int {
			var data struct{ N int }
			if err := json.Unmarshal(e.Data, &data); err != nil {
				tb.Errorf("%s: %v", e.Data, err)
			}
			return data.N
		},
		Restart: b.Restart,
		Wrong:   wrongSources(b, queue),
		Fill:    func(ctx context.Context, n, size int) error { return fill(ctx, b, queue, n, size) },
	}
}

// messages returns how many messages a queue has, those that are not acknowledged
// among them.
func (b *Broker) messages(tb testing.TB, queue string) int {
	tb.Helper()
	for line := range strings.Lines(b.Control(tb, "-q", "--no-table-headers", "list_queues", "name", "messages")) {
		if fields := strings.Fields(line); len(fields) == 2 && fields[0] == queue {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Fatalf("there is no queue %s", queue)
	return 0
}

func wrongSources(b *Broker, queue string) []sourcetest.Wrong {
	wrong := func(name, want string, change func(*amqp.Config)) sourcetest.Wrong {
		return sourcetest.Wrong{Name: name, Want: want, Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			return b.source(tb, env, func(c *amqp.Config) {
				c.Queue = queue
				change(c)
			})
		}}
	}
	return []sourcetest.Wrong{
		wrong("wrong password", `it refuses the user "sluice"`, func(c *amqp.Config) { c.Password = config.NewSecret("wrong") }),
		wrong("no such virtual host", `it refuses the virtual host "none"`, func(c *amqp.Config) { c.VHost = "none" }),
		wrong("no such queue", `there is no queue "none": create it, or have sluice create it by declare`, func(c *amqp.Config) { c.Queue = "none" }),
		wrong("no such exchange", `there is no exchange "none"`, func(c *amqp.Config) { c.Bind = []amqp.Binding{{Exchange: "none"}} }),
		wrong("another kind of queue", `is not what declare says`, func(c *amqp.Config) {
			c.Declare = &amqp.Declare{Arguments: map[string]any{"x-max-length": json.Number("7")}}
		}),
		wrong("nobody there", "connection refused", func(c *amqp.Config) { c.URL = config.NewSecret("amqp://127.0.0.1:1") }),
	}
}

// fill publishes n messages of size bytes, which are confirmed together.
func fill(ctx context.Context, b *Broker, queue string, n, size int) error {
	connection, err := amqp091.Dial(b.Login())
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }() // everything is confirmed
	channel, err := connection.Channel()
	if err == nil {
		err = channel.Confirm(false)
	}
	if err != nil {
		return err
	}
	body := []byte(strings.Repeat("x", size))
	var window []*amqp091.DeferredConfirmation
	for i := range n {
		message := amqp091.Publishing{MessageId: strconv.Itoa(i), DeliveryMode: amqp091.Persistent, Body: body}
		c, err := channel.PublishWithDeferredConfirm("", queue, false, false, message)
		if err != nil {
			return err
		}
		if window = append(window, c); len(window) < 1000 && i < n-1 {
			continue
		}
		for _, c := range window {
			if ok, err := c.WaitContext(ctx); err != nil || !ok {
				return fmt.Errorf("confirmed %v: %w", ok, err)
			}
		}
		window = window[:0]
	}
	return nil
}

func TestSource(t *testing.T) {
	b := Start(t)
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name:  amqp.Kind,
		Start: func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, b, amqp091.QueueTypeQuorum) },
		Kill:  adapters.KillSource,
	})
}

func BenchmarkSource(b *testing.B) {
	broker := Start(b)
	for _, kind := range []string{amqp091.QueueTypeClassic, amqp091.QueueTypeQuorum} {
		adapters.BenchSource(b, "amqp, "+kind+" queue", func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, broker, kind) })
	}
}
