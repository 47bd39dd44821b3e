package amqp_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/connect/amqpconn"
	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/amqp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func cfg(change func(*amqp.Config)) *amqp.Config {
	c := amqp.NewConfig()
	c.URL, c.Exchange = config.NewSecret("amqp://broker"), "shop"
	if change != nil {
		change(c)
	}
	return c
}

func TestValidate(t *testing.T) {
	long := strings.Repeat("q", amqpconn.MaxName+1)
	for _, c := range []struct {
		name   string
		change func(*amqp.Config)
		want   string // part of the problem; empty for none
	}{
		{"exchange", nil, ""},
		{"queue", func(c *amqp.Config) { c.Exchange, c.RoutingKey = "", "jobs" }, ""},
		{"neither", func(c *amqp.Config) { c.Exchange = "" }, "routing_key: it is missing"},
		{"no url", func(c *amqp.Config) { c.URL = config.Secret{} }, "url: it is missing"},
		{"long exchange", func(c *amqp.Config) { c.Exchange = long }, "exchange: it has 256 bytes"},
		{"long key", func(c *amqp.Config) { c.RoutingKey = long }, "routing_key: it has 256 bytes"},
		{"template", func(c *amqp.Config) { c.RoutingKey = "order.{{ .subject }}" }, ""},
		{"wrong template", func(c *amqp.Config) { c.RoutingKey = "{{ .subject" }, "routing_key: "},
		{"mode", func(c *amqp.Config) { c.Mode = "batch" }, `mode: found "batch"; write binary, structured or raw`},
		{"egress", func(c *amqp.Config) { c.Egress = "x" }, "egress: "},
		{"headers", func(c *amqp.Config) { c.Headers = map[string]string{"a": "b", "c": "{{ .id }}"} }, ""},
		{"header's template", func(c *amqp.Config) { c.Headers = map[string]string{"a": "{{ ."} }, "headers.a: "},
		{"own header", func(c *amqp.Config) { c.Headers = map[string]string{"Sluice-Delivery": "x"} }, "headers.Sluice-Delivery: sluice sets"},
		{"attribute", func(c *amqp.Config) { c.Headers = map[string]string{"cloudEvents:id": "x"} }, "headers.cloudEvents:id: sluice sets"},
		{"long header", func(c *amqp.Config) { c.Headers = map[string]string{long: "x"} }, "has 1 to 128 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := cfg(c.change).Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, want %q", err, c.want)
			}
		})
	}
}

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func attempt(change func(*event.Event)) *sinks.Attempt {
	e := &event.Event{
		ID: "e1", Source: "/shop", Type: "order.placed", Subject: "7", Time: at, DataContentType: "text/plain", Data: []byte("x"),
		Extensions: map[string]any{"partitionkey": "c7", "flag": true, "traceparent": "00-1-2-01"},
	}
	if change != nil {
		change(e)
	}
	return &sinks.Attempt{Trigger: "bill", Claim: 3, Deliveries: []sinks.Delivery{{ID: "inc.1.bill", Attempt: 2, Event: e}}}
}

func TestMessage(t *testing.T) {
	own := amqp091.Table{
		"Sluice-Delivery": "inc.1.bill", "Sluice-Attempt": "2", "Sluice-Trigger": "bill", "Sluice-Claim": "3",
		"traceparent": "00-1-2-01", "who": "c7!",
	}
	attributes := amqp091.Table{
		"cloudEvents:specversion": "1.0", "cloudEvents:id": "e1", "cloudEvents:source": "/shop", "cloudEvents:type": "order.placed",
		"cloudEvents:subject": "7", "cloudEvents:time": "2026-03-01T12:00:00Z", "cloudEvents:partitionkey": "c7",
		"cloudEvents:flag": "true", "cloudEvents:traceparent": "00-1-2-01",
	}
	for mode, want := range map[amqp.Mode]amqp091.Publishing{
		amqp.Binary:     {ContentType: "text/plain", Body: []byte("x"), Headers: attributes},
		amqp.Raw:        {ContentType: "text/plain", Body: []byte("x"), Headers: amqp091.Table{}},
		amqp.Structured: {ContentType: event.MediaTypeJSON, Body: attempt(nil).Deliveries[0].Event.AppendJSON(nil), Headers: amqp091.Table{}},
	} {
		want.MessageId, want.AppId, want.Type, want.Timestamp, want.DeliveryMode = "inc.1.bill", "sluice", "order.placed", at, amqp091.Persistent
		maps.Copy(want.Headers, own)
		key, got, err := amqp.Write(t.Context(), cfg(func(c *amqp.Config) {
			c.Mode, c.RoutingKey, c.Headers = mode, "order.{{ .subject }}", map[string]string{"who": "{{ .partitionkey }}!"}
		}), attempt(nil))
		if err != nil || key != "order.7" {
			t.Errorf("%s: the key %q, and %v", mode, key, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", mode, diff)
		}
		if err := got.Headers.Validate(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// What an event has, and AMQP no room for, ends its delivery.
func TestNoRoom(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*event.Event)
		want   string
	}{
		{"routing key", func(e *event.Event) { e.Subject = strings.Repeat("x", 300) }, "routing_key: it yields 300 bytes, at most 255"},
		{"content type", func(e *event.Event) { e.DataContentType = "text/" + strings.Repeat("x", 300) }, "the content type has 305 bytes"},
		{"attribute's name", func(e *event.Event) { e.Extensions[strings.Repeat("x", 200)] = "y" }, "the name of the header"},
	} {
		_, _, err := amqp.Write(t.Context(), cfg(func(c *amqp.Config) { c.RoutingKey = "{{ .subject }}" }), attempt(c.change))
		if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	_, m, err := amqp.Write(t.Context(), cfg(func(c *amqp.Config) { c.Persistent = false }), attempt(func(e *event.Event) { e.Type = strings.Repeat("x", 300) }))
	if err != nil || m.Type != "" || m.DeliveryMode != amqp091.Transient {
		t.Errorf("a long type is %q, mode %d, and %v", m.Type, m.DeliveryMode, err)
	}
}
