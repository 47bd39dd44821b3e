//go:build integration

package integration_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"sluice/integration/harness"
)

// TestPoison kills the process whenever one marked event is under way, as if
// it crashed the process: the event ends as a letter after few crashes, and all
// others are delivered (I7).
func TestPoison(t *testing.T) {
	const most = 5 // the first crash, and three more that are written down; one for good measure
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
	for len(s.Kills) < most && isUnderWay(t, s, underWay) {
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
