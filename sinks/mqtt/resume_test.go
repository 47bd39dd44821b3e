package mqtt_test

import (
	"testing"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/integration/mqtttest"
	"sluice/sinks"
)

// TestBrokenBeforeRelease breaks the connection when the server has a message of
// QoS 2 that was not released: what is delivered next is stored. With a client id
// of its own nats-server 2.15.2 takes the old message for the new one, which
// docs/sinks/mqtt.md warns of.
func TestBrokenBeforeRelease(t *testing.T) {
	s := mqtttest.Serve(t, nil)
	for _, test := range []struct {
		name, clientID string
		stored         bool
	}{
		{name: "client id of the sink's", stored: true},
		{name: "client id of the file's", clientID: "lamps"},
	} {
		t.Run(test.name, func(t *testing.T) {
			broken := false
			tap := mqtttest.NewTap(t, s.URL(), func(p mqtttest.Packet) bool {
				cut := p.Kind == mqtttest.PubRel && !p.FromServer && !broken
				broken = broken || cut
				return cut
			})
			as := mqtttest.As{URL: s.URL(), Version: mqttconn.V311}
			st := mqtttest.Store(t, as, 2)
			as.URL, as.ClientID = tap.URL, test.clientID
			sink := mqtttest.Sink(as, 2)(t)
			defer func() { _ = sink.(sinks.Closer).Close() }()
			if err := deliver(t, sink, "first"); err == nil {
				t.Error("the first delivery is done, and the server was not told to release it")
			}
			if err := deliver(t, sink, "second"); err != nil {
				t.Error(err)
			}
			stored := false
			for _, r := range st.Stored(t) {
				stored = stored || r.ID == "second"
			}
			if stored != test.stored {
				t.Errorf("the second delivery is stored: %v, want %v; the packets were %v", stored, test.stored, tap.Packets())
			}
		})
	}
}

func deliver(t *testing.T, sink sinks.Sink, id string) error {
	t.Helper()
	e := &event.Event{ID: id, Source: "/test", Type: "test", Data: []byte(id), Extensions: map[string]any{"partitionkey": "k"}}
	_, err := sink.Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: id, Attempt: 1, Event: e}}})
	return err
}
