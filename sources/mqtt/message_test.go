package mqtt

import (
	"log/slog"
	"testing"
	"time"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sources"
)

func maker(tb testing.TB, version mqttconn.Version) *source {
	tb.Helper()
	c := NewConfig()
	c.URL, c.Version, c.Topics = "mqtt://127.0.0.1:1883", version, []string{"#"}
	if version == mqttconn.V5 {
		c.IDProperty, c.PartitionProperty = "number", "device"
	}
	s, err := c.Source(sources.Env{Name: "test", Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1, 0) }})
	if err != nil {
		tb.Fatal(err)
	}
	return s.(*source)
}

// TestEvents checks what messages become.
func TestEvents(t *testing.T) {
	user := func(pairs ...string) mqttconn.Properties {
		var p mqttconn.Properties
		for i := 0; i < len(pairs); i += 2 {
			p.User = append(p.User, mqttconn.Property{Name: pairs[i], Value: pairs[i+1]})
		}
		return p
	}
	whole := []byte(`{"specversion":"1.0","id":"e","source":"/s","type":"t","data":1}`)
	structured := mqttconn.Properties{ContentType: event.MediaTypeJSON}
	for _, test := range []struct {
		name    string
		version mqttconn.Version
		message mqttconn.Message
		want    string // its JSON
	}{
		{"plain", mqttconn.V311, mqttconn.Message{Topic: "a/b", QoS: 1, Retain: true, Payload: []byte(`{"n":1}`)}, `{"specversion":"1.0","id":"id","source":"mqtt://127.0.0.1:1883","type":"mqtt.message","subject":"a/b","time":"1970-01-01T00:00:01Z","partitionkey":"a/b","qos":1,"retained":true,"data":{"n":1}}`},
		{"properties", mqttconn.V5, mqttconn.Message{Topic: "a\x01", Properties: user("number", "n7", "device", "d", "device", "e\n")}, `{"specversion":"1.0","id":"n7","source":"mqtt://127.0.0.1:1883","type":"mqtt.message","subject":"a%01","time":"1970-01-01T00:00:01Z","partitionkey":"d","qos":0,"userproperties":"[{\"number\":\"n7\"},{\"device\":\"d\"},{\"device\":\"e%0A\"}]"}`},
		{"binary", mqttconn.V5, mqttconn.Message{Topic: "a", Payload: []byte("x"), Properties: user("specversion", "1.0", "id", "e", "source", "/s", "type", "t")}, `{"specversion":"1.0","id":"e","source":"/s","type":"t","partitionkey":"a","data_base64":"eA=="}`},
		{"structured", mqttconn.V5, mqttconn.Message{Topic: "a", Payload: whole, Properties: structured}, `{"specversion":"1.0","id":"e","source":"/s","type":"t","datacontenttype":"application/json","partitionkey":"a","data":1}`},
		{"by its content", mqttconn.V311, mqttconn.Message{Topic: "a", Payload: whole}, `{"specversion":"1.0","id":"e","source":"/s","type":"t","datacontenttype":"application/json","partitionkey":"a","data":1}`},
		{"not valid", mqttconn.V5, mqttconn.Message{Topic: "a", Payload: []byte("{"), Properties: structured}, `{"specversion":"1.0","id":"id","source":"mqtt://127.0.0.1:1883","type":"mqtt.message","subject":"a","time":"1970-01-01T00:00:01Z","datacontenttype":"application/cloudevents+json","partitionkey":"a","qos":0,"data_base64":"ew=="}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := maker(t, test.version).event(&test.message, "id")
			if got := string(e.AppendJSON(nil)); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// FuzzEvents gives messages of any kind: each becomes a valid event.
func FuzzEvents(f *testing.F) {
	f.Add("a", "text/plain", "specversion", "1.0", []byte("x"))
	f.Add("a\x01\xff", "none", "device", "\ufffe", []byte(`{"specversion":"1.0","type":"t"}`))
	five, three := maker(f, mqttconn.V5), maker(f, mqttconn.V311)
	f.Fuzz(func(t *testing.T, topic, contentType, name, value string, payload []byte) {
		if topic == "" {
			return
		}
		m := mqttconn.Message{Topic: topic, Payload: payload, Properties: mqttconn.Properties{ContentType: contentType, ResponseTopic: value, User: []mqttconn.Property{{Name: name, Value: value}}}}
		for _, s := range []*source{five, three} {
			e := s.event(&m, "id")
			if err := e.Validate(); err != nil || e.PartitionKey() == "" {
				t.Errorf("%+v: %v", e, err)
			}
		}
	})
}

// FuzzMemory gives cursors of any kind.
func FuzzMemory(f *testing.F) {
	f.Add([]byte(`{"version":1,"client":"c","topics":{"a":1},"received":[1,2]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if m, err := decodeMemory(data); err == nil && m.Version != memoryVersion {
			t.Errorf("%+v", m)
		}
	})
}
