//go:build integration

package integration_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/integration/harness"
)

// healthy is how many triggers stand beside the one that hangs.
const healthy = 9

// TestHangingTrigger measures nine triggers without and with a tenth whose
// worker hangs: they get everything while it does (I4).
func TestHangingTrigger(t *testing.T) {
	const seconds = 6
	release := make(chan struct{})
	worker := harness.NewWorker(t, func(r *http.Request, _ harness.Receipt) int {
		if r.URL.Path != "/hangs" {
			return http.StatusNoContent
		}
		select {
		case <-release:
			return http.StatusNoContent
		case <-r.Context().Done():
			return http.StatusServiceUnavailable
		}
	})
	s := harness.New(t, program, manyTriggers(worker))
	s.Up()
	s.Post("triggers/hangs/pause", "", nil)
	before := measure(t, s, worker, "a", seconds)
	s.Post("triggers/hangs/resume", "", nil)
	harness.Eventually(t, 10*time.Second, "the tenth hangs", func() bool { return worker.InFlight() == 10 })
	with := measure(t, s, worker, "b", seconds)
	if n := worker.Done("/hangs"); n != 0 || worker.InFlight() < 10 {
		t.Errorf("the tenth has taken %d, and hangs in %d: it was to hang", n, worker.InFlight())
	}
	t.Logf("publish to worker, nine triggers at %d events/s: alone %v; beside one that hangs %v", *rate, before, with)
	close(release)
	s.Idle(60 * time.Second)
	audit := s.Conserved()
	for _, trigger := range audit.Triggers {
		if trigger.Delivered != audit.Triggers[0].Delivered {
			t.Errorf("%s has delivered %d, %s %d", trigger.Name, trigger.Delivered, audit.Triggers[0].Name, audit.Triggers[0].Delivered)
		}
	}
}

func manyTriggers(worker *harness.Worker) string {
	var text strings.Builder
	text.WriteString("sources: {in: {http: {path: /in}}}\ntriggers:\n")
	for n := range healthy {
		fmt.Fprintf(&text, "  t%d: {on: in, to: {http: {url: %q}}}\n", n, worker.URL(fmt.Sprintf("/t%d", n)))
	}
	fmt.Fprintf(&text, "  hangs: {on: in, to: {http: {url: %q}}, timeout: 5m}\n", worker.URL("/hangs"))
	return text.String()
}

// A latency is from the first byte of a publish to the worker's receipt.
type latency struct{ p50, p99, most time.Duration }

func (l latency) String() string {
	return fmt.Sprintf("p50 %v p99 %v max %v", l.p50.Round(time.Microsecond), l.p99.Round(time.Microsecond), l.most.Round(time.Microsecond))
}

// measure runs a load for some seconds and waits until the healthy triggers
// have delivered all of it.
func measure(t *testing.T, s *harness.Sluice, worker *harness.Worker, prefix string, seconds int) latency {
	t.Helper()
	load := harness.NewLoad(t, s.Ingest+"/in", prefix, *rate)
	harness.Eventually(t, 60*time.Second, "the load has passed", func() bool { return load.Len() >= seconds**rate })
	load.Stop()
	for n := range healthy {
		delivered(t, worker, fmt.Sprintf("/t%d", n), load.Accepted(), 20*time.Second)
	}
	var all []time.Duration
	for _, r := range worker.Receipts() {
		if r.Path != "/hangs" && strings.HasPrefix(r.Event, prefix+"-") {
			all = append(all, r.Began.Sub(load.Sent(r.Event)))
		}
	}
	slices.Sort(all)
	return latency{all[len(all)/2], all[len(all)*99/100], all[len(all)-1]}
}
