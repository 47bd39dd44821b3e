//go:build integration

package adapters

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/integration/harness"
	"sluice/sources/sourcetest"
)

const (
	rounds = 3  // of sending, with a kill in each
	each   = 40 // things or events a round
	within = time.Minute
)

// KillSource runs a source in the real program, kills the program while things
// happen upstream, restarts the upstream too where that can be done, and checks
// that each thing becomes an event: exactly one, where the upstream is exact.
func KillSource(t *testing.T, u sourcetest.Upstream) {
	t.Helper()
	c := newCollector(t, u.Number)
	s := harness.New(t, program, fmt.Sprintf("sources:\n  in:\n    %s\ntriggers: {work: {on: in, to: {http: {url: %q}}}}\n", u.Section, c.server.URL))
	s.Up()
	for round := range rounds {
		sent := sending(t, u)
		harness.Eventually(t, within, "some of the things have arrived", func() bool { return c.len() >= round*each+1 })
		<-time.After(time.Duration(rand.IntN(50)) * time.Millisecond) // a random moment
		s.Kill()
		if round == 1 && u.Restart != nil {
			sent() // a sender may not know an upstream that restarts
			u.Restart(t)
		}
		s.Start()
		sent()
	}
	s.Ready()
	harness.Eventually(t, within, "all things have arrived", func() bool { return c.len() >= rounds*each })
	s.Idle(within)
	c.check(t, u, rounds*each)
	s.Conserved()
}

// sending sends in the background; the returned function waits for it.
func sending(t *testing.T, u sourcetest.Upstream) (sent func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	ended := make(chan error, 1)
	go func() { ended <- u.Send(ctx, each) }()
	return sync.OnceFunc(func() {
		t.Helper()
		defer cancel()
		if err := <-ended; err != nil {
			t.Fatalf("send: %v", err)
		}
	})
}

// A collector is a worker that remembers which things and deliveries it was sent.
type collector struct {
	server *httptest.Server
	number func(*event.Event) int // nil: things are told apart by their ids

	mu     sync.Mutex
	things map[string]map[string]bool // the deliveries of each thing
	bad    []string
}

func newCollector(t *testing.T, number func(*event.Event) int) *collector {
	t.Helper()
	c := &collector{number: number, things: map[string]map[string]bool{}}
	c.server = httptest.NewServer(c)
	t.Cleanup(c.server.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // its sender was killed
	}
	events, _, err := event.DecodeHTTP(r.Header, body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || len(events) != 1 {
		c.bad = append(c.bad, fmt.Sprintf("%d events, %v", len(events), err))
		return
	}
	thing := events[0].Source + " " + events[0].ID
	if c.number != nil {
		thing = strconv.Itoa(c.number(&events[0]))
	}
	if c.things[thing] == nil {
		c.things[thing] = map[string]bool{}
	}
	c.things[thing][r.Header.Get("Sluice-Delivery")] = true
	w.WriteHeader(http.StatusNoContent)
}

func (c *collector) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.things)
}

// check wants n things, and no more events than that of an exact upstream.
func (c *collector) check(t *testing.T, u sourcetest.Upstream, n int) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	events := 0
	for _, deliveries := range c.things {
		events += len(deliveries)
	}
	t.Logf("%d things became %d events over %d kills", len(c.things), events, rounds)
	if len(c.bad) > 0 || len(c.things) != n && u.Number != nil {
		t.Errorf("%d things have arrived, want %d; and these are no events: %q", len(c.things), n, c.bad)
	}
	if u.Exact && events != n {
		t.Errorf("%d events, want %d: each thing once", events, n)
	}
}
