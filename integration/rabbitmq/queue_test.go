//go:build integration

package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/amqp"
	"sluice/sources/sourcetest"
)

// A health keeps what a source reports.
type health struct {
	mu  sync.Mutex
	all []string
}

func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, fmt.Sprint(err))
}

// await waits until the source has reported a text.
func (h *health) await(t *testing.T, text string) {
	t.Helper()
	sourcetest.Eventually(t, "the health has "+text, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return strings.Contains(strings.Join(h.all, "\n"), text)
	})
}

// running runs the source of a queue until the test ends.
func (b *Broker) running(t *testing.T, out sources.Out, queue string, change func(*amqp.Config)) (*health, func()) {
	t.Helper()
	h := &health{}
	env := sourcetest.Env("jobs", nil)
	env.Report = h.report
	stop := sourcetest.Run(t, b.source(t, env, func(c *amqp.Config) {
		c.Queue = queue
		if change != nil {
			change(c)
		}
	}), out)
	return h, stop
}

// A small bus takes no event with more data than that.
type small struct {
	*sourcetest.Out

	most int
}

func (s small) Publish(ctx context.Context, events ...event.Event) error {
	for i := range events {
		if len(events[i].Data) > s.most {
			return fmt.Errorf("%w: %d bytes", event.ErrTooLarge, len(events[i].Data))
		}
	}
	return s.Out.Publish(ctx, events...)
}

// publish sends messages straight to a queue.
func (b *Broker) publish(t *testing.T, queue string, messages ...amqp091.Publishing) {
	t.Helper()
	channel := b.Channel(t)
	if err := channel.Confirm(false); err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		c, err := channel.PublishWithDeferredConfirm("", queue, true, false, messages[i])
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := c.WaitContext(t.Context()); !ok || err != nil {
			t.Fatalf("confirmed %v: %v", ok, err)
		}
	}
}

func sized(id string, size int) amqp091.Publishing {
	return amqp091.Publishing{MessageId: id, DeliveryMode: amqp091.Persistent, Body: []byte(strings.Repeat("x", size))}
}

func TestQueues(t *testing.T) {
	b := Start(t)
	for name, test := range map[string]func(*testing.T, *Broker){
		"oversized: hold": oversizedHeld, "oversized: dead_letter": oversizedRejected, "the queue is deleted": queueDeleted,
		"exclusive": exclusive, "more than fits into memory": large, "headers of all types": headers,
		"what was not acknowledged comes again": redelivered, "TLS": overTLS,
	} {
		t.Run(name, func(t *testing.T) { test(t, b) })
	}
}

// oversizedHeld has a message that is too large in the middle: the others go on,
// and it comes again when the source does.
func oversizedHeld(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeClassic, nil)
	b.publish(t, queue, sized("1", 1), sized("2", 1), sized("large", 1001), sized("3", 1))
	out := sourcetest.NewOut()
	h, stop := b.running(t, small{out, 1000}, queue, nil)
	out.Wait(t, 3)
	h.await(t, `1 messages are held in the queue, because no event has room for them; the last one is "large" with 1001 bytes`)
	b.publish(t, queue, sized("4", 1))
	out.Wait(t, 4)
	stop()
	sourcetest.Eventually(t, "only the large one is left", func() bool { return b.messages(t, queue) == 1 })
	b.running(t, out.Restart(), queue, nil)
	if e := out.Wait(t, 5)[4]; e.ID != "large" || e.Extension("redelivered") != "true" {
		t.Errorf("then comes %q, redelivered: %s", e.ID, e.Extension("redelivered"))
	}
}

func oversizedRejected(t *testing.T, b *Broker) {
	t.Helper()
	queue, dead := newName(), newName()
	b.Queue(t, dead, amqp091.QueueTypeClassic, nil)
	exchange := ""
	out := sourcetest.NewOut()
	h, stop := b.running(t, small{out, 1000}, queue, func(c *amqp.Config) {
		c.Oversized, c.Bind = amqp.DeadLetter, []amqp.Binding{{Exchange: "amq.direct", Keys: []string{queue}}}
		c.Declare = &amqp.Declare{Type: amqp091.QueueTypeQuorum, DeadLetterExchange: &exchange, DeadLetterRoutingKey: dead}
	})
	sourcetest.Eventually(t, "the queue is declared", func() bool {
		return strings.Contains(b.Control(t, "-q", "list_queues", "name"), queue+"\n")
	})
	b.publish(t, queue, sized("1", 1), sized("large", 1001), sized("2", 1))
	out.Wait(t, 2)
	stop()
	if n := b.messages(t, queue); n != 0 {
		t.Errorf("%d messages are left", n)
	}
	d := &drain{broker: b, queue: dead}
	sourcetest.Eventually(t, "the large one is a dead letter of the broker's", func() bool { return len(d.all(t)) == 1 })
	if len(h.all) > 0 {
		t.Errorf("the health was %q", h.all)
	}
}

// queueDeleted deletes the queue under the source: it says so, declares the queue
// again and goes on.
func queueDeleted(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	out := sourcetest.NewOut()
	declare := func(c *amqp.Config) { c.Declare = &amqp.Declare{} }
	h, _ := b.running(t, out, queue, declare)
	sourcetest.Eventually(t, "the queue is consumed", func() bool {
		q, err := b.Channel(t).QueueDeclarePassive(queue, true, false, false, false, nil)
		return err == nil && q.Consumers == 1
	})
	b.publish(t, queue, sized("1", 1))
	out.Wait(t, 1)
	if _, err := b.Channel(t).QueueDelete(queue, false, false, false); err != nil {
		t.Fatal(err)
	}
	h.await(t, "the broker has ended the consumer: the queue was deleted")
	h.await(t, "<nil>")
	b.publish(t, queue, sized("2", 1))
	out.Wait(t, 2)
}

func exclusive(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeClassic, nil)
	b.publish(t, queue, sized("1", 1))
	out := sourcetest.NewOut()
	only := func(c *amqp.Config) { c.Exclusive = true }
	_, stop := b.running(t, out, queue, only)
	out.Wait(t, 1)
	h, _ := b.running(t, out, queue, only)
	h.await(t, "somebody else may consume it exclusively")
	b.publish(t, queue, sized("2", 1))
	out.Wait(t, 2)
	stop()
	h.await(t, "<nil>") // the second takes over
	b.publish(t, queue, sized("3", 1))
	out.Wait(t, 3)
}

// large has more in the queue than may be held: while nothing is published the
// rest stays with the broker, and then everything comes.
func large(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeClassic, nil)
	const n = 80
	var all []amqp091.Publishing
	for i := range n {
		all = append(all, sized(strconv.Itoa(i), 1<<20))
	}
	b.publish(t, queue, all...)
	out := sourcetest.NewOut()
	out.FailWith(event.ErrFull)
	b.running(t, out, queue, nil)
	out.WaitFailed(t, 3)
	out.FailWith(nil)
	for i, e := range out.Wait(t, n) {
		if e.ID != strconv.Itoa(i) || len(e.Data) != 1<<20 {
			t.Fatalf("event %d is %q with %d bytes", i, e.ID, len(e.Data))
		}
	}
}

func headers(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeQuorum, nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	b.publish(t, queue, amqp091.Publishing{MessageId: "1", Timestamp: at, Headers: amqp091.Table{
		"a": nil, "b": true, "c": int8(-1), "d": byte(200), "e": int16(-2), "g": int32(-3), "i": int64(-1 << 62),
		"j": float32(0.5), "k": 0.1, "l": "é", "m": []byte{0, 255}, "n": at, "o": amqp091.Decimal{Scale: 2, Value: 314},
		"p": []any{int32(1), "x"}, "q": amqp091.Table{"r": "s"},
	}})
	out := sourcetest.NewOut()
	b.running(t, out, queue, nil)
	e := out.Wait(t, 1)[0]
	const want = `{"a":null,"b":true,"c":-1,"d":200,"e":-2,"g":-3,"i":-4611686018427387904,"j":0.5,"k":0.1,"l":"é",` +
		`"m":{"bytes":[0,255]},"n":"2026-03-01T12:00:00Z","o":314e-2,"p":[1,"x"],"q":{"r":"s"}}`
	if got := e.Extension("headers"); got != want {
		t.Errorf("the headers are %s, want %s", got, want)
	}
	if !e.Time.Equal(at) {
		t.Errorf("the time is %v", e.Time)
	}
}

// redelivered has messages come twice: those with a message id, or by their
// content, are one event each.
func redelivered(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeClassic, nil)
	out := sourcetest.NewOut()
	out.LoseAnswers(1, errors.New("lost"))
	unnamed := sized("", 7)
	b.publish(t, queue, sized("1", 1), unnamed)
	by := func(c *amqp.Config) { c.ID = amqp.ByContent }
	_, stop := b.running(t, out, queue, by)
	out.Wait(t, 2)
	unblock := out.Block()
	stop()
	unblock()
	b.running(t, out.Restart(), queue, by)
	b.publish(t, queue, sized("2", 1))
	if n := len(out.Wait(t, 3)); n != 3 {
		t.Errorf("%d events", n)
	}
}

func overTLS(t *testing.T, b *Broker) {
	t.Helper()
	queue := newName()
	b.Queue(t, queue, amqp091.QueueTypeClassic, nil)
	b.publish(t, queue, sized("1", 1))
	out := sourcetest.NewOut()
	h, _ := b.running(t, out, queue, func(c *amqp.Config) { c.URL = config.NewSecret(b.TLS()) })
	h.await(t, "certificate signed by unknown authority")
	b.running(t, out, queue, func(c *amqp.Config) {
		c.URL, c.TLS.CAFile = config.NewSecret(b.TLS()), config.Path(b.Certificate())
	})
	out.Wait(t, 1)
}
