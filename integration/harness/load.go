//go:build integration

package harness

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Senders is how many requests of a load are under way at most.
const Senders = 32

// A Load publishes events over HTTP at an even rate, also while nobody listens.
type Load struct {
	url    string
	prefix string
	every  time.Duration
	client *http.Client
	next   atomic.Int64
	cancel context.CancelFunc
	wait   sync.WaitGroup

	mu       sync.Mutex
	accepted []string
	unknown  []string
	sent     map[string]time.Time
}

// NewLoad begins to publish so many events a second to a URL, with ids that
// begin with prefix. Every other event whose fate is unknown is sent again,
// under the same id, until it is accepted.
func NewLoad(tb testing.TB, url, prefix string, rate int) *Load {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	transport := &http.Transport{MaxIdleConnsPerHost: Senders}
	l := &Load{
		url: url, prefix: prefix, every: time.Second / time.Duration(rate), cancel: cancel,
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, sent: map[string]time.Time{},
	}
	began := time.Now()
	for range Senders {
		l.wait.Go(func() { l.send(ctx, began) })
	}
	tb.Cleanup(func() { l.Stop(); transport.CloseIdleConnections() })
	return l
}

// Stop ends the load, and waits for what is under way.
func (l *Load) Stop() {
	l.cancel()
	l.wait.Wait()
}

// Len returns how many events were accepted up to now.
func (l *Load) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.accepted)
}

// Accepted returns the ids of the events that were answered with 202.
func (l *Load) Accepted() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.accepted...)
}

// Unknown returns the ids of the events whose fate is unknown.
func (l *Load) Unknown() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.unknown...)
}

// Sent returns when an event was first sent; zero for an id that never was.
func (l *Load) Sent(id string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent[id]
}

// send publishes the events whose turn it is, each at its time.
func (l *Load) send(ctx context.Context, began time.Time) {
	for {
		n := l.next.Add(1)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(began.Add(time.Duration(n) * l.every))):
		}
		l.publish(ctx, fmt.Sprintf("%s-%d", l.prefix, n), n%2 == 0)
	}
}

func (l *Load) publish(ctx context.Context, id string, insist bool) {
	l.mu.Lock()
	l.sent[id] = time.Now()
	l.mu.Unlock()
	for {
		if l.once(context.WithoutCancel(ctx), id) {
			l.mu.Lock()
			l.accepted = append(l.accepted, id)
			l.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
			insist = false
		case <-time.After(20 * time.Millisecond):
		}
		if !insist {
			l.mu.Lock()
			l.unknown = append(l.unknown, id)
			l.mu.Unlock()
			return
		}
	}
}

// once sends an event and tells whether it was accepted. Its context is not
// the load's, so that stopping makes no fate unknown.
func (l *Load) once(ctx context.Context, id string) bool {
	request, err := NewEvent(ctx, l.url, id, `{"n":1}`)
	if err != nil {
		return false
	}
	answer, err := l.client.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status has said it
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusAccepted
}

// NewEvent returns a request that publishes an event in binary mode.
func NewEvent(ctx context.Context, url, id, data string) (*http.Request, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(data))
	if err != nil {
		return nil, err
	}
	request.Header = http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {id}, "Ce-Source": {"/load"}, "Ce-Type": {"load.event"},
		"Content-Type": {"application/json"},
	}
	return request, nil
}
