package nats

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	"sluice/event"
)

func TestEventOfAMessage(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	m := message{
		subject: "orders.new", header: nats.Header{"b": {"1", "2"}, "A": {"x\"y"}, "content-type": {"text/csv"}},
		data: []byte("a,b"), time: at, origin: "ORDERS", id: streamID("ORDERS", time.Unix(0, 35).UTC(), 42),
	}
	found, invalid := m.event(true)
	if invalid != nil {
		t.Fatal(invalid)
	}
	want := event.Event{
		ID: "ORDERS/z/42", Source: "nats:ORDERS", Type: "nats.message", Subject: "orders.new", Time: at,
		DataContentType: "text/csv", Data: []byte("a,b"),
		Extensions: map[string]any{"partitionkey": "orders.new", "headers": `{"A":"x\"y","b":["1","2"],"content-type":"text/csv"}`},
	}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Error(diff)
	}
}

func TestCloudEvents(t *testing.T) {
	binary := nats.Header{"ce-specversion": {"1.0"}, "ce-id": {"a%20b"}, "ce-source": {"/shop"}, "ce-type": {"order"}, "ce-datacontenttype": {"text/plain"}}
	structured := nats.Header{"content-type": {"application/cloudevents+json"}}
	cases := map[string]struct {
		header               nats.Header
		data                 string
		off                  bool
		id, content, invalid string
	}{
		"binary":           {header: binary, data: "hello", id: "a b", content: "text/plain"},
		"structured":       {header: structured, data: `{"specversion":"1.0","id":"s","source":"/s","type":"t"}`, id: "s"},
		"switched off":     {header: binary, data: "hello", off: true, id: "7", content: "text/plain"},
		"without an id":    {header: nats.Header{"Ce-Specversion": {"1.0"}}, data: "7", id: "7", content: "application/json", invalid: "id"},
		"no JSON":          {header: structured, data: "hello", id: "7", content: "application/cloudevents+json", invalid: "JSON"},
		"several at once":  {header: nats.Header{"Content-Type": {"application/cloudevents-batch+json"}}, data: "[]", id: "7", content: "application/cloudevents-batch+json", invalid: "0 events"},
		"an ordinary one":  {data: "\xff", id: "7", content: "application/octet-stream"},
		"a bad media type": {header: nats.Header{"Content-Type": {"é\x01"}}, data: "text", id: "7", content: "text/plain"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m := message{subject: "s", header: c.header, data: []byte(c.data), id: "7", origin: "S"}
			e, invalid := m.event(!c.off)
			if e.ID != c.id || e.DataContentType != c.content || e.PartitionKey() != "s" {
				t.Errorf("id %q, content type %q, partitionkey %q", e.ID, e.DataContentType, e.PartitionKey())
			}
			if (invalid == nil) != (c.invalid == "") || invalid != nil && !strings.Contains(invalid.Error(), c.invalid) {
				t.Errorf("found %v, want %q", invalid, c.invalid)
			}
		})
	}
}

// Whatever a message has in it, its event is valid.
func FuzzEvent(f *testing.F) {
	f.Add("orders.new", "content-type", "text/plain", []byte("x"))
	f.Add("a", "ce-specversion", "1.0", []byte("{}"))
	f.Fuzz(func(t *testing.T, subject, name, value string, data []byte) {
		if subject == "" {
			return // no message has an empty subject
		}
		m := message{subject: subject, header: nats.Header{name: {value}}, data: data, id: "1", origin: "S"}
		if e, _ := m.event(true); e.Validate() != nil {
			t.Errorf("%q, %q: %q: %v", subject, name, value, e.Validate())
		}
	})
}
