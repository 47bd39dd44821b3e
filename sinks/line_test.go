package sinks_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"sluice/event"
	"sluice/sinks"
)

// FuzzLines checks that whatever an event has becomes one line of JSON, and that
// the event can be read from it again.
func FuzzLines(f *testing.F) {
	f.Add("application/json", []byte("{\"a\":\n[1,\r\n2]}"))
	f.Add("text/plain", []byte("a\nb"))
	f.Add("image/png", []byte{0, '\n', 0xff})
	f.Add("application/json", []byte("{\n"))
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, contentType string, data []byte) {
		d := &sinks.Delivery{ID: "i.1.t", Attempt: 1, Event: &event.Event{ID: "1", Source: "/s", Type: "t", DataContentType: contentType, Data: data}}
		before := []byte("before\n")
		for _, line := range [][]byte{sinks.AppendEventLine(before, d), sinks.AppendDataLine(before, d)} {
			text, found := bytes.CutPrefix(line, before)
			if !found || bytes.Count(text, []byte("\n")) != 1 || text[len(text)-1] != '\n' || bytes.Contains(text, []byte("\r")) || !json.Valid(text) {
				t.Fatalf("%q", line)
			}
		}
		var e event.Event
		if err := json.Unmarshal(sinks.AppendEventLine(nil, d), &e); err == nil && e.Extension(sinks.AttributeDelivery) != "i.1.t" {
			t.Errorf("read as %+v", e)
		}
	})
}

// TestAppendBatch shows that each event of a batch has its own attributes, and
// what it is named by, whatever came from outside.
func TestAppendBatch(t *testing.T) {
	deliveries := []sinks.Delivery{
		{ID: "i.1.t", Attempt: 1, Event: &event.Event{ID: "1", Source: "/s", Type: "t", Extensions: map[string]any{"tenant": "a", sinks.AttributeDelivery: "forged"}}},
		{ID: "i.2.t", Attempt: 300, Event: &event.Event{ID: "2", Source: "/s", Type: "t", DataContentType: "application/json", Data: []byte("{}")}},
	}
	const want = `before[{"specversion":"1.0","id":"1","source":"/s","type":"t","sluiceattempt":1,"sluicedelivery":"i.1.t","tenant":"a"},` +
		`{"specversion":"1.0","id":"2","source":"/s","type":"t","datacontenttype":"application/json","sluiceattempt":300,"sluicedelivery":"i.2.t","data":{}}]`
	if got := string(sinks.AppendBatch([]byte("before"), deliveries)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if deliveries[0].Event.Extension(sinks.AttributeDelivery) != "forged" {
		t.Error("the event itself was changed")
	}
}

func BenchmarkAppendBatch(b *testing.B) {
	deliveries := make([]sinks.Delivery, 100)
	for i := range deliveries {
		deliveries[i] = sinks.Delivery{ID: "kX3vT9.4200000.resize", Attempt: 1, Event: &event.Event{
			ID: "1", Source: "/bench", Type: "bench.placed", DataContentType: "application/json", Data: bytes.Repeat([]byte("1"), 256),
		}}
	}
	b.ReportAllocs()
	var body []byte
	for b.Loop() {
		body = sinks.AppendBatch(body[:0], deliveries)
	}
}
