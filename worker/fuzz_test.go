package worker

import (
	"testing"

	"github.com/nats-io/nats.go"
)

// FuzzDecode gives messages of any kind: what is taken is a valid event.
func FuzzDecode(f *testing.F) {
	f.Add("ce-id", "1", "application/cloudevents+json", []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`))
	f.Add("ce-datacontenttype", "text/plain", "", []byte("x"))
	f.Add("Sluice-Attempt", "-1", "application/cloudevents-batch+json", []byte(`[]`))
	f.Fuzz(func(t *testing.T, name, value, contentType string, data []byte) {
		m := &nats.Msg{Subject: "work", Data: data, Header: nats.Header{
			"ce-specversion": {"1.0"}, "ce-id": {"1"}, "ce-source": {"/s"}, "ce-type": {"t"}, "content-type": {contentType},
		}}
		m.Header[name] = []string{value}
		d, err := decode(m)
		if err != nil {
			return
		}
		if err := d.Event.Validate(); err != nil {
			t.Errorf("an event that is not valid: %v", err)
		}
	})
}
