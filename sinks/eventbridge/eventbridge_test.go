package eventbridge

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes a sink whose service answers PutEvents as it was recorded.
func build(t *testing.T, answer string, change func(*Config)) (s sinks.Sink, asked func() string) {
	t.Helper()
	var last string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if r.Header.Get("X-Amz-Target") == "AWSEvents.PutEvents" {
			last = string(body)
			_, _ = io.WriteString(w, answer)
			return
		}
		_, _ = io.WriteString(w, "{}")
	}))
	t.Cleanup(server.Close)
	c := NewConfig()
	c.Endpoint, c.AccessKey, c.SecretKey = server.URL, config.NewSecret("k"), config.NewSecret("s")
	change(c)
	s, err := c.Sink(sinks.Env{Name: "t"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(sinks.Closer).Close() })
	return s, func() string { return last }
}

func attempt(events ...*event.Event) sinks.Attempt {
	a := sinks.Attempt{Trigger: "t"}
	for _, e := range events {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: "inc.1.t", Attempt: 1, Event: e})
	}
	return a
}

func made(data string) *event.Event {
	return &event.Event{ID: "e", Source: "/shop", Type: "order.placed", Subject: "order/7", Time: time.Unix(1767225600, 0).UTC(), Data: []byte(data)}
}

const (
	taken     = `{"EventId":"1"}`
	throttled = `{"ErrorCode":"ThrottlingException","ErrorMessage":"slow"}`
	malformed = `{"ErrorCode":"MalformedDetail","ErrorMessage":"Detail is malformed."}`
)

// TestEntries: each entry of a request has an answer of its own.
func TestEntries(t *testing.T) {
	s, asked := build(t, `{"FailedEntryCount":2,"Entries":[`+taken+`,`+throttled+`,`+malformed+`]}`, func(c *Config) {
		c.Source, c.DetailType = "shop", "{{ .type }} of {{ .subject }}"
	})
	_, err := s.Deliver(t.Context(), attempt(made(`{"n":1}`), made(""), made(`{"n":3}`), made("text"), made("[1]")))
	some, ok := err.(*sinks.PartialError) //nolint:errorlint // it is the very one
	if !ok || len(some.Failed) != 4 {
		t.Fatalf("got %v", err)
	}
	if _, ok := some.Failed[1].(*sinks.ThrottledError); !ok || !sinks.IsPermanent(some.Failed[2]) || !sinks.IsPermanent(some.Failed[3]) || !sinks.IsPermanent(some.Failed[4]) { //nolint:errorlint // as above
		t.Errorf("got %+v", some.Failed)
	}
	for _, want := range []string{
		`"Detail":"{\"n\":1}"`, `"Detail":"{}"`, `"DetailType":"order.placed of order/7"`, `"Source":"shop"`, `"Resources":["order/7"]`, `"Time":1767225600`, `"EventBusName":"default"`,
	} {
		if !strings.Contains(asked(), want) {
			t.Errorf("there is no %s in %s", want, asked())
		}
	}
}

func TestNames(t *testing.T) {
	s, _ := build(t, `{"Entries":[`+taken+`]}`, func(*Config) {})
	for source, ok := range map[string]bool{"/shop": true, "aws.events": false, strings.Repeat("s", 257): false} {
		e := made("{}")
		e.Source = source
		if _, err := s.Deliver(t.Context(), attempt(e)); (err == nil) != ok || sinks.IsPermanent(err) == ok {
			t.Errorf("%.20s: %v", source, err)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"":                        func(c *Config) { c.Bus = "arn:aws:events:eu-central-1:123456789012:event-bus/orders" },
		`bus: "a b" is`:           func(c *Config) { c.Bus = "a b" },
		`detail: found "x"`:       func(c *Config) { c.Detail = "x" },
		"source: ":                func(c *Config) { c.Source = "{{ }" },
		"detail_type: ":           func(c *Config) { c.DetailType = "{{ }" },
		"endpoint: it is no http": func(c *Config) { c.Endpoint = "x" },
	} {
		c := NewConfig()
		change(c)
		if err := c.Validate(); (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
