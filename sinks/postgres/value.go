package postgres

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/itchyny/gojq"
	"github.com/jackc/pgx/v5/pgtype"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

// A value is what a parameter stands for: NULL, a value of JSON, or bytes.
type value struct {
	json  []byte // as it stands
	bytes []byte // of data that is neither JSON nor text
}

// quoted is a text as a value.
func quoted(text string) value { return value{json: event.AppendQuoted(nil, text)} }

// A filling finds the values of one delivery.
type filling struct {
	sink     *sink
	trigger  string
	delivery *sinks.Delivery
	data     document
	params   map[string]value
}

// A document is the data of an event, each level of which is read once.
type document struct {
	raw    []byte
	isJSON bool
	levels map[string]map[string]json.RawMessage
}

func (s *sink) fill(ctx context.Context, trigger string, d *sinks.Delivery) ([]value, error) {
	f := &filling{sink: s, trigger: trigger, delivery: d, data: document{raw: d.Event.Data, isJSON: d.Event.Form() == event.FormJSON}}
	if len(s.templates) > 0 {
		if err := sinks.Fill(ctx, s.turns, sinks.Named(d), f.evaluate); err != nil {
			return nil, err
		}
	}
	values := make([]value, len(s.statement.parameters))
	for i := range s.statement.parameters {
		v, err := f.value(&s.statement.parameters[i])
		if err != nil {
			return nil, sinks.Permanent(fmt.Errorf(":%s: %w", s.statement.parameters[i].name, err))
		}
		values[i] = v
	}
	return values, nil
}

func (f *filling) evaluate(ctx context.Context, in *transform.Input) error {
	f.params = make(map[string]value, len(f.sink.templates))
	for name, t := range f.sink.templates {
		result, err := t.Value(ctx, in)
		if err != nil {
			return fmt.Errorf("params.%s: %w", name, err)
		}
		text, err := gojq.Marshal(result)
		if err != nil {
			return fmt.Errorf("params.%s: %w", name, err)
		}
		f.params[name] = value{json: text}
	}
	return nil
}

func (f *filling) value(p *parameter) (value, error) {
	if v, templated := f.params[p.root]; templated {
		return v, nil
	}
	e := f.delivery.Event
	switch p.root {
	case "data":
		return f.fromData(p.path)
	case "event":
		return value{json: sinks.Named(f.delivery).AppendJSON(nil)}, nil
	case "id":
		return quoted(e.ID), nil
	case "source":
		return quoted(e.Source), nil
	case "type":
		return quoted(e.Type), nil
	case "specversion":
		return quoted(event.SpecVersion), nil
	case sinks.AttributeDelivery:
		return quoted(f.delivery.ID), nil
	case sinks.AttributeAttempt:
		return value{json: strconv.AppendInt(nil, int64(f.delivery.Attempt), 10)}, nil
	case attributeTrigger:
		return quoted(f.trigger), nil
	}
	return f.optional(p.root), nil
}

// attributeTrigger is the name of the trigger.
const attributeTrigger = "sluicetrigger"

// optional returns an attribute that an event need not have: NULL then.
func (f *filling) optional(name string) value {
	e := f.delivery.Event
	text := ""
	switch name {
	case "subject":
		text = e.Subject
	case "datacontenttype":
		text = e.DataContentType
	case "dataschema":
		text = e.DataSchema
	case "time":
		if !e.Time.IsZero() {
			text = e.Time.Format(time.RFC3339Nano)
		}
	default:
		switch extension := e.Extensions[name].(type) {
		case nil:
		case string: // also an empty one
			return quoted(extension)
		case bool, int32:
			return value{json: fmt.Append(nil, extension)}
		}
	}
	if text == "" {
		return value{}
	}
	return quoted(text)
}

var errNoJSON = errors.New("the data of the event is no JSON, and has no values at paths")

func (f *filling) fromData(path []string) (value, error) {
	switch {
	case len(path) > 0 && !f.data.isJSON && len(f.data.raw) > 0:
		return value{}, errNoJSON
	case len(path) > 0:
		found, err := f.data.at(path)
		return value{json: found}, err
	case len(f.data.raw) == 0:
		return value{}, nil
	case f.data.isJSON:
		return value{json: bytes.TrimSpace(f.data.raw)}, nil
	case f.delivery.Event.Form() == event.FormText:
		return quoted(string(f.data.raw)), nil
	}
	return value{bytes: f.data.raw}, nil
}

// at returns what stands at a path; nil where there is nothing.
func (d *document) at(path []string) ([]byte, error) {
	last := len(path) - 1
	raw := d.raw
	for i := range path {
		members, err := d.level(strings.Join(path[:i], "."), raw)
		if err != nil {
			return nil, err
		}
		found, any := members[path[i]]
		if !any || i == last {
			return found, nil
		}
		raw = found
	}
	return nil, nil
}

// level returns the members of an object, or of an array by their numbers from 0;
// anything else has none.
func (d *document) level(name string, raw []byte) (map[string]json.RawMessage, error) {
	if members, read := d.levels[name]; read {
		return members, nil
	}
	var members map[string]json.RawMessage
	switch raw = bytes.TrimSpace(raw); {
	case len(raw) > 0 && raw[0] == '{':
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, err
		}
	case len(raw) > 0 && raw[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil {
			return nil, err
		}
		members = make(map[string]json.RawMessage, len(items))
		for i, item := range items {
			members[strconv.Itoa(i)] = item
		}
	}
	if d.levels == nil {
		d.levels = map[string]map[string]json.RawMessage{}
	}
	d.levels[name] = members
	return members, nil
}

// A target is what the server takes for a parameter.
type target uint8

const (
	asText  target = iota // the text of the value, which the server reads as its type
	asJSON                // JSON as it stands
	asBytes               // bytes
	asArray               // an array
)

// builtin is the target of the types that the server brings.
func builtin(types *pgtype.Map, oid uint32) (target, bool) {
	switch oid {
	case pgtype.JSONOID, pgtype.JSONBOID:
		return asJSON, true
	case pgtype.ByteaOID:
		return asBytes, true
	}
	known, found := types.TypeForOID(oid)
	if !found {
		return asText, false
	}
	if _, array := known.Codec.(*pgtype.ArrayCodec); array {
		return asArray, true
	}
	return asText, true
}

// The formats of parameters (PostgreSQL documentation, section 55.1.3).
const (
	formatText   = 0
	formatBinary = 1
)

// encode returns a value as the server takes it, and its format. A nil slice is
// NULL.
func (v value) encode(to target) (data []byte, format int16, err error) {
	switch {
	case v.bytes != nil && to == asBytes:
		return v.bytes, formatBinary, nil
	case v.bytes != nil && to == asText && utf8.Valid(v.bytes):
		return v.bytes, formatText, nil
	case v.bytes != nil:
		return nil, 0, errors.New("the data of the event is neither JSON nor text: only bytea takes it")
	case v.json == nil || string(v.json) == "null":
		return nil, formatText, nil
	case to == asJSON:
		return v.json, formatText, nil
	case v.json[0] == '"':
		return encodeString(v.json, to)
	case to == asArray && v.json[0] == '[':
		data, err = appendArray(nil, v.json)
		return data, formatText, err
	}
	return v.json, formatText, nil
}

func encodeString(raw []byte, to target) (data []byte, format int16, err error) {
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, 0, err
	}
	if to != asBytes {
		return []byte(text), formatText, nil
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, 0, fmt.Errorf("bytea takes text in base64: %w", err)
	}
	return decoded, formatBinary, nil
}

// appendArray appends a JSON array as the server reads one (PostgreSQL
// documentation, section 8.15.6). Elements are quoted, so that nothing in them
// means anything.
func appendArray(dst, raw []byte) ([]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, err
	}
	dst = append(dst, '{')
	for i, item := range items {
		if i > 0 {
			dst = append(dst, ',')
		}
		text := []byte(item)
		switch item[0] {
		case '[':
			var err error
			if dst, err = appendArray(dst, item); err != nil {
				return nil, err
			}
			continue
		case 'n':
			dst = append(dst, "NULL"...)
			continue
		case '"':
			var plain string
			if err := json.Unmarshal(item, &plain); err != nil {
				return nil, err
			}
			text = []byte(plain)
		}
		dst = append(dst, '"')
		for _, c := range text {
			if c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, c)
		}
		dst = append(dst, '"')
	}
	return append(dst, '}'), nil
}
