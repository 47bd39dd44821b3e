//go:build integration

package harness

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A KeyedLoad publishes the events of several keys, those of each one after the
// other: event n of a key is accepted before n+1 is sent. Their ids are KEY-n,
// n counting from 0.
type KeyedLoad struct {
	client *http.Client
	wait   sync.WaitGroup
	cancel context.CancelFunc

	mu       sync.Mutex
	accepted map[string]int
}

// NewKeyedLoad begins to publish to a URL: of each key an event every so often,
// most of them at most. An event is sent again until it is accepted.
func NewKeyedLoad(tb testing.TB, url string, keys []string, every time.Duration, most int) *KeyedLoad {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: len(keys)}
	ctx, cancel := context.WithCancel(tb.Context())
	l := &KeyedLoad{
		client: &http.Client{Transport: transport, Timeout: 10 * time.Second},
		cancel: cancel, accepted: map[string]int{},
	}
	for _, key := range keys {
		l.wait.Go(func() { l.send(ctx, url, key, every, most) })
	}
	tb.Cleanup(func() { l.Stop(); transport.CloseIdleConnections() })
	return l
}

// Wait returns when everything is accepted.
func (l *KeyedLoad) Wait() { l.wait.Wait() }

// Stop publishes no more, and waits until what was sent is accepted.
func (l *KeyedLoad) Stop() {
	l.cancel()
	l.wait.Wait()
}

// Accepted returns how many events of each key were accepted.
func (l *KeyedLoad) Accepted() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.accepted)
}

func (l *KeyedLoad) send(ctx context.Context, url, key string, every time.Duration, most int) {
	for n := range most {
		if !l.insist(context.WithoutCancel(ctx), url, key, n) {
			return
		}
		l.mu.Lock()
		l.accepted[key] = n + 1
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-time.After(every):
		}
	}
}

// insistFor is how long an event is sent again, also after the load was stopped.
const insistFor = 30 * time.Second

// insist sends an event until it is accepted. Its context is not the load's, so
// that stopping makes no fate unknown.
func (l *KeyedLoad) insist(ctx context.Context, url, key string, n int) bool {
	for end := time.Now().Add(insistFor); time.Now().Before(end); {
		if l.once(ctx, url, key, n) {
			return true
		}
		time.Sleep(pollEvery)
	}
	return false
}

func (l *KeyedLoad) once(ctx context.Context, url, key string, n int) bool {
	request, err := NewEvent(ctx, url, key+"-"+strconv.Itoa(n), `{"key":"`+key+`"}`)
	if err != nil {
		return false
	}
	request.Header.Set("Ce-Partitionkey", key)
	answer, err := l.client.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status has said it
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusAccepted
}

// An Order says what a history shows of the order of keys.
type Order struct {
	// Keys and Events are how many there were, Attempts all of them, and Repeated
	// how many of these were of an event that had been answered with success.
	Keys, Events, Attempts, Repeated int
	// Wrong are what contradicts the order.
	Wrong []string
}

// A History is what a worker has seen, with what is to be known to judge it.
type History struct {
	// Receipts are those of one trigger, in the order of their coming; their
	// events are those of a KeyedLoad.
	Receipts []Receipt
	// Settles tells whether an answered attempt has settled its delivery; nil for
	// those answered with success.
	Settles func(Receipt) bool
	// Without are the events, by id, that may have been settled without an attempt
	// that shows it.
	Without map[string]bool
}

// Order checks that within each run of sluice an attempt of a key began only
// when the one before it was answered, and was of the same event, or of the next
// one once that was settled; and that each run begins with an event that no run
// had settled for sure, or with the next one.
func (h *History) Order() Order {
	var order Order
	keys, names := map[string][]Receipt{}, []string(nil)
	for _, r := range h.Receipts {
		if keys[r.Key] == nil {
			names = append(names, r.Key)
		}
		keys[r.Key] = append(keys[r.Key], r)
	}
	order.Keys, order.Attempts = len(keys), len(h.Receipts)
	for _, key := range names {
		h.key(key, keys[key], &order)
	}
	return order
}

// key checks the attempts of one key.
func (h *History) key(key string, receipts []Receipt, order *Order) {
	reached := -1 // the highest event that was attempted
	succeeded := map[int]bool{}
	for i := range receipts {
		r := &receipts[i]
		n := number(r.Event)
		if n < 0 {
			order.Wrong = append(order.Wrong, fmt.Sprintf("%s: %q is no event of the load", key, r.Event))
			return
		}
		if succeeded[n] {
			order.Repeated++
		}
		succeeded[n] = succeeded[n] || r.Status/100 == 2
		if wrong := h.follows(key, receipts, i, reached); wrong != "" {
			order.Wrong = append(order.Wrong, fmt.Sprintf("%s: claim %d, event %d, attempt %d: %s", key, r.Claim, n, r.Attempt, wrong))
		}
		reached = max(reached, n)
	}
	order.Events += len(succeeded)
}

// follows says what is wrong with an attempt coming after those before it.
func (h *History) follows(key string, receipts []Receipt, i, reached int) string {
	r, n := &receipts[i], number(receipts[i].Event)
	if next := h.next(key, reached); n > next {
		return fmt.Sprintf("event %d was never attempted", next)
	}
	if i == 0 || receipts[i-1].Claim != r.Claim {
		if i > 0 && receipts[i-1].Claim > r.Claim {
			return fmt.Sprintf("claim %d had come before it", receipts[i-1].Claim)
		}
		return ""
	}
	before := &receipts[i-1]
	was := number(before.Event)
	switch {
	case before.Ended.IsZero() || before.Ended.After(r.Began):
		return fmt.Sprintf("event %d, attempt %d was not answered yet", was, before.Attempt)
	case n == was:
		return ""
	case n < was:
		return fmt.Sprintf("event %d had been attempted before it", was)
	case !h.settles(before) && !h.Without[before.Event]:
		return fmt.Sprintf("event %d, attempt %d was answered with %d, and is not settled", was, before.Attempt, before.Status)
	case n > h.next(key, was):
		return fmt.Sprintf("it follows event %d", was)
	}
	return ""
}

// next is the event that must come after n.
func (h *History) next(key string, n int) int {
	for n++; h.Without[key+"-"+strconv.Itoa(n)]; n++ {
	}
	return n
}

func (h *History) settles(r *Receipt) bool {
	if h.Settles != nil {
		return h.Settles(*r)
	}
	return r.Status/100 == 2
}

// number returns which event of its key an id is, or -1.
func number(id string) int {
	n, err := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	if err != nil {
		return -1
	}
	return n
}

// Of returns the receipts of a path.
func Of(receipts []Receipt, path string) []Receipt {
	var all []Receipt
	for _, r := range receipts {
		if r.Path == path {
			all = append(all, r)
		}
	}
	return all
}
