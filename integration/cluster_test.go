//go:build integration

package integration_test

import (
	"fmt"
	"testing"
	"time"

	"sluice/integration/harness"
	"sluice/integration/natscluster"
)

// leaderKills is how often TestClusterLosesItsLeader kills.
const leaderKills = 3

// TestClusterLosesItsLeader runs on three NATS servers and kills, under load,
// the one that leads the events, and then the one that leads the ledger, by
// turns: nothing that was accepted is lost (I1, I2), and while nobody leads
// requests are refused.
func TestClusterLosesItsLeader(t *testing.T) {
	t.Cleanup(func() { _ = natscluster.Remove() })
	cluster := natscluster.Start(t)
	worker := harness.NewWorker(t, brief)
	bus := fmt.Sprintf("{url: %q, replicas: 3, max_bytes: 256MiB, max_large: 256MiB}", cluster.URL())
	s := harness.NewOn(t, program, bus, oneTrigger(worker, "retry: {attempts: 5, initial: 50ms, max: 200ms}"))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "c", *rate)
	gaps := make([]time.Duration, 0, leaderKills)
	for n := range leaderKills {
		more(t, load, *rate)
		leader := cluster.Leader([]string{"SLUICE_EVENTS", "SLUICE_LEDGER"}[n%2])
		cluster.Kill(leader)
		at, began := load.Len(), time.Now()
		harness.Eventually(t, time.Minute, "events are accepted again", func() bool { return load.Len() > at+harness.Senders })
		gaps = append(gaps, time.Since(began).Round(time.Millisecond))
		cluster.Restart(leader)
		cluster.Ready()
	}
	more(t, load, *rate)
	load.Stop()

	accepted := load.Accepted()
	s.Idle(time.Minute)
	delivered(t, worker, "/work", accepted, 30*time.Second)
	t.Logf("accepted %d, of unknown fate %d, delivered %d in %d attempts; without answers after a kill for %v",
		len(accepted), len(load.Unknown()), worker.Done("/work"), worker.Len(), gaps)
	if repeated := worker.Len() - worker.Done("/work"); repeated > 0 {
		t.Errorf("%d deliveries were repeated, although the router has not stopped", repeated)
	}
	s.Conserved()
}

// more waits until so many more events are accepted.
func more(t *testing.T, load *harness.Load, n int) {
	t.Helper()
	at := load.Len()
	harness.Eventually(t, time.Minute, "more events are accepted", func() bool { return load.Len() >= at+n })
}
