package nats

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// Type is that of events which are not CloudEvents already.
const Type = "nats.message"

// maxHeaders is the most bytes of headers that an event tells, as JSON.
const maxHeaders = 8 << 10

// A message is one of a stream, or of a core subject.
type message struct {
	subject string
	header  nats.Header
	data    []byte
	time    time.Time
	origin  string // the stream; "core" for none
	id      string
}

// streamID is the id of a message of a stream. Streams of one name that are made
// one after the other differ in when they were created.
func streamID(stream string, created time.Time, sequence uint64) string {
	return stream + "/" + strconv.FormatInt(created.UnixNano(), 36) + "/" + strconv.FormatUint(sequence, 10)
}

// event returns the event of a message. The second one says why it is no
// CloudEvent although it says so.
func (m *message) event(cloudEvents bool) (event.Event, error) {
	var invalid error
	if cloudEvents {
		given, is, err := m.decode()
		if is && err == nil {
			if given.PartitionKey() == "" {
				err = given.SetExtension("partitionkey", attribute(m.subject))
			}
			if err == nil {
				return given, nil
			}
		}
		invalid = err
	}
	subject := attribute(m.subject)
	e := event.Event{
		ID: m.id, Source: "nats:" + m.origin, Type: Type, Subject: subject, Time: m.time.UTC(), Data: m.data,
		Extensions: map[string]any{"partitionkey": subject},
	}
	if headers := m.headers(); headers != "" {
		e.Extensions["headers"] = headers
	}
	if len(m.data) > 0 {
		e.DataContentType = m.contentType()
	}
	return e, invalid
}

// decode reads a message that is a CloudEvent (NATS binding 1.0.2, sections 3.1
// and 3.2): as over HTTP, but that the content type of the data is an attribute
// among others.
func (m *message) decode() (event.Event, bool, error) {
	header := http.Header{}
	for name, values := range m.header {
		if len(values) > 0 {
			header[http.CanonicalHeaderKey(name)] = values[:1]
		}
	}
	const dataContentType = "Ce-Datacontenttype"
	structured := strings.HasPrefix(strings.ToLower(header.Get("Content-Type")), "application/cloudevents")
	if !structured && header.Get("Ce-Specversion") == "" {
		return event.Event{}, false, nil
	}
	if given := header.Get(dataContentType); !structured && given != "" {
		header.Set("Content-Type", given)
		header.Del(dataContentType)
	}
	events, _, err := event.DecodeHTTP(header, m.data)
	switch {
	case err != nil:
		return event.Event{}, true, err
	case len(events) != 1:
		return event.Event{}, true, fmt.Errorf("it has %d events: a message carries one", len(events))
	}
	return events[0], true, events[0].Validate()
}

// contentType is what the message says, when that can be an attribute, or what
// its data is taken for.
func (m *message) contentType() string {
	for name, values := range m.header {
		if !strings.EqualFold(name, "content-type") || len(values) == 0 {
			continue
		}
		probe := event.Event{ID: "1", Source: "/", Type: "t", DataContentType: values[0], Data: m.data}
		if values[0] != "" && probe.Validate() == nil {
			return values[0]
		}
	}
	switch {
	case json.Valid(m.data):
		return "application/json"
	case utf8.Valid(m.data):
		return "text/plain"
	}
	return "application/octet-stream"
}

// headers returns the headers as a JSON object: a text for each, or a list of
// several. What is too long, or no text, is left out.
func (m *message) headers() string {
	if len(m.header) == 0 {
		return ""
	}
	names := make([]string, 0, len(m.header))
	for name := range m.header {
		names = append(names, name)
	}
	slices.Sort(names)
	out := []byte{'{'}
	for _, name := range names {
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(event.AppendQuoted(out, name), ':')
		if values := m.header[name]; len(values) == 1 {
			out = event.AppendQuoted(out, values[0])
		} else {
			out = appendList(out, values)
		}
	}
	out = append(out, '}')
	if len(out) > maxHeaders || !valid(string(out)) {
		return ""
	}
	return string(out)
}

func appendList(out []byte, values []string) []byte {
	out = append(out, '[')
	for i, value := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = event.AppendQuoted(out, value)
	}
	return append(out, ']')
}

// attribute returns a subject as the value of an attribute: as it stands, or
// escaped when it has what attributes may not have.
func attribute(subject string) string {
	if valid(subject) {
		return subject
	}
	return url.PathEscape(subject)
}

// valid tells whether an attribute may have a value.
func valid(value string) bool { return (&event.Event{}).SetExtension("value", value) == nil }
