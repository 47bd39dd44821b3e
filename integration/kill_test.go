//go:build integration

package integration_test

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"sluice/integration/harness"
)

// unwritten is how long an outcome may be missing in the ledger: attempts stop
// when one has waited for a second.
const unwritten = 1500 * time.Millisecond

// TestKill50 kills the process again and again under load: nothing that was
// accepted is lost (I1, I2), what is sent again is one event (I5), and only
// what was under way or not yet in the ledger is repeated (I6).
func TestKill50(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, brief)
	s := harness.New(t, program, oneTrigger(worker, "retry: {attempts: 5, initial: 50ms, max: 200ms}"))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "k", *rate)
	inFlight := make([]int, 0, *kills)
	for range *kills {
		wait(t, s, rng)
		inFlight = append(inFlight, worker.InFlight())
		s.Kill()
		s.Start()
	}
	s.Ready()
	// A while of peace, so that the end is not a kill.
	at := load.Len()
	harness.Eventually(t, 20*time.Second, "events are accepted again", func() bool { return load.Len() > at+*rate/2 })
	load.Stop()

	accepted := load.Accepted()
	s.Idle(30 * time.Second)
	poisoned := poisoned(t, s)
	delivered(t, worker, "/work", without(accepted, poisoned), 10*time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	t.Logf("accepted %d, of unknown fate %d, delivered %d, poisoned %d, repeated %d after %d kills: at most %d after one, "+
		"%d under way, the others written down %v before the kill at most; in flight at the kills: %v; repeats: %v",
		len(accepted), len(load.Unknown()), worker.Done("/work"), len(poisoned), repeats.Total, len(s.Kills), repeats.Most(),
		repeats.UnderWay, repeats.Oldest().Round(time.Microsecond), inFlight, repeats.PerKill)
	explained(t, &repeats)
	if repeats.Oldest() > unwritten {
		t.Errorf("a delivery was repeated that had been answered %v before the kill", repeats.Oldest())
	}
	for _, receipt := range worker.Receipts() {
		if load.Sent(receipt.Event).IsZero() {
			t.Fatalf("event %q was delivered and never sent", receipt.Event)
		}
	}
	s.Conserved()
}

// brief answers after a moment, so that there is always something under way.
func brief(r *http.Request, _ harness.Receipt) int {
	select {
	case <-time.After(2 * time.Millisecond):
	case <-r.Context().Done():
	}
	return http.StatusNoContent
}

// wait lets a random time pass: some of it while the process recovers, a moment
// after it is ready, or some time later.
func wait(t *testing.T, s *harness.Sluice, rng *rand.Rand) {
	t.Helper()
	most := 100 * time.Millisecond
	switch rng.IntN(4) {
	case 0:
	case 1:
		s.Ready()
		most = 20 * time.Millisecond
	default:
		s.Ready()
		most = time.Second
	}
	select {
	case <-s.Exited():
		t.Fatal("sluice has ended by itself")
	case <-time.After(time.Duration(rng.Int64N(int64(most)))):
	}
}
