//go:build integration

package integration_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/integration/harness"
)

// crashesMost is how many crashes a poison event may cause: the first, and three
// more that are written down; one for good measure.
const crashesMost = 5

// TestPoison kills the process whenever one marked event is under way, as if
// it crashed the process: the event ends as a letter after few crashes, and all
// others are delivered (I7).
func TestPoison(t *testing.T) {
	underWay := make(chan struct{}, 1)
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		if receipt.Event != "poison" {
			return brief(r, receipt)
		}
		select {
		case underWay <- struct{}{}:
		default:
		}
		return hang(r, receipt)
	})
	s := harness.New(t, program, oneTrigger(worker, ""))
	s.Up()
	ids := make([]string, 0, 201)
	for n := range 200 {
		if n == 100 {
			publish(t, s, "poison")
		}
		ids = append(ids, fmt.Sprintf("good-%d", n))
		publish(t, s, ids[n])
	}
	for len(s.Kills) < crashesMost && isUnderWay(t, s, underWay) {
		s.Kill()
		s.Up()
	}
	s.Idle(20 * time.Second)
	delivered(t, worker, "/work", ids, 10*time.Second)
	letters := s.Letters()
	if len(letters) != 1 || letters[0].Reason != "poison" || letters[0].EventID != "poison" {
		t.Errorf("letters: %+v", letters)
	}
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	explained(t, &repeats)
	t.Logf("a letter after %d crashes: %+v; repeats %v", len(s.Kills), letters, repeats.PerKill)
	s.Conserved()
}

// TestPoisonInABatch: those that were in a batch with the event run by
// themselves after two crashes, and are delivered; only the event is a letter.
func TestPoisonInABatch(t *testing.T) {
	underWay := make(chan struct{}, 1)
	done := map[string]bool{}
	var mu sync.Mutex
	worker := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the sender was killed
		}
		events, err := event.DecodeBatchJSON(body)
		if err != nil {
			t.Error(err)
		}
		if slices.ContainsFunc(events, func(e event.Event) bool { return e.ID == "poison" }) {
			select {
			case underWay <- struct{}{}:
			default:
			}
			<-r.Context().Done()
			return
		}
		mu.Lock()
		defer mu.Unlock()
		for i := range events {
			done[events[i].ID] = true
		}
	}))
	t.Cleanup(worker.Close)
	s := harness.New(t, program, fmt.Sprintf(`sources: {in: {http: {path: /in}}}
triggers: {work: {on: in, to: {http: {url: %q, mode: batch}}, batch: {size: 50, window: 100ms}}}
`, worker.URL))
	s.Up()
	var body bytes.Buffer
	for n := range 200 {
		id := fmt.Sprintf("good-%d", n)
		if n == 100 {
			id = "poison"
		}
		fmt.Fprintf(&body, "%c{\"specversion\":\"1.0\",\"id\":%q,\"source\":\"/p\",\"type\":\"p\"}", map[bool]byte{true: '[', false: ','}[n == 0], id)
	}
	body.WriteByte(']')
	postBatch(t, s, &body)
	for len(s.Kills) < crashesMost && isUnderWay(t, s, underWay) {
		s.Kill()
		s.Up()
	}
	s.Idle(20 * time.Second)
	letters := s.Letters()
	if len(letters) != 1 || letters[0].Reason != "poison" || letters[0].EventID != "poison" || len(done) != 199 {
		t.Errorf("%d delivered; letters: %+v", len(done), letters)
	}
	t.Logf("a letter after %d crashes", len(s.Kills))
	s.Conserved()
}

// isUnderWay waits until the marked event is, or nothing is to be done.
func isUnderWay(t *testing.T, s *harness.Sluice, underWay <-chan struct{}) (is bool) {
	t.Helper()
	harness.Eventually(t, 30*time.Second, "the event is under way or a letter", func() bool {
		select {
		case <-underWay:
			is = true
			return true
		default:
			return len(s.Letters()) > 0
		}
	})
	return is
}
