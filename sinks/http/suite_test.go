package http_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"sluice/event"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/sinktest"
)

// A suiteWorker is a real HTTP server that behaves as it is told.
type suiteWorker struct {
	behaviour atomic.Int64
	mu        sync.Mutex
	received  []sinktest.Received
	hold      chan struct{} // closed when those that hang are let go
}

func (w *suiteWorker) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	received := receivedOf(r.Header, body)
	w.mu.Lock()
	w.received = append(w.received, received...)
	hold := w.hold
	w.mu.Unlock()
	switch sinktest.Behaviour(w.behaviour.Load()) {
	case sinktest.Succeed:
	case sinktest.Fail:
		rw.WriteHeader(http.StatusInternalServerError)
	case sinktest.FailEven:
		failEven(rw, r.Header, received)
	case sinktest.Answer:
		rw.Header().Set("Content-Type", "text/plain")
		_, _ = rw.Write(body)
	case sinktest.Refuse:
		rw.WriteHeader(http.StatusBadRequest)
	case sinktest.Leave:
		rw.WriteHeader(http.StatusGone)
	case sinktest.Hang:
		<-hold
	case sinktest.Break:
		rw.Header().Set("Content-Length", "10")
		_, _ = io.WriteString(rw, "half")
		panic(http.ErrAbortHandler)
	}
}

// receivedOf returns the deliveries of a request, in batch mode or any other.
func receivedOf(header http.Header, body []byte) []sinktest.Received {
	events, mode, err := event.DecodeHTTP(header, body)
	if err != nil || mode != event.ModeBatch {
		number, _ := strconv.Atoi(header.Get(sinkhttp.HeaderAttempt))
		return []sinktest.Received{{ID: header.Get(sinkhttp.HeaderDelivery), Attempt: number, Data: string(body)}}
	}
	all := make([]sinktest.Received, len(events))
	for i := range events {
		number, _ := strconv.Atoi(events[i].Extension(sinks.AttributeAttempt))
		all[i] = sinktest.Received{ID: events[i].Extension(sinks.AttributeDelivery), Attempt: number, Data: string(events[i].Data)}
	}
	return all
}

func failEven(rw http.ResponseWriter, header http.Header, received []sinktest.Received) {
	type failure struct {
		ID string `json:"itemIdentifier"`
	}
	var failures []failure
	for _, r := range received {
		if r.Even() {
			failures = append(failures, failure{r.ID})
		}
	}
	switch {
	case header.Get(sinkhttp.HeaderBatch) != "":
		_ = json.NewEncoder(rw).Encode(map[string]any{"batchItemFailures": failures})
	case len(failures) > 0:
		rw.WriteHeader(http.StatusInternalServerError)
	}
}

func (w *suiteWorker) behave(b sinktest.Behaviour) {
	w.behaviour.Store(int64(b))
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.hold)
	w.hold = make(chan struct{})
}

func TestSuite(t *testing.T) {
	for _, mode := range []sinkhttp.Mode{sinkhttp.Binary, sinkhttp.Raw, sinkhttp.Batch} {
		t.Run(string(mode), func(t *testing.T) {
			var url string
			fixture := sinktest.Fixture{
				Name: "http " + string(mode),
				Worker: func(t *testing.T) sinktest.Worker {
					t.Helper()
					w := &suiteWorker{hold: make(chan struct{})}
					server := httptest.NewServer(w)
					url = server.URL
					stop := sync.OnceFunc(func() {
						w.behave(sinktest.Succeed)
						server.CloseClientConnections()
						server.Close()
					})
					t.Cleanup(stop)
					return sinktest.Worker{
						Behave: w.behave, Stop: stop,
						Received: func() []sinktest.Received {
							w.mu.Lock()
							defer w.mu.Unlock()
							return append([]sinktest.Received(nil), w.received...)
						},
					}
				},
				Sink: func(t *testing.T) sinks.Sink {
					t.Helper()
					return build(t, url, func(c *sinkhttp.Config) { c.Mode = mode })
				},
			}
			if mode != sinkhttp.Batch {
				fixture.Replying = func(t *testing.T) sinks.Sink {
					t.Helper()
					return buildAs(t, "answers", url, publish, func(c *sinkhttp.Config) { c.Mode, c.MaxHops = mode, 2 })
				}
			}
			sinktest.Exercise(t, fixture)
		})
	}
}
