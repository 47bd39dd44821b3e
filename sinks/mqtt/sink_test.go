package mqtt

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sinks"
)

func maker(tb testing.TB, change func(*Config)) *sink {
	tb.Helper()
	c := NewConfig()
	c.URL, c.Topic = "mqtt://127.0.0.1:1883", "lamps/{{ .subject }}/set"
	if change != nil {
		change(c)
	}
	s, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.(sinks.Closer).Close() })
	return s.(*sink)
}

// TestTopics checks what templates make of events.
func TestTopics(t *testing.T) {
	for _, test := range []struct{ topic, subject, want string }{
		{"lamps/{{ .subject }}/set", "hall", "lamps/hall/set"},
		{"lamps/{{ .subject }}/set", "a/b", "!would make another topic"},
		{"lamps/{{ .subject }}/set", "+", "!would make another topic"},
		{"lamps/{{ .subject }}/set", "", "!an empty text"},
		{"{{ .subject }}", "a/b", "a/b"},
		{"{{ .subject }}", "a/#", "!wildcards"},
		{"{{ .subject }}", "$SYS/x", "!begins with $"},
		{"plain", "x", "plain"},
	} {
		s := maker(t, func(c *Config) { c.Topic = test.topic })
		got, err := s.fill(t.Context(), &event.Event{ID: "e", Source: "/s", Type: "t", Subject: test.subject})
		if reason, fails := strings.CutPrefix(test.want, "!"); fails {
			if err == nil || !sinks.IsPermanent(err) || !strings.Contains(err.Error(), reason) {
				t.Errorf("%s of %q: %q, %v", test.topic, test.subject, got, err)
			}
		} else if err != nil || got != test.want {
			t.Errorf("%s of %q: %q, %v", test.topic, test.subject, got, err)
		}
	}
}

// TestJudge checks what becomes of a delivery that a server refuses.
func TestJudge(t *testing.T) {
	for code, want := range map[byte]string{
		mqttconn.NotAuthorized: "dead", mqttconn.TopicNameInvalid: "dead", mqttconn.PacketTooLarge: "dead", mqttconn.PayloadFormatInvalid: "dead",
		mqttconn.QuotaExceeded: "throttled", mqttconn.ServerBusy: "throttled", mqttconn.Unspecified: "retry", mqttconn.QoSNotSupported: "retry",
	} {
		reason := &mqttconn.ReasonError{Code: code}
		if got := decision(judge(reason)); got != want {
			t.Errorf("%v: %s, want %s", reason, got, want)
		}
		if got := decision(judge(connectError(reason))); got != "retry" {
			t.Errorf("%v while connecting: %s", reason, got)
		}
	}
}

func decision(err error) string {
	var throttled *sinks.ThrottledError
	switch {
	case sinks.IsPermanent(err):
		return "dead"
	case errors.As(err, &throttled):
		return "throttled"
	}
	return "retry"
}

// TestMessage checks what a subscriber sees.
func TestMessage(t *testing.T) {
	d := &sinks.Delivery{ID: "d", Attempt: 2, Event: &event.Event{ID: "e", Source: "/s", Type: "t", DataContentType: "text/plain", Data: []byte("x")}}
	for mode, want := range map[Mode]string{
		Binary:     "text/plain x [{specversion 1.0} {id e} {source /s} {type t} {Sluice-Delivery d} {Sluice-Attempt 2} {Sluice-Trigger work} {Sluice-Claim 7}]",
		Structured: `application/cloudevents+json {"specversion":"1.0","id":"e","source":"/s","type":"t","datacontenttype":"text/plain","data":"x"} [{Sluice-Delivery d} {Sluice-Attempt 2} {Sluice-Trigger work} {Sluice-Claim 7}]`,
		Raw:        "text/plain x [{Sluice-Delivery d} {Sluice-Attempt 2} {Sluice-Trigger work} {Sluice-Claim 7}]",
	} {
		m := maker(t, func(c *Config) { c.Mode = mode }).message("a", &sinks.Attempt{Trigger: "work", Claim: 7}, d)
		if got := fmt.Sprint(m.Properties.ContentType, " ", string(m.Payload), " ", m.Properties.User); got != want {
			t.Errorf("%s:\ngot  %s\nwant %s", mode, got, want)
		}
	}
	m := maker(t, func(c *Config) { c.Version = mqttconn.V311 }).message("a", &sinks.Attempt{}, d)
	if want := `{"specversion":"1.0","id":"e","source":"/s","type":"t","datacontenttype":"text/plain","sluiceattempt":2,"sluicedelivery":"d","data":"x"}`; string(m.Payload) != want || d.Event.Extensions != nil {
		t.Errorf("3.1.1: %s", m.Payload)
	}
}

// TestProblems checks what is refused when the file is read.
func TestProblems(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"qos: expected 1 or 2, found 0":               func(c *Config) { c.QoS = 0 },
		"url: it has a user in it":                    func(c *Config) { c.URL = "mqtt://u:secret@h" },
		"topic: \"a/+\"":                              func(c *Config) { c.Topic = "a/+" },
		"mode: MQTT 3.1.1 has no user properties":     func(c *Config) { c.Version, c.Mode = mqttconn.V311, Binary },
		"expiry: MQTT 3.1.1 has no expiry":            func(c *Config) { c.Version, c.Expiry = mqttconn.V311, 1e9 },
		"tls: the server of url is spoken to without": func(c *Config) { c.TLS.ServerName = "x" },
	} {
		c := NewConfig()
		c.URL, c.Topic = "mqtt://127.0.0.1", "a"
		change(c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
