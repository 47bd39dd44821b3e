//go:build integration

package harness

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A Receipt is one attempt as the worker has seen it.
type Receipt struct {
	// Path is where it came in: one for each trigger.
	Path     string
	Delivery string
	Attempt  int
	Event    string // the event's id
	Type     string // the event's
	Subject  string
	Key      string // the event's partitionkey
	Claim    uint64 // of the run that has sent it
	Size     int64  // of the body
	SHA256   string // of the body, in hexadecimal
	Began    time.Time
	// Ended is when it was answered; zero as long as it is not, or when its
	// sender was gone by then.
	Ended  time.Time
	Status int
}

// A Worker takes deliveries and remembers all of them.
type Worker struct {
	server   *httptest.Server
	answer   atomic.Pointer[Answer]
	inFlight atomic.Int64

	mu       sync.Mutex
	receipts []*Receipt
	events   map[string]map[string]int // by path and event: how many were answered with 2xx
}

// An Answer decides what becomes of a request: it returns the status. It may
// block, and should return when the request's context ends.
type Answer func(r *http.Request, receipt Receipt) int

// OK answers everything with 204.
func OK(*http.Request, Receipt) int { return http.StatusNoContent }

// NewWorker runs a worker until the test ends.
func NewWorker(tb testing.TB, answer Answer) *Worker {
	tb.Helper()
	w := &Worker{events: map[string]map[string]int{}}
	w.Set(answer)
	w.server = httptest.NewServer(w)
	tb.Cleanup(w.server.Close)
	return w
}

// Set changes how requests are answered that come from now on.
func (w *Worker) Set(answer Answer) { w.answer.Store(&answer) }

// URL returns the URL of a path.
func (w *Worker) URL(path string) string { return w.server.URL + path }

// InFlight returns how many requests are under way.
func (w *Worker) InFlight() int { return int(w.inFlight.Load()) }

// ServeHTTP takes one delivery.
func (w *Worker) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	w.inFlight.Add(1)
	defer w.inFlight.Add(-1)
	digest := sha256.New()
	size, _ := io.Copy(digest, request.Body) // a sender that dies has sent enough
	attempt, _ := strconv.Atoi(request.Header.Get("Sluice-Attempt"))
	claim, _ := strconv.ParseUint(request.Header.Get("Sluice-Claim"), 10, 64)
	receipt := &Receipt{
		Key: request.Header.Get("Ce-Partitionkey"), Claim: claim,
		Path: request.URL.Path, Delivery: request.Header.Get("Sluice-Delivery"), Attempt: attempt,
		Event: request.Header.Get("Ce-Id"), Type: request.Header.Get("Ce-Type"), Subject: request.Header.Get("Ce-Subject"), Began: time.Now(),
		Size: size, SHA256: hex.EncodeToString(digest.Sum(nil)),
	}
	w.mu.Lock()
	w.receipts = append(w.receipts, receipt)
	w.mu.Unlock()
	status := (*w.answer.Load())(request, *receipt)
	response.WriteHeader(status)
	w.end(receipt, status, request.Context().Err() == nil)
}

func (w *Worker) end(receipt *Receipt, status int, heard bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !heard {
		return
	}
	receipt.Ended, receipt.Status = time.Now(), status
	if status/100 != 2 {
		return
	}
	done := w.events[receipt.Path]
	if done == nil {
		done = map[string]int{}
		w.events[receipt.Path] = done
	}
	done[receipt.Event]++
}

// Receipts returns everything that has come in, in the order of its coming.
func (w *Worker) Receipts() []Receipt {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := make([]Receipt, len(w.receipts))
	for i, r := range w.receipts {
		all[i] = *r
	}
	return all
}

// Len returns how many requests have come in.
func (w *Worker) Len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.receipts)
}

// Done returns how many events were delivered to a path, each counted once.
func (w *Worker) Done(path string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events[path])
}

// Missing returns those of the events that were not delivered to a path.
func (w *Worker) Missing(path string, events []string) []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var missing []string
	for _, id := range events {
		if w.events[path][id] == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}
