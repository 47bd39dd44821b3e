package main

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A tally is what an inbox has received so far.
type tally struct {
	Requests int64 // all of them
	Events   int64 // each counted once
	First    int64 // Unix nanoseconds of the first request
	Last     int64 // of the newest event that was new
}

// An inbox is one path of a worker, and what has come there.
type inbox struct {
	requests, events, first, last atomic.Int64

	seen [1 << 16]atomic.Uint64 // a bit for each number of an event

	mu    sync.Mutex
	notes map[string]int64 // by id
}

func (b *inbox) tally() tally {
	return tally{Requests: b.requests.Load(), Events: b.events.Load(), First: b.first.Load(), Last: b.last.Load()}
}

func (b *inbox) noted() map[string]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.notes)
}

// come counts a request.
func (b *inbox) come(now int64) {
	if b.requests.Add(1) == 1 {
		b.first.Store(now)
	}
}

// take takes the events of a request, each once.
func (b *inbox) take(rw http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixNano()
	ids, err := idsOf(r)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	b.come(now)
	for _, id := range ids {
		if !b.isNew(id) {
			continue
		}
		b.events.Add(1)
		b.last.Store(now)
		if r.URL.Path == pathNoted {
			b.note(id, now)
		}
	}
}

// takeEach counts each request as an event.
func (b *inbox) takeEach(rw http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixNano()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	b.come(now)
	b.events.Add(1)
	b.last.Store(now)
}

// takeRetry asks for another attempt later, and notes by how many nanoseconds
// after its time that came. Of a second event of the same id it would know
// nothing.
func (b *inbox) takeRetry(rw http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixNano()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	b.come(now)
	id := r.Header.Get("Ce-Id")
	if b.isNew(id) {
		b.note(id, time.Now().UnixNano())
		rw.Header().Set("Retry-After", strconv.Itoa(int(retryAfter/time.Second)))
		rw.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	b.events.Add(1)
	b.last.Store(now)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notes[id] = now - b.notes[id] - int64(retryAfter)
}

// idsOf reads a request and returns the ids of its events, in whatever mode of
// CloudEvents they come.
func idsOf(r *http.Request) ([]string, error) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/cloudevents") {
		_, err := io.Copy(io.Discard, r.Body)
		return []string{r.Header.Get("Ce-Id")}, err
	}
	body := bodies.Get().(*bytes.Buffer)
	defer bodies.Put(body)
	body.Reset()
	if _, err := body.ReadFrom(r.Body); err != nil {
		return nil, err
	}
	return scanIDs(body.Bytes())
}

// bodies are buffers of requests that have been answered.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// isNew tells whether an event was not there before.
func (b *inbox) isNew(id string) bool {
	n, err := strconv.ParseUint(strings.TrimPrefix(id, idPrefix), 10, 64)
	if err != nil || n/64 >= uint64(len(b.seen)) {
		return false
	}
	bit := uint64(1) << (n % 64)
	return b.seen[n/64].Or(bit)&bit == 0
}

func (b *inbox) note(id string, value int64) {
	b.mu.Lock()
	b.notes[id] = value
	b.mu.Unlock()
}
