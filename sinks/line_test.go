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
