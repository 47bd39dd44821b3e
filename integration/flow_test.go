//go:build integration

package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/integration/harness"
)

// publishKeyed publishes events PREFIX-0 … with these keys by turns, as one
// request: attributes, and below data.
func publishKeyed(t *testing.T, s *harness.Sluice, prefix string, count int, keys ...string) []string {
	t.Helper()
	var body bytes.Buffer
	ids := make([]string, count)
	for n := range count {
		ids[n] = fmt.Sprintf("%s-%d", prefix, n)
		key := keys[n%len(keys)]
		fmt.Fprintf(&body, "%c{\"specversion\":\"1.0\",\"id\":%q,\"source\":\"/flow\",\"type\":\"flow.event\",\"subject\":%q,\"partitionkey\":%q,\"data\":{\"n\":%d,\"tenant\":%q}}",
			map[bool]byte{true: '[', false: ','}[n == 0], ids[n], key, key, n, key)
	}
	body.WriteByte(']')
	postBatch(t, s, &body)
	return ids
}

// A gauge counts what is under way of each key at once, and remembers the most.
type gauge struct {
	mu        sync.Mutex
	now, most map[string]int
}

func newGauge() *gauge { return &gauge{now: map[string]int{}, most: map[string]int{}} }

// enter counts one more of some keys, until leave is called, and returns how
// many of the first one there are.
func (g *gauge) enter(keys ...string) (now int, leave func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, key := range keys {
		g.now[key]++
		g.most[key] = max(g.most[key], g.now[key])
	}
	return g.now[keys[0]], func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		for _, key := range keys {
			g.now[key]--
		}
	}
}

func (g *gauge) peak(key string) int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.most[key]
}

func (g *gauge) reset() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.most = map[string]int{}
}

func TestRate(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, oneTrigger(worker, "rate: {limit: 100, burst: 20}"))
	s.Up()
	ids := publishKeyed(t, s, "r", 220, "a")
	harness.Eventually(t, 10*time.Second, "some are delivered", func() bool { return worker.Done("/work") > 20 })
	t.Log(s.Command("triggers", "list").Out)
	delivered(t, worker, "/work", ids, 30*time.Second)
	s.Idle(10 * time.Second)
	receipts := worker.Receipts()
	// 220 attempts, the first 20 at once, have 199 times a hundredth of a second in
	// between, however slow this machine is.
	if took := receipts[len(receipts)-1].Began.Sub(receipts[0].Began); took < 1800*time.Millisecond || len(receipts) != 220 {
		t.Errorf("%d attempts within %v", len(receipts), took)
	}
	s.Conserved()
}

// TestConcurrencyOfKeys, and of another key after a reload.
func TestConcurrencyOfKeys(t *testing.T) {
	g := newGauge()
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		_, leave := g.enter("all", receipt.Subject, "type "+receipt.Type)
		defer leave()
		return brief(r, receipt)
	})
	s := harness.New(t, program, oneTrigger(worker, "concurrency: {limit: 12, key: data.tenant, per_key: 2}"))
	s.Up()
	keys := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
	delivered(t, worker, "/work", publishKeyed(t, s, "c", 1000, keys...), 30*time.Second)
	for _, key := range keys {
		if g.peak(key) > 2 {
			t.Errorf("%d of the key %s at once", g.peak(key), key)
		}
	}
	if g.peak("all") > 12 || g.peak("all") < 6 {
		t.Errorf("%d at once", g.peak("all"))
	}
	ids := publishKeyed(t, s, "d", 1000, keys...)
	harness.Eventually(t, 10*time.Second, "some of them are there", func() bool { return worker.Done("/work") > 1050 })
	reload(t, s, "key: data.tenant, per_key: 2", "key: type, per_key: 3")
	// What was under way before has ended when all the places were given anew.
	at := worker.Len()
	harness.Eventually(t, 10*time.Second, "the new key holds", func() bool { return worker.Len() > at+24 || worker.Done("/work") == 2000 })
	g.reset()
	delivered(t, worker, "/work", ids, 30*time.Second)
	if n := g.peak("type flow.event"); n > 3 {
		t.Errorf("%d of a type at once", n)
	}
	s.Idle(10 * time.Second)
	s.Conserved()
}

// TestDebounceKeepsTheLast of each key; those before it are discarded, which is
// said of them.
func TestDebounceKeepsTheLast(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, oneTrigger(worker, "debounce: {window: 700ms, key: subject}"))
	s.Up()
	ids := publishKeyed(t, s, "d", 100, "a", "b")
	harness.Eventually(t, 10*time.Second, "they are collected", func() bool { return s.Triggers()["work"].Discarded > 0 || worker.Done("/work") > 0 })
	t.Log(s.Command("triggers", "list").Out)
	delivered(t, worker, "/work", ids[98:], 10*time.Second)
	var stands harness.Trigger
	harness.Eventually(t, 10*time.Second, "all ends are written down", func() bool {
		stands = s.Triggers()["work"]
		return stands.Delivered+stands.Discarded == 100
	})
	if stands.Delivered != uint64(worker.Done("/work")) || stands.Delivered > 10 {
		t.Errorf("%+v", stands)
	}
	if said := s.Command("event", "d-0"); !strings.Contains(said.Out, "discarded: debounced, a later one has taken its place") {
		t.Errorf("of an event that was replaced is said:\n%s%s", said.Out, said.Err)
	}
	s.Conserved()
}

// A batchWorker takes batches of CloudEvents, and keeps what each has held.
type batchWorker struct {
	mu      sync.Mutex
	batches [][]batched
}

type batched struct {
	ID, Subject string
	Data        json.RawMessage
}

func (b *batchWorker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch []batched
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.batches = append(b.batches, batch)
}

func (b *batchWorker) taken() (batches [][]batched, events int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, batch := range b.batches {
		events += len(batch)
	}
	return append([][]batched(nil), b.batches...), events
}

// inBatches is a configuration of a trigger with batches.
func inBatches(url, more string) string {
	return fmt.Sprintf("sources: {in: {http: {path: /in}}}\ntriggers:\n  work: {on: in, to: {http: {url: %q, mode: batch}}, %s}\n", url, more)
}

// TestDebounceKeepsAll of each key, in batches of their own.
func TestDebounceKeepsAll(t *testing.T) {
	b := &batchWorker{}
	side := httptest.NewServer(b)
	t.Cleanup(side.Close)
	s := harness.New(t, program, inBatches(side.URL, "debounce: {window: 700ms, key: subject, keep: all}, batch: {size: 100}"))
	s.Up()
	publishKeyed(t, s, "d", 90, "a", "b", "c")
	harness.Eventually(t, 10*time.Second, "all is delivered", func() bool { _, n := b.taken(); return n == 90 })
	batches, _ := b.taken()
	for _, batch := range batches {
		for _, e := range batch {
			if e.Subject != batch[0].Subject {
				t.Errorf("a batch of %s and %s", batch[0].Subject, e.Subject)
			}
		}
	}
	if len(batches) > 9 {
		t.Errorf("%d batches", len(batches))
	}
	s.Idle(10 * time.Second)
	s.Conserved()
}

// TestBatchesOfKeys: of one key each, within their size and bytes.
func TestBatchesOfKeys(t *testing.T) {
	b := &batchWorker{}
	side := httptest.NewServer(b)
	t.Cleanup(side.Close)
	s := harness.New(t, program, inBatches(side.URL, "batch: {size: 20, window: 100ms, bytes: 1KiB, key: data.tenant}, concurrency: 3"))
	s.Up()
	publishKeyed(t, s, "b", 500, "a", "b", "c")
	harness.Eventually(t, 10*time.Second, "all is delivered", func() bool { _, n := b.taken(); return n == 500 })
	batches, _ := b.taken()
	for _, batch := range batches {
		bytes := 0
		for _, e := range batch {
			bytes += len(e.Data)
			if e.Subject != batch[0].Subject {
				t.Errorf("a batch of %s and %s", batch[0].Subject, e.Subject)
			}
		}
		if len(batch) > 20 || bytes > 1024 {
			t.Errorf("a batch of %d with %d bytes", len(batch), bytes)
		}
	}
	if len(batches) > 120 {
		t.Errorf("%d batches", len(batches))
	}
	s.Idle(10 * time.Second)
	s.Conserved()
}

// TestBreaker: while the worker is down attempts are made one at a time, and
// none of the deliveries that wait runs out of them.
func TestBreaker(t *testing.T) {
	g := newGauge()
	down := func(r *http.Request, receipt harness.Receipt) int {
		_, leave := g.enter("all")
		defer leave()
		brief(r, receipt)
		return http.StatusInternalServerError
	}
	worker := harness.NewWorker(t, down)
	s := harness.New(t, program, oneTrigger(worker, "breaker: {minimum: 5, window: 10s, open: 200ms}, concurrency: 4, retry: {attempts: 4, initial: 20ms, max: 50ms}"))
	s.Up()
	ids := publishKeyed(t, s, "x", 500, "a")
	const first = 5 + 4 // until it is open, and what is under way then
	harness.Eventually(t, 10*time.Second, "the breaker is open", func() bool { return worker.Len() >= 5 && worker.InFlight() == 0 })
	harness.Eventually(t, 10*time.Second, "the sink was tried", func() bool { return worker.Len() > first })
	g.reset()
	t.Log(s.Command("triggers", "list").Out)
	harness.Eventually(t, 20*time.Second, "the sink was tried again", func() bool { return worker.Len() >= first+4 })
	if n := g.peak("all"); n > 1 {
		t.Errorf("%d attempts at once while the breaker is open", n)
	}
	worker.Set(brief)
	delivered(t, worker, "/work", ids, 20*time.Second)
	s.Idle(10 * time.Second)
	if letters := s.Letters(); len(letters) > 0 {
		t.Errorf("%d letters: %+v", len(letters), letters[0])
	}
	second := 0
	for _, r := range worker.Receipts() {
		if r.Attempt > 1 {
			second++
		}
	}
	if second > 2*first {
		t.Errorf("%d attempts were not the first of their delivery", second)
	}
	s.Conserved()
}

// TestAdaptive: a worker that has room for 16 says 429 to what is beyond; the
// trigger learns how many that are, and seldom asks for more.
func TestAdaptive(t *testing.T) {
	const room = 16
	g := newGauge()
	var refused atomic.Int64
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		now, leave := g.enter("all")
		defer leave()
		if now > room {
			refused.Add(1)
			return http.StatusTooManyRequests
		}
		return brief(r, receipt)
	})
	s := harness.New(t, program, oneTrigger(worker, "adaptive: true, concurrency: 200, retry: {attempts: 2, initial: 20ms, max: 100ms}"))
	s.Up()
	ids := publishKeyed(t, s, "a", 1000, "a")
	for n := range 5 {
		ids = append(ids, publishKeyed(t, s, fmt.Sprintf("a%d", n), 1000, "a")...)
	}
	harness.Eventually(t, 20*time.Second, "some are delivered", func() bool { return worker.Done("/work") > 1000 })
	t.Log(s.Command("triggers", "list").Out)
	delivered(t, worker, "/work", ids, 30*time.Second)
	t.Logf("%d of %d attempts were refused, at most %d were under way", refused.Load(), worker.Len(), g.peak("all"))
	if refused.Load() > int64(len(ids)/5) || g.peak("all") < room/2 || g.peak("all") > 4*room {
		t.Errorf("%d of %d attempts were refused, at most %d were under way", refused.Load(), worker.Len(), g.peak("all"))
	}
	s.Idle(10 * time.Second)
	s.Conserved()
}
