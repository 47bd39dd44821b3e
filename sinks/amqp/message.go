package amqp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/rabbitmq/amqp091-go"

	"sluice/connect/amqpconn"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/worker"
)

// prefix is that of the attributes in headers (CloudEvents AMQP binding 1.0.2,
// section 3.1.3.1).
const prefix = "cloudEvents:"

// maxValue is the most bytes of a header's value that a template makes.
const maxValue = 8 << 10

// A writer makes messages of deliveries.
type writer struct {
	mode       Mode
	persistent bool
	turns      *transform.Turns
	binding    event.Binding
	key        value
	headers    []header
}

// A value is a text, or a template of one.
type value struct {
	text     string
	template *transform.Template // nil for the text
}

type header struct {
	name string
	value
}

func newWriter(c *Config, turns *transform.Turns) (*writer, error) {
	w := &writer{mode: c.Mode, persistent: c.Persistent, turns: turns, binding: event.Binding{Prefixes: []string{prefix}}}
	var err error
	if w.key, err = newValue(c.RoutingKey); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		v, err := newValue(c.Headers[name])
		if err != nil {
			return nil, err
		}
		w.headers = append(w.headers, header{name: name, value: v})
	}
	return w, nil
}

func newValue(text string) (v value, err error) {
	v.text = text
	if transform.IsTemplate(text) {
		v.template, err = transform.ParseTemplate(text)
	}
	return v, err
}

// fill returns the text for an event, of at most so many bytes.
func (v *value) fill(ctx context.Context, in *transform.Input, most int) (string, error) {
	if v.template == nil {
		return v.text, nil
	}
	text, err := v.template.Text(ctx, in, func(part string) (string, error) { return part, nil })
	if err == nil && len(text) > most {
		err = fmt.Errorf("it yields %d bytes, at most %d", len(text), most)
	}
	return text, err
}

// variable tells whether templates are to be filled.
func (w *writer) variable() bool {
	return w.key.template != nil || slices.ContainsFunc(w.headers, func(h header) bool { return h.template != nil })
}

// write makes the message of a delivery, and its routing key. An error of the
// event's own is permanent.
func (w *writer) write(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (key string, m amqp091.Publishing, err error) {
	m = amqp091.Publishing{MessageId: d.ID, AppId: "sluice", DeliveryMode: amqp091.Transient, Headers: amqp091.Table{}}
	if w.persistent {
		m.DeliveryMode = amqp091.Persistent
	}
	if len(d.Event.Type) <= amqpconn.MaxName {
		m.Type = d.Event.Type
	}
	if t := d.Event.Time; !t.IsZero() && t.Unix() >= 0 {
		m.Timestamp = t
	}
	if key, err = w.fill(ctx, d.Event, m.Headers); err != nil {
		return "", m, err
	}
	w.encode(&m, d.Event)
	m.Headers[worker.HeaderDelivery] = d.ID
	m.Headers[worker.HeaderAttempt] = strconv.Itoa(d.Attempt)
	m.Headers[worker.HeaderTrigger] = a.Trigger
	m.Headers[worker.HeaderClaim] = strconv.FormatUint(a.Claim, 10)
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value := d.Event.Extension(name); value != "" {
			m.Headers[name] = value
		}
	}
	return key, m, check(&m)
}

// fill evaluates the templates.
func (w *writer) fill(ctx context.Context, e *event.Event, headers amqp091.Table) (key string, err error) {
	evaluate := func(ctx context.Context, in *transform.Input) (err error) {
		if key, err = w.key.fill(ctx, in, amqpconn.MaxName); err != nil {
			return fmt.Errorf("routing_key: %w", err)
		}
		for i := range w.headers {
			h := &w.headers[i]
			if headers[h.name], err = h.fill(ctx, in, maxValue); err != nil {
				return fmt.Errorf("headers.%s: %w", h.name, err)
			}
		}
		return nil
	}
	if !w.variable() {
		err = evaluate(ctx, nil)
	} else {
		err = sinks.Fill(ctx, w.turns, e, evaluate)
	}
	return key, err
}

// encode makes the event the message's body and headers.
func (w *writer) encode(m *amqp091.Publishing, e *event.Event) {
	switch w.mode {
	case Structured:
		m.ContentType, m.Body = event.MediaTypeJSON, e.AppendJSON(nil)
		return
	case Binary:
		for name, text := range w.binding.Properties(e) {
			m.Headers[name] = text
		}
	case Raw:
	}
	m.ContentType, m.Body = e.DataContentType, e.Data
}

// check refuses what the client library would break off in the middle.
func check(m *amqp091.Publishing) error {
	for _, p := range [...]struct{ name, text string }{{"content type", m.ContentType}, {"delivery's id", m.MessageId}} {
		if len(p.text) > amqpconn.MaxName {
			return sinks.Permanent(fmt.Errorf("the %s has %d bytes, and AMQP has room for %d", p.name, len(p.text), amqpconn.MaxName))
		}
	}
	for name := range m.Headers {
		if len(name) > maxHeaderName {
			return sinks.Permanent(fmt.Errorf("the name of the header %s has %d bytes, and AMQP has room for %d", sinks.Excerpt([]byte(name)), len(name), maxHeaderName))
		}
	}
	return nil
}

// frame returns how many bytes the properties of a message take at most. They
// have to fit into one frame.
func frame(m *amqp091.Publishing) int {
	size := 1 << 10
	for name, value := range m.Headers {
		size += len(name) + len(value.(string)) + 6
	}
	return size + len(m.MessageId) + len(m.ContentType) + len(m.Type)
}
