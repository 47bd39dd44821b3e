package kafka

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/worker"
)

// A maker makes records of deliveries.
type maker struct {
	mode    Mode
	topic   string
	topics  *transform.Template // nil when the topic is always the same
	key     string
	keys    *transform.Template // nil when there is none
	turns   *transform.Turns
	binding event.Binding
}

func newMaker(c *Config, turns *transform.Turns) (*maker, error) {
	topics, err := template("topic", c.Topic)
	if err != nil {
		return nil, err
	}
	keys, err := template("key", c.Key)
	if err != nil {
		return nil, err
	}
	return &maker{
		mode: c.Mode, topic: c.Topic, topics: topics, key: c.Key, keys: keys, turns: turns,
		binding: event.Binding{Prefixes: []string{"ce_"}},
	}, nil
}

// record returns the record of a delivery. Its error is that of a template, or
// names what a template has made.
func (m *maker) record(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (*kgo.Record, error) {
	r := &kgo.Record{Topic: m.topic, Key: []byte(m.key)}
	if m.key == "" {
		r.Key = keyOf(d.Event)
	}
	if m.topics != nil || m.keys != nil {
		err := sinks.Fill(ctx, m.turns, d.Event, func(ctx context.Context, in *transform.Input) error { return m.fill(ctx, r, in) })
		if err != nil {
			return nil, err
		}
	}
	m.encode(r, d.Event)
	add := func(name, value string) {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
	}
	add(worker.HeaderDelivery, d.ID)
	add(worker.HeaderAttempt, strconv.Itoa(d.Attempt))
	add(worker.HeaderTrigger, a.Trigger)
	add(worker.HeaderClaim, strconv.FormatUint(a.Claim, 10))
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value := d.Event.Extension(name); value != "" {
			add(name, value)
		}
	}
	return r, nil
}

// keyOf returns the key of an event: that of the record that it was made from, or
// its partitionkey (Kafka binding, section 3.1); nil for none.
func keyOf(e *event.Event) []byte {
	if encoded := e.Extension("keybase64"); encoded != "" {
		if key, err := base64.StdEncoding.DecodeString(encoded); err == nil {
			return key
		}
	}
	if key := e.PartitionKey(); key != "" {
		return []byte(key)
	}
	return nil
}

func (m *maker) fill(ctx context.Context, r *kgo.Record, in *transform.Input) error {
	if m.topics != nil {
		name, err := m.topics.Text(ctx, in, nil)
		if err == nil {
			err = checkTopic(name)
		}
		if err != nil {
			return fmt.Errorf("topic: %w", err)
		}
		r.Topic = name
	}
	if m.keys == nil {
		return nil
	}
	key, err := m.keys.Text(ctx, in, nil)
	if err == nil && len(key) > maxKey {
		err = fmt.Errorf("it has %d bytes, at most %d", len(key), maxKey)
	}
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	r.Key = nil
	if key != "" {
		r.Key = []byte(key)
	}
	return nil
}

// encode makes the event the record's value and headers. An event without data
// has a null value.
func (m *maker) encode(r *kgo.Record, e *event.Event) {
	contentType := e.DataContentType
	if len(e.Data) > 0 {
		r.Value = e.Data
	}
	switch m.mode {
	case Structured:
		contentType = event.MediaTypeJSON
		r.Value = e.AppendJSON(nil)
	case Binary:
		for name, value := range m.binding.Properties(e) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	case Raw:
	}
	if contentType != "" {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "content-type", Value: []byte(contentType)})
	}
}
