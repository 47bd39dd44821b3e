package amqp_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/connect/amqpconn"
	"sluice/sources"
	"sluice/sources/amqp"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestValidate(t *testing.T) {
	no, empty, long := false, "", strings.Repeat("q", amqpconn.MaxName+1)
	for _, c := range []struct {
		name   string
		change func(*amqp.Config)
		want   string // part of the problem; empty for none
	}{
		{"minimal", func(*amqp.Config) {}, ""},
		{"no url", func(c *amqp.Config) { c.URL = config.Secret{} }, "url: it is missing"},
		{"no queue", func(c *amqp.Config) { c.Queue = "" }, "queue: it is missing"},
		{"long queue", func(c *amqp.Config) { c.Queue = long }, "queue: it has 256 bytes, at most 255"},
		{"reserved queue", func(c *amqp.Config) { c.Queue, c.Declare = "amq.x", &amqp.Declare{} }, "keeps for itself"},
		{"reserved queue that exists", func(c *amqp.Config) { c.Queue = "amq.x" }, ""},
		{"prefetch", func(c *amqp.Config) { c.Prefetch = 0 }, "prefetch: expected 1 to 65535, found 0"},
		{"id", func(c *amqp.Config) { c.ID = "x" }, `id: "x" is not known: write message_id, content or delivery`},
		{"id header for nothing", func(c *amqp.Config) { c.ID, c.IDHeader = amqp.ByDelivery, "x" }, "id_header: with id: delivery"},
		{"oversized", func(c *amqp.Config) { c.Oversized = "x" }, "write hold or dead_letter"},
		{"declare", func(c *amqp.Config) {
			c.Declare = &amqp.Declare{Type: "quorum", DeadLetterExchange: &empty, DeadLetterRoutingKey: "k"}
		}, ""},
		{"stream", func(c *amqp.Config) { c.Declare = &amqp.Declare{Type: "stream"} }, "declare.type: a stream is no queue"},
		{"kind", func(c *amqp.Config) { c.Declare = &amqp.Declare{Type: "x"} }, "declare.type: \"x\" is not known"},
		{"quorum, not durable", func(c *amqp.Config) { c.Declare = &amqp.Declare{Type: "quorum", Durable: &no} }, "declare.durable: a quorum queue is always durable"},
		{"key without exchange", func(c *amqp.Config) { c.Declare = &amqp.Declare{DeadLetterRoutingKey: "k"} }, "declare.dead_letter_routing_key"},
		{
			"argument with a key", func(c *amqp.Config) {
				c.Declare = &amqp.Declare{Arguments: map[string]any{"x-queue-type": "quorum"}}
			},
			"declare.arguments.x-queue-type: it has a key of its own: write type",
		},
		{"argument", func(c *amqp.Config) { c.Declare = &amqp.Declare{Arguments: map[string]any{"x": []any{}}} }, "declare.arguments.x: expected"},
		{"binding", func(c *amqp.Config) { c.Bind = []amqp.Binding{{Exchange: "shop", Keys: []string{"order.#"}}} }, ""},
		{"binding of none", func(c *amqp.Config) { c.Bind = []amqp.Binding{{}} }, "bind[0].exchange: it is missing"},
		{"binding key", func(c *amqp.Config) { c.Bind = []amqp.Binding{{Exchange: "x", Keys: []string{"", long}}} }, "bind[0].keys[1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			section := cfg(func(a *amqp.Config) { a.URL = config.NewSecret("amqp://broker") })
			c.change(section)
			err := section.Validate()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("found %v, want %q", err, c.want)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	dlx := "letters"
	d := &amqp.Declare{
		Type: "quorum", SingleActive: true, DeadLetterExchange: &dlx, DeadLetterRoutingKey: "k",
		Arguments: map[string]any{"x-max-length": json.Number("7"), "x-f": json.Number("0.5"), "x-overflow": "reject-publish", "x-b": true},
	}
	want := amqp091.Table{
		"x-queue-type": "quorum", "x-single-active-consumer": true, "x-dead-letter-exchange": "letters", "x-dead-letter-routing-key": "k",
		"x-max-length": int64(7), "x-f": 0.5, "x-overflow": "reject-publish", "x-b": true,
	}
	if diff := cmp.Diff(want, d.Table()); diff != "" {
		t.Error(diff)
	}
}

func TestPlacement(t *testing.T) {
	for _, c := range []struct {
		declare   *amqp.Declare
		exclusive bool
		want      sources.Placement
	}{
		{nil, false, sources.OnOne},
		{&amqp.Declare{}, false, sources.OnOne},
		{&amqp.Declare{SingleActive: true}, false, sources.OnAll},
		{&amqp.Declare{SingleActive: true}, true, sources.OnOne},
	} {
		section := cfg(func(a *amqp.Config) {
			a.URL, a.Declare, a.Exclusive = config.NewSecret("amqp://broker"), c.declare, c.exclusive
		})
		source, err := section.Source(sourcetest.Env("x", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got := source.(sources.Placed).Placement(); got != c.want {
			t.Errorf("%+v, exclusive %v: placed %v, want %v", c.declare, c.exclusive, got, c.want)
		}
	}
}
