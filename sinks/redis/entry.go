package redis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/worker"
)

// The fields of an entry beside the attributes, which have prefix before their
// names. CloudEvents has no binding for Redis; the source redis reads these.
const (
	fieldData        = "data"
	fieldContentType = "content-type"
	prefix           = "ce_"
)

// maxKey is the most bytes of a key that a template makes.
const maxKey = 512

// key returns the key of the stream for an event.
func (s *sink) key(ctx context.Context, e *event.Event) (key string, err error) {
	if s.template == nil {
		return s.config.Key, nil
	}
	err = sinks.Fill(ctx, s.turns, e, func(ctx context.Context, in *transform.Input) (err error) {
		if key, err = s.template.Text(ctx, in, nil); err == nil {
			err = checkKey(key)
		}
		if err != nil {
			return fmt.Errorf("key: %w", err)
		}
		return nil
	})
	return key, err
}

func checkKey(key string) error {
	switch {
	case key == "":
		return errors.New(`it yields an empty text; write what stands there then, as in .subject // "none"`)
	case len(key) > maxKey:
		return fmt.Errorf("it yields %d bytes, at most %d", len(key), maxKey)
	}
	return nil
}

// fields returns the names and values of an entry, in turn.
func (s *sink) fields(a *sinks.Attempt, d *sinks.Delivery) ([]any, error) {
	fields := []any{
		worker.HeaderDelivery, d.ID, worker.HeaderAttempt, strconv.Itoa(d.Attempt),
		worker.HeaderTrigger, a.Trigger, worker.HeaderClaim, strconv.FormatUint(a.Claim, 10),
	}
	e := d.Event
	switch s.config.Mode {
	case Structured:
		return append(fields, fieldContentType, event.MediaTypeJSON, fieldData, e.AppendJSON(nil)), nil
	case Fields:
		members, err := members(e)
		return append(members, fields...), err
	case Raw:
	default:
		for name, value := range (event.Binding{Prefixes: []string{prefix}}).Properties(e) {
			fields = append(fields, name, value)
		}
	}
	if e.DataContentType != "" {
		fields = append(fields, fieldContentType, e.DataContentType)
	}
	return append(fields, fieldData, e.Data), nil
}

// members returns the members of the data as fields: texts as they are, null as
// nothing, and anything else as JSON.
func members(e *event.Event) ([]any, error) {
	decoder := json.NewDecoder(bytes.NewReader(e.Data))
	if open, err := decoder.Token(); err != nil || open != json.Delim('{') || !json.Valid(e.Data) {
		return nil, sinks.Permanent(errors.New("the data is no JSON object, whose members mode: fields makes fields of: choose another mode, or a transform"))
	}
	var fields []any
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, sinks.Permanent(err)
		}
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, sinks.Permanent(err)
		}
		fields = append(fields, name, text(value))
	}
	return fields, nil
}

func text(value json.RawMessage) string {
	var plain *string
	if json.Unmarshal(value, &plain) != nil {
		return string(value)
	}
	if plain == nil {
		return ""
	}
	return *plain
}
