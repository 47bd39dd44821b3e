package http_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/config"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

func handshake(rate int) func(*sinkhttp.Config) {
	return func(c *sinkhttp.Config) {
		c.Handshake = &sinkhttp.Handshake{Origin: "sluice.example.com", Rate: rate}
	}
}

// A consenting worker answers OPTIONS with what it allows.
type consenting struct {
	origin, rate string
	status       int

	mu       sync.Mutex
	asked    []string // the rate of each OPTIONS
	requests atomic.Int64
}

func (c *consenting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("WebHook-Request-Origin") != "sluice.example.com" || r.Header.Get("X-Key") != "k" {
		http.Error(w, "who is it?", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodOptions {
		c.requests.Add(1)
		return
	}
	c.mu.Lock()
	c.asked = append(c.asked, r.Header.Get("WebHook-Request-Rate"))
	c.mu.Unlock()
	for name, value := range map[string]string{"WebHook-Allowed-Origin": c.origin, "WebHook-Allowed-Rate": c.rate} {
		if value != "" {
			w.Header().Set(name, value)
		}
	}
	w.WriteHeader(c.status)
}

func TestAskingForPermission(t *testing.T) {
	const refused = "asking for permission with OPTIONS: answered "
	for name, c := range map[string]struct {
		worker *consenting
		asks   int
		want   string
	}{
		"allowed":         {&consenting{origin: "sluice.example.com", rate: "*", status: 200}, 0, ""},
		"anybody":         {&consenting{origin: "*", status: 204}, 0, ""},
		"by no status":    {&consenting{origin: "*", rate: "60000", status: 405}, 60000, ""},
		"no consent":      {&consenting{rate: "*", status: 200}, 0, refused + "200 OK: WebHook-Allowed-Origin is missing, so that nothing may be sent"},
		"not allowed":     {&consenting{status: 405}, 0, refused + "405 Method Not Allowed: WebHook-Allowed-Origin is missing, so that nothing may be sent"},
		"for others":      {&consenting{origin: "other.example.com", status: 200}, 0, refused + `200 OK: WebHook-Allowed-Origin is "other.example.com", and this is "sluice.example.com"`},
		"no rate":         {&consenting{origin: "*", rate: "0", status: 200}, 5, refused + `200 OK: WebHook-Allowed-Rate is "0", which is neither * nor a number of requests a minute`},
		"a rate in words": {&consenting{origin: "*", rate: "ten", status: 200}, 5, refused + `200 OK: WebHook-Allowed-Rate is "ten", which is neither * nor a number of requests a minute`},
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, serve(t, c.worker.ServeHTTP).URL, handshake(c.asks), keyed)
			var all sync.WaitGroup
			for range 5 {
				all.Go(func() {
					_, err := deliver(t, s)
					if err == nil && c.want != "" || err != nil && (err.Error() != c.want || decision(err) != "retry") {
						t.Errorf("got %v\nwant %s", err, c.want)
					}
				})
			}
			all.Wait()
			asked, sent := len(c.worker.asked), c.worker.requests.Load()
			if c.want == "" && (asked != 1 || sent != 5) || c.want != "" && (asked > 5 || sent != 0) {
				t.Errorf("asked %d times, sent %d requests", asked, sent)
			}
		})
	}
}

// keyed adds a header that the worker wants on every request.
func keyed(c *sinkhttp.Config) {
	if c.Headers == nil {
		c.Headers = map[string]config.Secret{"X-Key": config.NewSecret("k")}
	}
}

func TestTheAllowedRateIsKept(t *testing.T) {
	for name, c := range map[string]struct {
		worker *consenting
		asks   int
	}{
		"by the worker":        {&consenting{origin: "*", rate: "600", status: 200}, 6000},
		"asked for":            {&consenting{origin: "*", rate: "*", status: 200}, 600},
		"asked for, no answer": {&consenting{origin: "*", status: 200}, 600},
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, serve(t, c.worker.ServeHTTP).URL, handshake(c.asks), keyed)
			began := time.Now()
			for range 4 { // ten a second
				if _, err := deliver(t, s); err != nil {
					t.Fatal(err)
				}
			}
			if took := time.Since(began); took < 290*time.Millisecond || took > 5*time.Second {
				t.Errorf("four requests took %v", took)
			}
		})
	}
	worker := &consenting{origin: "*", rate: "1", status: 200}
	s := build(t, serve(t, worker.ServeHTTP).URL, handshake(0), keyed)
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := s.Deliver(ctx, attempt(sample()))
	if _, throttled := errors.AsType[*sinks.ThrottledError](err); !throttled || worker.requests.Load() != 1 {
		t.Errorf("over the rate: %v, %d requests", err, worker.requests.Load())
	}
}

func TestTheHandshakeIsGuarded(t *testing.T) {
	worker := &consenting{origin: "*", status: 200}
	s := build(t, serve(t, worker.ServeHTTP).URL, handshake(0), keyed, func(c *sinkhttp.Config) { c.Egress = sinkhttp.EgressPublic })
	if _, err := deliver(t, s); decision(err) != "dead" || !strings.Contains(err.Error(), "egress is public") || len(worker.asked) != 0 {
		t.Errorf("got %v", err)
	}
}
