package event

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var bindings = map[string]Binding{
	"Kafka": {Prefixes: []string{"ce_"}},
	"AMQP":  {Prefixes: []string{"cloudEvents:", "cloudEvents_"}},
	"MQTT":  {Prefixes: []string{""}},
}

// An event that was sent by a binding is read as it was.
func TestMessageRoundTrip(t *testing.T) {
	for name, binding := range bindings {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				want := events(anyText).Draw(t, "event")
				got, is, err := binding.Decode(want.DataContentType, binding.Properties(&want), want.Data)
				if !is || err != nil {
					t.Fatalf("%v, %v", is, err)
				}
				same(t, asText(want), got)
			})
		})
	}
}

// asText returns an event whose extensions have their string forms: properties
// have no other.
func asText(e Event) Event {
	e = e.Clone()
	for name, value := range e.Extensions {
		e.Extensions[name] = canonical(value)
	}
	return e
}

func TestMessageDecode(t *testing.T) {
	kafka, mqtt := bindings["Kafka"], bindings["MQTT"]
	whole := `{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"n":1}}`
	cases := []struct {
		name        string
		binding     Binding
		contentType string
		properties  string // name=value, separated by spaces
		body        string
		is          bool
		problem     string
	}{
		{"no event", kafka, "text/plain", "trace=1", "x", false, ""},
		{"no specversion", kafka, "text/plain", "ce_id=1", "x", false, ""},
		{"binary", kafka, "text/plain", "ce_specversion=1.0 ce_id=1 ce_source=/s ce_type=t trace=1", "x", true, ""},
		{"another version", kafka, "text/plain", "ce_specversion=0.3 ce_id=1 ce_source=/s ce_type=t", "x", true, `"0.3"`},
		{"no id", kafka, "text/plain", "ce_specversion=1.0 ce_source=/s ce_type=t", "x", true, "id"},
		{"a wrong name", kafka, "text/plain", "ce_specversion=1.0 ce_id=1 ce_source=/s ce_type=t ce_a-b=1", "x", true, "a-b"},
		{"a wrong time", kafka, "text/plain", "ce_time=now ce_specversion=1.0 ce_id=1 ce_source=/s ce_type=t", "x", true, "time"},
		{"content type twice", kafka, "text/plain", "ce_specversion=1.0 ce_id=1 ce_source=/s ce_type=t ce_datacontenttype=a/b", "x", true, "content type"},
		{"no prefix", mqtt, "text/plain", "specversion=1.0 id=1 source=/s type=t sluice-attempt=1", "x", true, ""},
		{"structured", kafka, "application/cloudevents+json", "", whole, true, ""},
		{"structured, broken", kafka, "application/cloudevents+json; charset=utf-8", "", `{"specversion":"1.0"`, true, "JSON"},
		{"structured, incomplete", kafka, "application/cloudevents+json", "", `{"specversion":"1.0"}`, true, "id"},
		{"structured, another format", kafka, "application/cloudevents+avro", "", whole, true, "avro"},
		{"batched", kafka, "application/cloudevents-batch+json", "", "[" + whole + "]", true, "batch"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, is, err := c.binding.Decode(c.contentType, pairs(c.properties), []byte(c.body))
			if is != c.is || (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%v, %v", is, err)
			}
			if (is && err == nil) != (got.ID == "1") {
				t.Errorf("the event is %+v", got)
			}
		})
	}
	if _, _, err := kafka.Decode(MediaTypeBatchJSON, pairs(""), nil); !isMediaType(err) {
		t.Errorf("%T", err)
	}
}

func isMediaType(err error) bool {
	_, ok := errors.AsType[*MediaTypeError](err)
	return ok
}

// pairs reads name=value, separated by spaces.
func pairs(text string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for field := range strings.FieldsSeq(text) {
			if name, value, _ := strings.Cut(field, "="); !yield(name, value) {
				return
			}
		}
	}
}

// All prefixes are read, and the first is written.
func TestPrefixes(t *testing.T) {
	amqp := bindings["AMQP"]
	got, is, err := amqp.Decode("", pairs("cloudEvents_specversion=1.0 cloudEvents:id=1 cloudEvents_source=/s cloudEvents:type=t"), nil)
	if !is || err != nil || got.ID != "1" {
		t.Fatalf("%+v, %v, %v", got, is, err)
	}
	written := slices.Sorted(maps.Keys(maps.Collect(amqp.Properties(&got))))
	want := []string{"cloudEvents:id", "cloudEvents:source", "cloudEvents:specversion", "cloudEvents:type"}
	if !slices.Equal(written, want) {
		t.Errorf("written: %q", written)
	}
}

func FuzzMessage(f *testing.F) {
	f.Add("text/plain", "specversion", "1.0", "id", "1", []byte("x"))
	f.Add("application/cloudevents+json", "", "", "", "", []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`))
	f.Fuzz(func(t *testing.T, contentType, name, value, other, text string, body []byte) {
		properties := func(yield func(string, string) bool) {
			for _, p := range [][2]string{{"specversion", "1.0"}, {"id", "1"}, {"source", "/s"}, {"type", "t"}, {name, value}, {other, text}} {
				if !yield(p[0], p[1]) {
					return
				}
			}
		}
		for _, binding := range bindings {
			e, is, err := binding.Decode(contentType, properties, body)
			if !is || err != nil {
				continue
			}
			again, _, err := binding.Decode(e.DataContentType, binding.Properties(&e), e.Data)
			if err != nil && !isCloudEvents(e.DataContentType) {
				t.Fatalf("%+v: %v", e, err)
			}
			if err == nil && again.ID != e.ID {
				t.Fatalf("%q became %q", e.ID, again.ID)
			}
		}
	})
}
