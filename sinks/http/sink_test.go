package http_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A request is what a worker has seen.
type request struct {
	method, target, host string
	header               http.Header
	body                 string
	length               int64
}

// recorder answers 204 and keeps the last request.
func recorder(t *testing.T) (url string, last func() request) {
	t.Helper()
	var mu sync.Mutex
	var seen request
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		seen = request{r.Method, r.RequestURI, r.Host, r.Header, string(body), r.ContentLength}
		w.WriteHeader(http.StatusNoContent)
	})
	return server.URL, func() request {
		mu.Lock()
		defer mu.Unlock()
		return seen
	}
}

func flat(h http.Header) string {
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		lines = append(lines, name+": "+strings.Join(h[name], " | "))
	}
	return strings.Join(lines, "\n")
}

const ours = `Sluice-Attempt: 3
Sluice-Claim: 12
Sluice-Delivery: inc.42.resize
Sluice-Trigger: resize
Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
User-Agent: sluice/1`

func TestBinaryRequest(t *testing.T) {
	url, last := recorder(t)
	s := build(t, url+"/hooks/a%20b?x=1&y=%2F", func(c *sinkhttp.Config) {
		c.Headers = map[string]config.Secret{"X-Key": config.NewSecret("k\u00fc")}
		c.Auth.Bearer = &sinkhttp.Bearer{Token: config.NewSecret("t0ken")}
	})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	got := last()
	if got.method != "POST" || got.target != "/hooks/a%20b?x=1&y=%2F" || "http://"+got.host != url {
		t.Errorf("%s %s of %s", got.method, got.target, got.host)
	}
	want := `Authorization: Bearer t0ken
Ce-Count: 7
Ce-Id: a%20b
Ce-Source: /bucket/photos
Ce-Specversion: 1.0
Ce-Subject: caf%C3%A9.jpg
Ce-Time: 2026-03-01T12:00:00Z
Ce-Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
Ce-Type: s3.object.created.put
Content-Length: 15
Content-Type: application/json
` + ours + "\nX-Key: k\u00fc"
	if diff := cmp.Diff(want, flat(got.header)); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	events, mode, err := event.DecodeHTTP(got.header, []byte(got.body))
	if err != nil || mode != event.ModeBinary || len(events) != 1 || events[0].Subject != "caf\u00e9.jpg" {
		t.Errorf("%+v, %v, %v", events, mode, err)
	}
}

func TestStructuredRequest(t *testing.T) {
	url, last := recorder(t)
	s := build(t, url, func(c *sinkhttp.Config) {
		c.Mode, c.Method = sinkhttp.Structured, "PUT"
		c.Auth.Basic = &sinkhttp.Basic{Username: "u", Password: config.NewSecret("p:w")}
	})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	got := last()
	want := fmt.Sprintf("Authorization: Basic dTpwOnc=\nContent-Length: %d\nContent-Type: application/cloudevents+json\n", len(got.body)) + ours
	if diff := cmp.Diff(want, flat(got.header)); diff != "" || got.method != "PUT" || got.target != "/" {
		t.Errorf("%s %s: headers (-want +got):\n%s", got.method, got.target, diff)
	}
	var e event.Event
	if err := json.Unmarshal([]byte(got.body), &e); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(sample(), &e); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRawRequest(t *testing.T) {
	url, last := recorder(t)
	s := build(t, url, func(c *sinkhttp.Config) { c.Mode = sinkhttp.Raw })
	plain := &event.Event{ID: "1", Source: "s", Type: "t"}
	for name, c := range map[string]struct {
		event        *event.Event
		header, body string
	}{
		"typed":   {sample(), "Content-Length: 15\nContent-Type: application/json\n" + ours, `{"key":"a.jpg"}`},
		"no data": {plain, "Content-Length: 0\n" + strings.Replace(ours, "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\n", "", 1), ""},
	} {
		if _, err := deliver(t, s, c.event); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.header+"\n\n"+c.body, flat(last().header)+"\n\n"+last().body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestHeadersCannotBeInjected(t *testing.T) {
	url, last := recorder(t)
	e := sample()
	e.Subject, e.DataContentType = "x\r\nEvil: 1", "text/plain\r\nEvil: 2"
	e.Extensions["traceparent"] = "y\r\nEvil: 3"
	for _, mode := range []sinkhttp.Mode{sinkhttp.Binary, sinkhttp.Structured, sinkhttp.Raw} {
		s := build(t, url, func(c *sinkhttp.Config) { c.Mode = mode })
		if _, err := deliver(t, s, e); err != nil {
			t.Fatal(err)
		}
		if evil := last().header.Values("Evil"); evil != nil {
			t.Errorf("%s: %v", mode, evil)
		}
	}
}

func TestSettleMatrix(t *testing.T) {
	tomorrow := time.Now().Add(26 * time.Hour).UTC().Format(http.TimeFormat)
	long := strings.Repeat("é", 300)
	for name, c := range map[string]struct {
		handler        http.HandlerFunc
		decision, text string
	}{
		"200":              {answer(200, "", "", "ok"), "done", ""},
		"202":              {answer(202, "", "", ""), "done", ""},
		"204":              {answer(204, "", "", ""), "done", ""},
		"299":              {answer(299, "", "", ""), "done", ""},
		"301":              {answer(301, "Location", "http://elsewhere/\u0085", ""), "dead", `answered 301 Moved Permanently to "http://elsewhere/\u0085": redirects are never followed`},
		"304":              {answer(304, "", "", ""), "dead", `answered 304 Not Modified to "": redirects are never followed`},
		"307":              {answer(307, "Location", "/x", ""), "dead", `answered 307 Temporary Redirect to "/x": redirects are never followed`},
		"400":              {answer(400, "", "", "bad\r\n\x1b[31mred"), "dead", `answered 400 Bad Request: "bad\r\n\x1b[31mred"`},
		"404":              {answer(404, "", "", ""), "dead", "answered 404 Not Found"},
		"408":              {answer(408, "", "", ""), "retry", "answered 408 Request Timeout"},
		"410":              {answer(410, "", "", "moved away"), "gone", `answered 410 Gone: "moved away"`},
		"425":              {answer(425, "", "", ""), "retry", "answered 425 Too Early"},
		"429":              {answer(429, "", "", ""), "retry", "answered 429 Too Many Requests"},
		"429 after":        {answer(429, "Retry-After", "7", ""), "after 7s", "answered 429 Too Many Requests (retry after 7s)"},
		"429 after long":   {answer(429, "Retry-After", "99999999999", ""), "after 24h0m0s", "answered 429 Too Many Requests (retry after 24h0m0s)"},
		"429 after a date": {answer(429, "Retry-After", tomorrow, ""), "after 24h0m0s", "answered 429 Too Many Requests (retry after 24h0m0s)"},
		"429 after past":   {answer(429, "Retry-After", "Mon, 02 Jan 2006 15:04:05 GMT", ""), "retry", "answered 429 Too Many Requests"},
		"429 after junk":   {answer(429, "Retry-After", "soon", ""), "retry", "answered 429 Too Many Requests"},
		"429 after -1":     {answer(429, "Retry-After", "-1", ""), "retry", "answered 429 Too Many Requests"},
		"499":              {answer(499, "", "", ""), "dead", "answered 499"},
		"500":              {answer(500, "", "", long), "retry", `answered 500 Internal Server Error: "` + long[:256] + `"…`},
		"500 after":        {answer(500, "Retry-After", "7", ""), "retry", "answered 500 Internal Server Error"},
		"503 after":        {answer(503, "Retry-After", "120", "busy"), "after 2m0s", `answered 503 Service Unavailable: "busy" (retry after 2m0s)`},
		"700":              {answer(700, "", "", ""), "dead", "answered 700"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := deliver(t, build(t, serve(t, c.handler).URL))
			if got := decision(err); got != c.decision || err != nil && err.Error() != c.text {
				t.Errorf("%s: %v", got, err)
			}
		})
	}
}

func codes(t *testing.T, texts ...string) []sinkhttp.StatusCode {
	t.Helper()
	all := make([]sinkhttp.StatusCode, len(texts))
	for i, text := range texts {
		if err := all[i].UnmarshalText([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func TestTheMoreSpecificStatusHolds(t *testing.T) {
	var status atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(status.Load())) })
	s := build(t, server.URL, func(c *sinkhttp.Config) {
		c.Status = sinkhttp.Status{Done: codes(t, "409", "3xx"), Retry: codes(t, "404", "204"), Dead: codes(t, "5xx", "429")}
	})
	for code, want := range map[int]string{
		200: "done", 204: "retry", 302: "done", 400: "dead", 404: "retry", 408: "retry", 409: "done", 429: "dead", 500: "dead", 503: "dead",
	} {
		status.Store(int64(code))
		if _, err := deliver(t, s); decision(err) != want {
			t.Errorf("%d: %v, want %s", code, err, want)
		}
	}
}

func TestGoneCanMeanSomethingElse(t *testing.T) {
	server := serve(t, answer(410, "", "", ""))
	for want, status := range map[string]sinkhttp.Status{
		"dead": {Dead: codes(t, "410")}, "retry": {Retry: codes(t, "4xx")}, "done": {Done: codes(t, "410"), Dead: codes(t, "4xx")}, "gone": {Dead: codes(t, "404")},
	} {
		s := build(t, server.URL, func(c *sinkhttp.Config) { c.Status = status })
		if _, err := deliver(t, s); decision(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

func TestResponseIsKeptUpToTheLimit(t *testing.T) {
	for name, c := range map[string]struct {
		handler http.HandlerFunc
		kept    int
	}{
		"short":            {answer(200, "Content-Type", "text/x", "1234"), 4},
		"over kept":        {answer(200, "Content-Type", "text/x", strings.Repeat("x", 5000)), 1000},
		"over, chunked":    {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "text/x"); endless(w) }, 1000},
		"over, and length": {answer(200, "Content-Type", "text/x", strings.Repeat("x", 2<<20)), 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, serve(t, c.handler).URL, func(c *sinkhttp.Config) { c.MaxResponse = 1000 })
			response, err := deliver(t, s)
			if err != nil || response.Status != 200 || response.ContentType != "text/x" {
				t.Fatalf("%d %s, %v", response.Status, response.ContentType, err)
			}
			if len(response.Body) > 1000 || len(response.Body) < c.kept && c.kept <= 4 {
				t.Errorf("%d bytes were kept", len(response.Body))
			}
		})
	}
}

// endless writes until the other side has had enough.
func endless(w http.ResponseWriter) {
	chunk := []byte(strings.Repeat("x", 64<<10))
	for {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

func TestConnectionsAreReused(t *testing.T) {
	var mu sync.Mutex
	ports := map[string]int{}
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ports[r.RemoteAddr]++
	})
	s := build(t, server.URL)
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for range 50 {
				if _, err := deliver(t, s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if len(ports) > 8 {
		t.Errorf("400 requests of 8 workers took %d connections", len(ports))
	}
}

func TestSeveralDeliveries(t *testing.T) {
	var n atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 2 {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
	_, err := deliver(t, build(t, server.URL), sample(), sample(), sample())
	partial, ok := err.(*sinks.PartialError) //nolint:errorlint // it is the error itself
	if !ok || len(partial.Failed) != 1 || !sinks.IsPermanent(partial.Failed[1]) || n.Load() != 3 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}
