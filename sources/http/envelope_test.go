package http_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	sourcehttp "sluice/sources/http"
)

// enveloping returns a source with every method and the shape "request".
func enveloping() *sourcehttp.Config {
	c := newConfig("/hooks/*")
	c.Shape = "request"
	c.Methods = []string{"POST", "PUT", "PATCH", "DELETE", "GET"}
	c.Headers = []string{"X-GitHub-Event", "x-other"}
	return c
}

func TestEnvelope(t *testing.T) {
	handler, out := startHandler(t, enveloping())
	cases := []struct {
		name, method, target string
		header               http.Header
		body, want           string
	}{
		{
			"a verification", "GET", "/hooks/meta?hub.mode=subscribe&hub.challenge=7&a=1&a=2&b", nil, "",
			`{"method":"GET","path":"/hooks/meta","query":{"a":["1","2"],"b":[""],"hub.challenge":["7"],"hub.mode":["subscribe"]},"headers":{}}`,
		},
		{
			"JSON as it stands", "POST", "/hooks/a",
			http.Header{"Content-Type": {"application/json"}, "X-Github-Event": {"push"}, "Authorization": {"Bearer x"}, "X-Secret": {"x"}},
			`{"n": 1.0, "big": 12345678901234567890, "html": "<&>"}`,
			`{"method":"POST","path":"/hooks/a","query":{},"headers":{"content-type":"application/json","x-github-event":"push"},"body":{"n":1.0,"big":12345678901234567890,"html":"<&>"}}`,
		},
		{
			"a form", "PUT", "/hooks/a",
			http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
			"a=1&a=2&text=%E2%82%AC",
			`{"method":"PUT","path":"/hooks/a","query":{},"headers":{"content-type":"application/x-www-form-urlencoded"},"body":{"a":["1","2"],"text":["€"]}}`,
		},
		{
			"text, and a header twice", "PATCH", "/hooks/a",
			http.Header{"Content-Type": {"text/csv"}, "X-Other": {"a", "b"}},
			"a;b\n",
			`{"method":"PATCH","path":"/hooks/a","query":{},"headers":{"content-type":"text/csv","x-other":"a, b"},"body":"a;b\n"}`,
		},
		{
			"bytes", "POST", "/hooks/a%20b",
			http.Header{"Content-Type": {"image/png"}},
			"\x89PNG",
			`{"method":"POST","path":"/hooks/a b","query":{},"headers":{"content-type":"image/png"},"body_base64":"iVBORw=="}`,
		},
		{"no body", "DELETE", "/hooks/a", nil, "", `{"method":"DELETE","path":"/hooks/a","query":{},"headers":{}}`},
		{"null", "POST", "/hooks/a", http.Header{"Content-Type": {"application/json"}}, "null", `{"method":"POST","path":"/hooks/a","query":{},"headers":{"content-type":"application/json"},"body":null}`},
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			request := newRequest(t, c.method, c.target, c.body)
			request.Header = c.header
			if c.header == nil {
				request.Header = http.Header{}
			}
			if got := serve(handler, request); got.status != 202 {
				t.Fatalf("answer %d %s", got.status, got.body)
			}
			e := out.Events()[i]
			if string(e.Data) != c.want || e.DataContentType != "application/json" || e.Subject != request.URL.Path {
				t.Errorf("subject %q, %s\ngot  %s\nwant %s", e.Subject, e.DataContentType, e.Data, c.want)
			}
		})
	}
}

func TestEnvelopeRefuses(t *testing.T) {
	handler, out := startHandler(t, enveloping())
	for _, c := range []struct {
		target, contentType, other, body, want string
	}{
		{"/hooks/a?%zz", "text/plain", "", "x", `the query cannot be read: invalid URL escape "%zz"`},
		{"/hooks/a?a=%ff", "text/plain", "", "x", "the query is not UTF-8: events are"},
		{"/hooks/%ff", "text/plain", "", "x", "the path is not UTF-8: events are"},
		{"/hooks/%00", "text/plain", "", "x", `subject: "/hooks/\x00": the character at byte 7 is not allowed: control characters, noncharacters and invalid UTF-8 are not`},
		{"/hooks/a", "text/plain", "caf\xe9", "x", "the header x-other is not UTF-8: events are"},
		{"/hooks/a", "application/x-www-form-urlencoded", "", "a=%f", `the form cannot be read: invalid URL escape "%f"`},
		{"/hooks/a", "application/x-www-form-urlencoded", "", "a=%ff", "the form is not UTF-8: events are"},
		{"/hooks/a", "application/json", "", "{", "Content-Type says JSON, but the body is not: unexpected end of JSON input"},
		{"/hooks/a", "application/json", "", "\"\xff\"", "Content-Type says JSON, but the body is not UTF-8"},
	} {
		request := newRequest(t, http.MethodPost, c.target, c.body)
		request.Header.Set("Content-Type", c.contentType)
		if c.other != "" {
			request.Header["X-Other"] = []string{c.other}
		}
		wantRefusal(t, serve(handler, request), 400, c.want)
	}
	request := newRequest(t, http.MethodPost, "/hooks/a", "x")
	request.Header.Del("Content-Type")
	wantRefusal(t, serve(handler, request), 415, "no Content-Type: say what the body is, such as application/json")
	request = newRequest(t, http.MethodHead, "/hooks/a", "")
	got := serve(handler, request)
	wantRefusal(t, got, 405, `method "HEAD": send POST, PUT, PATCH, DELETE, GET`)
	if allow := got.header.Get("Allow"); allow != "POST, PUT, PATCH, DELETE, GET" {
		t.Errorf("Allow %q", allow)
	}
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// CloudEvents are no plain requests: they stay what they are.
func TestEnvelopeLeavesCloudEvents(t *testing.T) {
	handler, out := startHandler(t, enveloping())
	request := newRequest(t, http.MethodPost, "/hooks/a", jsonEvent)
	request.Header.Set("Content-Type", "application/cloudevents+json")
	if got := serve(handler, request); got.status != 202 || out.Events()[0].Type != "t" {
		t.Errorf("answer %d %s, %v", got.status, got.body, out.Events())
	}
}

func TestEnvelopeIsBounded(t *testing.T) {
	c := enveloping()
	c.MaxBody = 1024
	handler, _ := startHandler(t, c)
	request := newRequest(t, http.MethodPost, "/hooks/a", fmt.Sprintf("%q", strings.Repeat("x", 1000)))
	if got := serve(handler, request); got.status != 413 {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}
