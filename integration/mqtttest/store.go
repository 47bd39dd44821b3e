package mqtttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"sluice/config"
	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sinks"
	sinkmqtt "sluice/sinks/mqtt"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

// topic is where deliveries go: an event's partition key is one of its levels.
const topic = "out/{{ .partitionkey }}/set"

// Section is the part of a section of the file that says which server.
func Section(as As) mqttconn.Server {
	s := mqttconn.NewServer()
	s.URL, s.Version, s.ClientID = as.URL, as.Version, as.ClientID
	s.User, s.Password = as.User, config.NewSecret(as.Password)
	return s
}

// Sink returns a function that builds a sink.
func Sink(as As, qos int) func(tb testing.TB) sinks.Sink {
	return func(tb testing.TB) sinks.Sink {
		tb.Helper()
		c := sinkmqtt.NewConfig()
		c.Server = Section(as)
		c.Topic, c.QoS = topic, qos
		s, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			tb.Fatal(err)
		}
		return s
	}
}

// Store returns what is the same for all servers in a store of the suite of sinks.
// A client that has subscribed writes down what is published.
func Store(tb testing.TB, as As, qos int) sinktest.Store {
	tb.Helper()
	recorder := as
	recorder.ClientID = "recorder"
	r := Record(tb, recorder, "out/#", 2)
	flush := NewPublisher(tb, as)
	return sinktest.Store{
		Sink:    Sink(as, qos),
		Section: fmt.Sprintf(`mqtt: {url: "%s", version: "%s", user: "%s", password: "%s", topic: "%s", qos: %d}`, as.URL, as.Version, as.User, as.Password, topic, qos),
		Stored: func(tb testing.TB) []sinktest.Received {
			tb.Helper()
			r.flush(tb, flush)
			var all []sinktest.Received
			for _, m := range r.Messages() {
				if m.Topic != flushed {
					all = append(all, received(&m))
				}
			}
			return all
		},
		Bad: func(n int) *event.Event {
			return &event.Event{
				ID: "bad", Source: "/test", Type: "test", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, n),
				Extensions: map[string]any{"partitionkey": "a/+"},
			}
		},
	}
}

// flushed is the topic of messages behind which everything has come.
const flushed = "out/flushed"

// flush waits until what the server has is recorded.
func (r *Recorder) flush(tb testing.TB, p *Publisher) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	mark := rand.Text()
	if err := p.Publish(ctx, &mqttconn.Message{Topic: flushed, QoS: 2, Payload: []byte(mark)}); err != nil {
		tb.Fatal(err)
	}
	for ctx.Err() == nil {
		for _, m := range r.Messages() {
			if string(m.Payload) == mark {
				return
			}
		}
		wait(ctx, time.Millisecond)
	}
	tb.Fatal("what was published last has not come")
}

// received reads a message: 3.1.1 has no place for what sluice says about a
// delivery, and the event is in the payload.
func received(m *mqttconn.Message) sinktest.Received {
	var got sinktest.Received
	for _, p := range m.Properties.User {
		switch p.Name {
		case worker.HeaderDelivery:
			got.ID = p.Value
		case worker.HeaderAttempt:
			got.Attempt, _ = strconv.Atoi(p.Value) // 0 is not what is expected
		case "partitionkey":
			got.Key = p.Value
		}
	}
	got.Data = string(m.Payload)
	var e event.Event
	if len(m.Properties.User) == 0 && json.Unmarshal(m.Payload, &e) == nil {
		got.Data, got.Key = string(e.Data), e.PartitionKey()
		got.ID = e.Extension("sluicedelivery")
		got.Attempt, _ = strconv.Atoi(e.Extension("sluiceattempt"))
	}
	return got
}
