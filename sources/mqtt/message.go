package mqtt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"unicode/utf8"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/event/aws"
)

// binding is that of MQTT 5: user properties are named as the attributes are
// (MQTT binding 1.0.2, section 3.1.3.1).
var binding = event.Binding{Prefixes: []string{""}}

// event makes the event of a message. An event that the message is itself has an
// id of its own; any other gets the given one.
func (s *source) event(m *mqttconn.Message, id string) event.Event {
	if s.cfg.CloudEvents {
		e, is, err := s.decode(m)
		switch {
		case is && err == nil:
			s.key(&e, m)
			return e
		case is:
			s.env.Logger.Warn("a message says that it is a CloudEvent and is not valid: it becomes an event as it stands",
				slog.String("topic", m.Topic), slog.Any("error", err))
		}
	}
	e := event.Event{
		ID: id, Source: s.origin, Type: aws.TypeMQTT, Subject: clean(m.Topic), Time: s.env.Now().UTC(), Data: m.Payload,
	}
	s.describe(&e, m)
	if name := s.cfg.IDProperty; name != "" {
		if value := clean(property(m, name)); value != "" {
			e.ID = value
		}
	}
	s.key(&e, m)
	return e
}

// decode takes a message for a CloudEvent. In 3.1.1 there is only structured mode,
// and nothing that tells it: JSON that has a specversion is one (MQTT binding,
// section 3.2).
func (s *source) decode(m *mqttconn.Message) (e event.Event, is bool, err error) {
	if s.cfg.Version != mqttconn.V311 {
		return binding.Decode(m.Properties.ContentType, userProperties(m), m.Payload)
	}
	if !mayBeEvent(m.Payload) {
		return event.Event{}, false, nil
	}
	return binding.Decode(event.MediaTypeJSON, userProperties(m), m.Payload)
}

// mayBeEvent tells whether a payload is an object with the members that every
// event in JSON has.
func mayBeEvent(payload []byte) bool {
	if trimmed := bytes.TrimLeft(payload, " \t\r\n"); len(trimmed) == 0 || trimmed[0] != '{' || !bytes.Contains(payload, []byte(`"specversion"`)) {
		return false
	}
	var has struct {
		Version *string `json:"specversion"`
		Type    *string `json:"type"`
	}
	return json.Unmarshal(payload, &has) == nil && has.Version != nil && has.Type != nil
}

func userProperties(m *mqttconn.Message) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, p := range m.Properties.User {
			if !yield(p.Name, p.Value) {
				return
			}
		}
	}
}

// property returns the first user property of a name, or nothing.
func property(m *mqttconn.Message, name string) string {
	for _, p := range m.Properties.User {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// describe sets what is known of a message beside its payload.
func (s *source) describe(e *event.Event, m *mqttconn.Message) {
	e.Extensions = map[string]any{"qos": int32(m.QoS)}
	if m.Retain {
		e.Extensions["retained"] = true
	}
	p := &m.Properties
	for name, value := range map[string]string{
		"responsetopic":   clean(p.ResponseTopic),
		"correlationdata": base64.StdEncoding.EncodeToString(p.CorrelationData),
		"userproperties":  listOf(p.User),
		"traceparent":     clean(property(m, "traceparent")),
		"tracestate":      clean(property(m, "tracestate")),
	} {
		if value != "" {
			e.Extensions[name] = value
		}
	}
	setContentType(e, p.ContentType)
}

// setContentType sets the content type. In MQTT it may be any text: one that is no
// media type is an extension.
func setContentType(e *event.Event, contentType string) {
	probe := event.Event{ID: "-", Source: "-", Type: "-", DataContentType: contentType}
	if probe.Validate() == nil {
		e.DataContentType = contentType
	} else {
		e.Extensions["contenttype"] = clean(contentType)
	}
}

// listOf returns the user properties as JSON: a list of objects, since a name may
// be there several times.
func listOf(properties []mqttconn.Property) string {
	if len(properties) == 0 {
		return ""
	}
	b := []byte{'['}
	for i, p := range properties {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(event.AppendQuoted(append(b, '{'), clean(p.Name)), ':')
		b = append(event.AppendQuoted(b, clean(p.Value)), '}')
	}
	return string(append(b, ']'))
}

// key sets the partition key, where the event has none: the topic, or what the
// user property holds.
func (s *source) key(e *event.Event, m *mqttconn.Message) {
	if e.PartitionKey() != "" {
		return
	}
	key := ""
	if name := s.cfg.PartitionProperty; name != "" {
		key = clean(property(m, name))
	}
	if key == "" {
		key = clean(m.Topic)
	}
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions["partitionkey"] = key
}

// clean percent-encodes what an attribute may not have: control characters,
// noncharacters, and what is not UTF-8.
func clean(text string) string {
	bad := func(r rune, width int) bool {
		return r < 0x20 || r >= 0x7f && r <= 0x9f || r >= 0xfdd0 && r <= 0xfdef || r&0xfffe == 0xfffe || r == utf8.RuneError && width <= 1
	}
	var b strings.Builder
	for i := 0; i < len(text); {
		r, width := utf8.DecodeRuneInString(text[i:])
		if bad(r, width) {
			for _, c := range []byte(text[i : i+width]) {
				fmt.Fprintf(&b, "%%%02X", c)
			}
		} else {
			b.WriteString(text[i : i+width])
		}
		i += width
	}
	return b.String()
}
