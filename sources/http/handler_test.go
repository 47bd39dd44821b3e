package http_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/event"
	"sluice/sources/sourcetest"
)

const jsonEvent = `{"specversion":"1.0","id":"1","source":"/s","type":"t"}`

func TestAccepts(t *testing.T) {
	cases := []struct {
		name   string
		header map[string]string
		body   string
		want   string
		events []event.Event
	}{
		{
			name: "binary",
			header: map[string]string{
				"Ce-Specversion": "1.0", "Ce-Id": "a%20b", "Ce-Source": "/s", "Ce-Type": "t", "Ce-Subject": "%E2%82%AC",
				"Ce-Partitionkey": "p", "Content-Type": "text/plain",
			},
			body: "hello",
			want: `{"accepted":1,"ids":["a b"]}`,
			events: []event.Event{{
				ID: "a b", Source: "/s", Type: "t", Subject: "€", DataContentType: "text/plain",
				Extensions: map[string]any{"partitionkey": "p"}, Data: []byte("hello"),
			}},
		},
		{
			name:   "structured",
			header: map[string]string{"Content-Type": "application/cloudevents+json; charset=UTF-8"},
			body:   `{"specversion":"1.0","id":"1","source":"/s","type":"t","n":5,"data":{"a": 1}}`,
			want:   `{"accepted":1,"ids":["1"]}`,
			events: []event.Event{{
				ID: "1", Source: "/s", Type: "t", DataContentType: "application/json",
				Extensions: map[string]any{"n": int32(5)}, Data: []byte(`{"a": 1}`),
			}},
		},
		{
			name:   "batch",
			header: map[string]string{"Content-Type": "application/cloudevents-batch+json"},
			body:   `[` + jsonEvent + `,` + strings.Replace(jsonEvent, `"1"`, `"2"`, 1) + `]`,
			want:   `{"accepted":2,"ids":["1","2"]}`,
			events: []event.Event{{ID: "1", Source: "/s", Type: "t"}, {ID: "2", Source: "/s", Type: "t"}},
		},
		{
			name:   "empty batch",
			header: map[string]string{"Content-Type": "application/cloudevents-batch+json"},
			body:   `[]`,
			want:   `{"accepted":0,"ids":[]}`,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := sourcetest.NewOut()
			url := startSource(t, newConfig("/hooks"), out)
			got := send(t, http.MethodPost, url, c.header, c.body)
			if got.status != http.StatusAccepted || got.body != c.want {
				t.Errorf("answer %d %s, want 202 %s", got.status, got.body, c.want)
			}
			if diff := cmp.Diff(c.events, out.Events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPlainBodyBecomesAnEvent(t *testing.T) {
	out := sourcetest.NewOut()
	url := startSource(t, newConfig("/hooks/orders"), out)
	ids := map[string]bool{}
	for _, contentType := range []string{"application/json", "application/vnd.x+json; charset=utf-8", "text/csv", "application/x-www-form-urlencoded"} {
		body := `{"a":1}`
		if !event.IsJSON(contentType) {
			body = "a=1"
		}
		got := send(t, http.MethodPost, url, map[string]string{"Content-Type": contentType}, body)
		events := out.Events()
		e := events[len(events)-1]
		want := fmt.Sprintf(`{"accepted":1,"ids":[%q]}`, e.ID)
		if got.status != http.StatusAccepted || got.body != want {
			t.Errorf("%s: answer %d %s, want 202 %s", contentType, got.status, got.body, want)
		}
		ids[e.ID] = true
		if e.Time.IsZero() {
			t.Errorf("%s: the event has no time", contentType)
		}
		e.ID, e.Time = "", event.Event{}.Time
		if diff := cmp.Diff(event.Event{
			Source: "/hooks", Type: "http.request", Subject: "/hooks/orders",
			DataContentType: contentType, Data: []byte(body),
		}, e); diff != "" {
			t.Errorf("%s: event (-want +got):\n%s", contentType, diff)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d different ids of 4 requests", len(ids))
	}
}

// A sender that sends again has one event (invariant I5).
func TestSameEventTwiceIsOne(t *testing.T) {
	out := sourcetest.NewOut()
	url := startSource(t, newConfig("/hooks"), out)
	for range 2 {
		got := send(t, http.MethodPost, url, map[string]string{"Content-Type": event.MediaTypeJSON}, jsonEvent)
		if got.status != http.StatusAccepted || got.body != `{"accepted":1,"ids":["1"]}` {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	if len(out.Events()) != 1 || len(out.Repeats()) != 1 {
		t.Errorf("%d events, %d repeats, want 1 and 1", len(out.Events()), len(out.Repeats()))
	}
}

var requestID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// wantRefusal checks the whole form of a refusal.
func wantRefusal(t *testing.T, got answer, status int, message string) {
	t.Helper()
	var body struct {
		Error     string
		RequestID string `json:"request_id"`
	}
	if err := json.Unmarshal([]byte(got.body), &body); err != nil {
		t.Fatalf("body %q: %v", got.body, err)
	}
	if got.status != status || body.Error != message {
		t.Errorf("answer %d %q\nwant   %d %q", got.status, body.Error, status, message)
	}
	if !requestID.MatchString(body.RequestID) || got.header.Get("X-Request-Id") != body.RequestID {
		t.Errorf("request id %q in the body, %q in the header", body.RequestID, got.header.Get("X-Request-Id"))
	}
	if kind := got.header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("content type %q", kind)
	}
}

// binary returns the headers of an event, changed; an empty value takes one away.
func binary(change map[string]string) map[string]string {
	header := map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"}
	for name, value := range change {
		header[name] = value
		if value == "" {
			delete(header, name)
		}
	}
	return header
}

var (
	structured = map[string]string{"Content-Type": event.MediaTypeJSON}
	batch      = map[string]string{"Content-Type": event.MediaTypeBatchJSON}
	plain      = map[string]string{"Content-Type": "application/json"}
)

var refusedCases = []struct {
	name    string
	method  string
	header  map[string]string
	body    string
	status  int
	message string
}{
	{"get", "GET", nil, "", 405, `method "GET": send POST`},
	{"put", "PUT", plain, "{}", 405, `method "PUT": send POST`},
	{"no id", "POST", binary(map[string]string{"Ce-Id": ""}), "", 400, `id: missing: every event needs a non-empty id`},
	{
		"two problems", "POST", binary(map[string]string{"Ce-Id": "", "Ce-Source": "a b"}), "", 400,
		`id: missing: every event needs a non-empty id; source: "a b" is not a URI reference: ' ' at byte 1 must be percent-encoded`,
	},
	{"no specversion", "POST", binary(map[string]string{"Ce-Specversion": ""}), "", 400, `specversion: missing: every event needs specversion "1.0"`},
	{"old specversion", "POST", binary(map[string]string{"Ce-Specversion": "0.3"}), "", 400, `specversion: "0.3" is not supported: send "1.0"`},
	{"bad time", "POST", binary(map[string]string{"Ce-Time": "today"}), "", 400, `time: "today" is not an RFC 3339 time: write one such as 2026-01-31T15:04:05Z`},
	{
		"control character", "POST", binary(map[string]string{"Ce-Subject": "a%0D%0Ab"}), "", 400,
		`subject: "a\r\nb": the character at byte 1 is not allowed: control characters, noncharacters and invalid UTF-8 are not`,
	},
	{
		"bad escape", "POST", binary(map[string]string{"Ce-Subject": "50%"}), "", 400,
		`ce-subject: "50%": the percent sign at byte 2 begins no escape: write %25 for the sign itself`,
	},
	{
		"bad extension", "POST", binary(map[string]string{"Ce-My-Ext": "1"}), "", 400,
		`"my-ext": attribute names are made of lower-case letters and digits`,
	},
	{
		"bad content type", "POST", binary(map[string]string{"Content-Type": "json"}), "{}", 400,
		`datacontenttype: "json" is not a media type: write one such as application/json`,
	},
	{"structured: syntax", "POST", structured, `{"id":}`, 400, `not JSON: invalid character '}' looking for beginning of value at byte 7`},
	{"structured: wrong type", "POST", structured, `{"specversion":"1.0","id":1}`, 400, `id: found a number, want a string`},
	{"structured: twice", "POST", structured, `{"id":"1","id":"2"}`, 400, `id: the member is there twice`},
	{"structured: an array", "POST", structured, `[]`, 400, `found an array, want an event: an object`},
	{"structured: empty", "POST", structured, ``, 400, `not JSON: unexpected end of JSON input at byte 0`},
	{"batch: an object", "POST", batch, jsonEvent, 400, `found an object, want an array of events`},
	{
		"batch: second is wrong", "POST", batch, `[` + jsonEvent + `,{"specversion":"1.0","id":"2","source":"/s"}]`, 400,
		`event 1: type: missing: every event needs a non-empty type`,
	},
	{"batch: third has a wrong type", "POST", batch, `[` + jsonEvent + `,` + jsonEvent + `,7]`, 400, `event 2: found a number, want an event: an object`},
	{"batch: too many", "POST", batch, `[` + strings.Repeat(jsonEvent+",", 20) + jsonEvent + `]`, 413, `21 events in one batch: at most 20`},
	{
		"avro", "POST",
		map[string]string{"Content-Type": "application/cloudevents+avro"},
		"x", 415,
		`content type "application/cloudevents+avro" is not read: send application/cloudevents+json, application/cloudevents-batch+json, or binary mode with ce- headers`,
	},
	{
		"latin-1", "POST",
		map[string]string{"Content-Type": "application/cloudevents+json; charset=latin1"},
		"{}", 415,
		`content type "application/cloudevents+json; charset=latin1" is not read: send application/cloudevents+json, application/cloudevents-batch+json, or binary mode with ce- headers`,
	},
	{"plain: empty", "POST", plain, "", 400, `the body is empty: send a CloudEvent or some data`},
	{"plain: not JSON", "POST", plain, "{", 400, `Content-Type says JSON, but the body is not: unexpected end of JSON input`},
	{"plain: not UTF-8", "POST", plain, "\"\xff\"", 400, `Content-Type says JSON, but the body is not UTF-8`},
	{"plain: deep", "POST", plain, strings.Repeat("[", 4000), 400, `Content-Type says JSON, but the body is not: unexpected end of JSON input`},
	{"plain: no content type", "POST", nil, "{}", 415, `no Content-Type: say what the body is, such as application/json`},
	{
		"plain: content type", "POST",
		map[string]string{"Content-Type": "text"},
		"x", 400,
		`datacontenttype: "text" is not a media type: write one such as application/json`,
	},
	{
		"form that is JSON", "POST",
		map[string]string{"Content-Type": "application/x-www-form-urlencoded"},
		`{"a":1}`, 415,
		`Content-Type says that the body is a form, but it is JSON: send Content-Type: application/json`,
	},
	{
		"brotli", "POST",
		map[string]string{"Content-Type": "application/json", "Content-Encoding": "br"},
		"x", 415,
		`content encoding "br": send gzip, or the body as it is`,
	},
	{"large", "POST", plain, `"` + strings.Repeat("x", 4096) + `"`, 413, `the body is too large: at most 4KiB`},
	{
		"large with attributes", "POST", binary(map[string]string{"Ce-Subject": strings.Repeat("s", 100)}), strings.Repeat("x", 4096), 413,
		`the event is too large: 4233 bytes with its attributes, at most 4096`,
	},
	{
		"another site", "POST",
		map[string]string{"Content-Type": "text/plain", "Origin": "https://evil.example"},
		"x", 403,
		`a browser sends this for another site: that is not allowed`,
	},
}

func TestRefuses(t *testing.T) {
	out := sourcetest.NewOut()
	c := newConfig("/hooks")
	c.MaxBatch, c.MaxBody = 20, 4096
	url := startSource(t, c, out)
	for _, c := range refusedCases {
		t.Run(c.name, func(t *testing.T) {
			wantRefusal(t, send(t, c.method, url, c.header, c.body), c.status, c.message)
		})
	}
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events were stored", n)
	}
	if allow := send(t, "GET", url, nil, "").header.Get("Allow"); allow != "POST" {
		t.Errorf("Allow %q, want POST", allow)
	}
}

func TestTellsHowTheBusIs(t *testing.T) {
	cases := []struct {
		name    string
		err     error
		status  int
		message string
		retry   string
	}{
		{"unavailable", fmt.Errorf("publish: %w", event.ErrUnavailable), 503, "the bus is not available", "5"},
		{"full", fmt.Errorf("publish: %w", event.ErrFull), 503, "the bus is full", "30"},
		{"too large", fmt.Errorf("%w: 9 bytes", event.ErrTooLarge), 413, "the event is too large: 9 bytes", ""},
		{"anything else", errors.New("secret details"), 503, "the bus is not available", "5"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			out := sourcetest.NewOut()
			url := startSource(t, newConfig("/hooks"), out)
			out.FailWith(c.err)
			got := send(t, http.MethodPost, url, map[string]string{"Content-Type": "application/json"}, "{}")
			wantRefusal(t, got, c.status, c.message)
			if retry := got.header.Get("Retry-After"); retry != c.retry {
				t.Errorf("Retry-After %q, want %q", retry, c.retry)
			}
			out.FailWith(nil)
			if got := send(t, http.MethodPost, url, map[string]string{"Content-Type": "application/json"}, "{}"); got.status != 202 {
				t.Errorf("afterwards: %d %s", got.status, got.body)
			}
		})
	}
}

// A log that many goroutines write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func TestAnOutageIsLoggedOnceAndReported(t *testing.T) {
	var log safeBuffer
	var mu sync.Mutex
	var health []error
	out := sourcetest.NewOut()
	server, url := startServer(t, serverOptions())
	env := sourcetest.Env("hooks", server)
	env.Logger = slog.New(slog.NewTextHandler(&log, nil))
	env.Report = func(err error) {
		mu.Lock()
		defer mu.Unlock()
		health = append(health, err)
	}
	source, err := newConfig("/hooks").Source(env)
	if err != nil {
		t.Fatal(err)
	}
	stop := sourcetest.Run(t, source, out)
	post := func() int {
		return send(t, http.MethodPost, url+"/hooks", map[string]string{"Content-Type": "application/json"}, "{}").status
	}
	sourcetest.Eventually(t, "mounted", func() bool { return post() == 202 })
	out.FailWith(event.ErrFull)
	for range 20 {
		post()
	}
	out.FailWith(nil)
	post()
	stop()
	if n := strings.Count(log.String(), "events could not be stored"); n != 1 {
		t.Errorf("the outage is in the log %d times, want once:\n%s", n, &log)
	}
	if n := strings.Count(log.String(), "events are stored again"); n != 1 {
		t.Errorf("its end is in the log %d times, want once:\n%s", n, &log)
	}
	if len(health) != 2 || !errors.Is(health[0], event.ErrFull) || health[1] != nil {
		t.Errorf("health %v, want the error and then nil", health)
	}
}
