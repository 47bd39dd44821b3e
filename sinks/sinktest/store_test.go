package sinktest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A shelf is a store that keeps what is synced over a crash.
type shelf struct {
	mu     sync.Mutex
	items  []sinktest.Received
	synced int
	held   chan struct{} // closed while nobody holds it
}

func newShelf() *shelf {
	s := &shelf{held: make(chan struct{})}
	close(s.held)
	return s
}

func (s *shelf) crash(testing.TB) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.items = s.items[:s.synced]
}

func (s *shelf) hold(testing.TB) (release func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make(chan struct{})
	s.held = held
	return func() { close(held) }
}

func (s *shelf) stored(testing.TB) []sinktest.Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.items)
}

func (s *shelf) free() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.held
}

// A shelver is a sink for a shelf; flaw is what is wrong with it.
type shelver struct {
	shelf *shelf
	flaw  string
}

var errBad = errors.New("a bad event")

func (v *shelver) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	if v.flaw != "ignores its context" {
		select {
		case <-v.shelf.free():
		case <-ctx.Done():
		}
		if ctx.Err() != nil && v.flaw != "delivers what is cancelled" {
			return sinks.Response{}, ctx.Err()
		}
	} else {
		<-v.shelf.free()
	}
	if v.flaw == "leaks" {
		go func() { <-make(chan struct{}) }()
	}
	return sinks.Response{}, v.put(a)
}

func (v *shelver) put(a sinks.Attempt) error {
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	if v.flaw == "loses order" {
		slices.Reverse(a.Deliveries)
	}
	failed := map[int]error{}
	for i, d := range a.Deliveries {
		if d.Event.Type == "bad" {
			failed[i] = sinks.Permanent(errBad)
			continue
		}
		v.place(d)
	}
	if v.flaw != "says done too early" || len(v.shelf.items)%7 == 0 {
		v.shelf.synced = len(v.shelf.items)
	}
	switch {
	case len(failed) == 0 || v.flaw == "hides what is bad":
		return nil
	case v.flaw == "tries what is bad again":
		return errBad
	case len(a.Deliveries) == 1 || v.flaw == "fails the whole batch":
		return sinks.Permanent(errBad)
	}
	return &sinks.PartialError{Failed: failed}
}

// place stores a delivery where it is not there yet.
func (v *shelver) place(d sinks.Delivery) {
	r := sinktest.Received{ID: d.ID, Attempt: d.Attempt, Data: string(d.Event.Data), Key: d.Event.PartitionKey()}
	known := slices.ContainsFunc(v.shelf.items, func(o sinktest.Received) bool { return o.ID == r.ID })
	if known && v.flaw != "stores twice" || v.flaw == "loses some" && len(v.shelf.items) == 7 {
		return
	}
	v.shelf.items = append(v.shelf.items, r)
	if v.flaw == "changes events" {
		d.Event.Subject = "changed"
	}
}

func storeFixture(flaw string) sinktest.StoreFixture {
	return sinktest.StoreFixture{Start: func(testing.TB) sinktest.Store {
		s := newShelf()
		return sinktest.Store{
			Sink:   func(testing.TB) sinks.Sink { return &shelver{shelf: s, flaw: flaw} },
			Stored: s.stored, Restart: func(testing.TB) {}, Crash: s.crash, Hold: s.hold, Once: true, Batches: true,
			Bad: func(n int) *event.Event {
				return &event.Event{ID: "bad", Source: "/test", Type: "bad", Data: fmt.Appendf(nil, `{"n":%d}`, n)}
			},
		}
	}}
}

func TestASoundStorePasses(t *testing.T) { sinktest.ExerciseStore(t, storeFixture("")) }

// child is set in the process that runs the suite on a flawed sink.
const child = "SLUICE_TEST_FLAW"

func TestFlawedStore(t *testing.T) {
	flaw := os.Getenv(child)
	if flaw == "" {
		t.Skip("runs in a process of its own")
	}
	sinktest.ExerciseStore(t, storeFixture(flaw))
}

// The suite is no good unless it catches these.
func TestFlawedStoresAreCaught(t *testing.T) {
	cases := []struct{ flaw, caught string }{
		{"loses some", "many_at_once"},
		{"loses order", "order_per_key"},
		{"says done too early", "done_is_durable"},
		{"stores twice", "the_same_twice"},
		{"hides what is bad", "refused_for_ever"},
		{"tries what is bad again", "refused_for_ever"},
		{"fails the whole batch", "batches,_one_by_one"},
		{"ignores its context", "server_hangs"},
		{"delivers what is cancelled", "cancelled_before"},
		{"changes events", "leaves_the_event_as_it_is"},
		{"leaks", "delivers_all"},
	}
	for _, c := range cases {
		t.Run(c.flaw, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFlawedStore$/^"+c.caught+"$", "-test.v", "-test.timeout=6s")
			command.Env = append(os.Environ(), child+"="+c.flaw)
			output, err := command.CombinedOutput()
			// A sink that ignores its context is found by the test's own end.
			found := strings.Contains(string(output), "--- FAIL: TestFlawedStore/"+c.caught) || c.flaw == "ignores its context"
			if err == nil || !found {
				t.Errorf("the suite does not catch it: %v\n%s", err, output)
			}
		})
	}
}
