package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A tally is what a worker has received so far.
type tally struct {
	Requests int64 // all of them
	Events   int64 // each counted once
	First    int64 // Unix nanoseconds of the first request
	Last     int64 // of the newest event that was new
}

// A worker takes events, and answers 200 once it has read them.
type worker struct {
	requests, events, first, last atomic.Int64
	record                        atomic.Bool

	seen [1 << 16]atomic.Uint64 // a bit for each number of an event

	mu       sync.Mutex
	receipts map[string]int64 // Unix nanoseconds by id, while recording
}

// runWorker serves until ctx ends, and says where.
func runWorker(ctx context.Context, stdout io.Writer) error {
	w := &worker{receipts: map[string]int64{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /work", w.work)
	mux.HandleFunc("GET /tally", func(rw http.ResponseWriter, _ *http.Request) { answer(rw, w.tally()) })
	mux.HandleFunc("POST /record", func(http.ResponseWriter, *http.Request) { w.record.Store(true) })
	mux.HandleFunc("GET /receipts", func(rw http.ResponseWriter, _ *http.Request) {
		w.mu.Lock()
		defer w.mu.Unlock()
		answer(rw, w.receipts)
	})
	return serve(ctx, "127.0.0.1:0", mux, stdout)
}

// serve serves until ctx ends, after it has said where.
func serve(ctx context.Context, address string, handler http.Handler, stdout io.Writer) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintln(stdout, "listening", "http://"+listener.Addr().String()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // who asks has gone
}

func (w *worker) work(rw http.ResponseWriter, r *http.Request) {
	now := time.Now().UnixNano()
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		rw.WriteHeader(http.StatusBadRequest)
		return
	}
	if w.requests.Add(1) == 1 {
		w.first.Store(now)
	}
	id := r.Header.Get("Ce-Id")
	if w.isNew(id) {
		w.events.Add(1)
		w.last.Store(now)
		w.note(id, now)
	}
}

// isNew tells whether an event was not there before.
func (w *worker) isNew(id string) bool {
	n, err := strconv.ParseUint(strings.TrimPrefix(id, idPrefix), 10, 64)
	if err != nil || n/64 >= uint64(len(w.seen)) {
		return false
	}
	bit := uint64(1) << (n % 64)
	return w.seen[n/64].Or(bit)&bit == 0
}

func (w *worker) note(id string, now int64) {
	if w.record.Load() {
		w.mu.Lock()
		w.receipts[id] = now
		w.mu.Unlock()
	}
}

func (w *worker) tally() tally {
	return tally{Requests: w.requests.Load(), Events: w.events.Load(), First: w.first.Load(), Last: w.last.Load()}
}

// A workerProcess is a worker as the measuring process sees it.
type workerProcess struct {
	*process
	url string
}

func startWorker(ctx context.Context, dir, self string) (*workerProcess, error) {
	p, err := spawn(ctx, dir, roleWorker, self, roleWorker)
	if err != nil {
		return nil, err
	}
	url, err := p.said(ctx, "listening")
	return &workerProcess{process: p, url: url}, err
}

func (w *workerProcess) tally(ctx context.Context) (t tally, err error) {
	return t, ask(ctx, http.MethodGet, w.url+"/tally", &t)
}

// ask makes a request, and decodes the answer when into is not nil.
func ask(ctx context.Context, method, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.200q", method, url, response.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
