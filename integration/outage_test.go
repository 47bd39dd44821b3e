//go:build integration

package integration_test

import (
	"net/http"
	"testing"
	"time"

	"sluice/integration/harness"
)

// TestOutage publishes more events than may wait for a retry while the worker
// is out of order, kills the process with all of that waiting, and mends the
// worker: everything arrives.
func TestOutage(t *testing.T) {
	const attempts = 1000
	worker := harness.NewWorker(t, unavailable)
	s := harness.New(t, program, oneTrigger(worker, "retry: {attempts: 1000, initial: 2s, max: 4s}, concurrency: 50"))
	s.Up()
	ids := publishBacklog(t, s)
	for n := range 3 {
		harness.Eventually(t, time.Minute, "as much waits as may", func() bool { return s.Triggers()["work"].Waiting >= min(len(ids), 10_000) })
		state, memory := s.Triggers()["work"], s.Memory()
		s.Kill()
		s.Start()
		took := s.Ready()
		t.Logf("kill %d with %d waiting, %s, %d to go, %d MiB; ready after %v", n+1, state.Waiting, state.State, state.Lag, memory>>20, took.Round(time.Millisecond))
	}
	worker.Set(harness.OK)
	began := time.Now()
	s.Idle(time.Minute)
	poisoned := poisoned(t, s)
	delivered(t, worker, "/work", without(ids, poisoned), 10*time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	explained(t, &repeats)
	t.Logf("%d events delivered %v after the worker was mended, in %d attempts; %d poisoned; %d MiB", len(ids)-len(poisoned), time.Since(began).Round(time.Millisecond), worker.Len(), len(poisoned), s.Memory()>>20)
	for _, receipt := range worker.Receipts() {
		if receipt.Attempt < 1 || receipt.Attempt > attempts {
			t.Fatalf("an attempt out of count: %+v", receipt)
		}
	}
	s.Conserved()
}

func unavailable(*http.Request, harness.Receipt) int { return http.StatusServiceUnavailable }
