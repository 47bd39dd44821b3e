//go:build integration

package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/integration/harness"
)

// A chain is two workers: the first answers each event with its id, the second
// takes the answers in batches, and fails some of each the first time.
type chain struct {
	*httptest.Server

	mu      sync.Mutex
	done    map[string]map[string]bool // by the id of the first event: the deliveries of its answer
	batches int
	partial int
	wrong   []string
}

func newChain(t *testing.T) *chain {
	t.Helper()
	c := &chain{done: map[string]map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/first", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		_, _ = io.WriteString(w, r.Header.Get("Ce-Id"))
	})
	mux.HandleFunc("/second", c.second)
	c.Server = httptest.NewServer(mux)
	t.Cleanup(c.Close)
	return c
}

// second fails every tenth delivery of a batch at its first attempt.
func (c *chain) second(w http.ResponseWriter, r *http.Request) {
	type failure struct {
		ID string `json:"itemIdentifier"`
	}
	answer := struct {
		Failures []failure `json:"batchItemFailures"`
	}{}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the sender was killed
	}
	events, err := event.DecodeBatchJSON(body)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil || len(events) > 50 {
		c.wrong = append(c.wrong, fmt.Sprintf("a batch of %d: %v", len(events), err))
	}
	c.batches++
	for i := range events {
		delivery := events[i].Extension("sluicedelivery")
		if i%10 == 9 && events[i].Extension("sluiceattempt") == "1" {
			answer.Failures = append(answer.Failures, failure{delivery})
			continue
		}
		id := string(events[i].Data)
		if c.done[id] == nil {
			c.done[id] = map[string]bool{}
		}
		c.done[id][delivery] = true
		if !strings.HasSuffix(events[i].ID, ".first.0") || events[i].Extension("sluicehops") != "1" {
			c.wrong = append(c.wrong, fmt.Sprintf("a reply: %+v", events[i]))
		}
	}
	c.partial += len(answer.Failures)
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *chain) missing(ids []string) (missing []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		if len(c.done[id]) == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// TestRepliesInBatchesUnderKills kills the process again and again: each event
// that was accepted is answered, and each answer is delivered, as one event.
func TestRepliesInBatchesUnderKills(t *testing.T) {
	rng := random(t)
	c := newChain(t)
	s := harness.New(t, program, fmt.Sprintf(`sources: {in: {http: {path: /in}}}
triggers:
  first: {on: in, to: {http: {url: %q, reply: publish}}}
  second: {on: first, to: {http: {url: %q, mode: batch}}, batch: {size: 50, window: 50ms}, retry: {initial: 20ms, max: 100ms}}
`, c.URL+"/first", c.URL+"/second"))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "c", *rate)
	for range min(*kills, 10) {
		wait(t, s, rng)
		s.Kill()
		s.Start()
	}
	s.Ready()
	at := load.Len()
	harness.Eventually(t, 20*time.Second, "events are accepted again", func() bool { return load.Len() > at+*rate/2 })
	load.Stop()
	s.Idle(30 * time.Second)
	innocent := len(poisoned(t, s))
	if innocent > 0 {
		finish(t, s, replay(t, s))
	}
	if missing := c.missing(load.Accepted()); len(missing) > 0 {
		t.Errorf("%d of %d answers have not arrived: %v …", len(missing), len(load.Accepted()), missing[:min(10, len(missing))])
	}
	twice := 0
	for _, deliveries := range c.done {
		twice += len(deliveries) - 1
	}
	if twice > innocent || len(c.wrong) > 0 {
		t.Errorf("%d answers were published twice, with %d letters replayed; %v", twice, innocent, c.wrong)
	}
	t.Logf("%d accepted, %d answers in %d batches after %d kills, %d reported as failed, %d taken for poison",
		len(load.Accepted()), len(c.done), c.batches, len(s.Kills), c.partial, innocent)
	s.Conserved()
}

// TestGoneOverAKill: the worker says that it is gone; the trigger stays paused
// over a kill, says why, and goes on when it is told to, with everything.
func TestGoneOverAKill(t *testing.T) {
	worker := harness.NewWorker(t, func(*http.Request, harness.Receipt) int { return http.StatusGone })
	s := harness.New(t, program, oneTrigger(worker, "retry: {attempts: 1}"))
	s.Up()
	publish(t, s, "a", "b", "c")
	paused := func() bool { return s.Triggers()["work"].State == "paused" && s.Triggers()["work"].Running == 0 }
	harness.Eventually(t, 10*time.Second, "paused", paused)
	s.Kill()
	worker.Set(harness.OK)
	before := worker.Len()
	s.Up()
	publish(t, s, "d")
	listed := s.Command("triggers", "list")
	if !paused() || worker.Len() != before || !strings.Contains(listed.Out, "its sink is gone: answered 410 Gone\n") {
		t.Errorf("after a kill: %+v, %d attempts\n%s", s.Triggers()["work"], worker.Len()-before, listed.Out)
	}
	if said := s.Command("triggers", "resume", "work"); said.Code != 0 {
		t.Fatalf("resume: %s%s", said.Out, said.Err)
	}
	delivered(t, worker, "/work", []string{"a", "b", "c", "d"}, 10*time.Second)
	s.Idle(10 * time.Second)
	if letters := s.Letters(); len(letters) != 0 {
		t.Errorf("letters: %+v", letters)
	}
	s.Conserved()
}
