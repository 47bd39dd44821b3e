//go:build integration

package integration_test

import (
	"bytes"
	"fmt"
	"net/http"
	"testing"
	"time"

	"sluice/integration/harness"
)

// memoryMost bounds the resident memory over the whole backlog: it must not
// grow with what waits.
const memoryMost = 512 << 20

// TestPausedBacklog pauses a trigger while many events pass, resumes it, and
// kills the process once while it catches up: all arrive, the other trigger
// has had them all along (I4), and memory stays bounded.
func TestPausedBacklog(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, "sources: {in: {http: {path: /in}}}\ntriggers:\n"+
		fmt.Sprintf("  paused: {on: in, to: {http: {url: %q}}, concurrency: 32}\n", worker.URL("/paused"))+
		fmt.Sprintf("  open: {on: in, to: {http: {url: %q}}, concurrency: 32}\n", worker.URL("/open")))
	s.Up()
	s.Post("triggers/paused/pause", "", nil)
	ids := publishBacklog(t, s)
	delivered(t, worker, "/open", ids, 2*time.Minute)
	if n := worker.Done("/paused"); n != 0 {
		t.Errorf("%d were delivered to the paused trigger", n)
	}
	paused := s.Memory()
	// It stays paused over a crash.
	s.Kill()
	s.Up()
	if state := s.Triggers()["paused"]; state.State != "paused" {
		t.Errorf("after a kill the paused trigger is %+v", state)
	}
	s.Post("triggers/paused/resume", "", nil)
	began := time.Now()
	harness.Eventually(t, time.Minute, "a third has been caught up with", func() bool { return worker.Done("/paused") > len(ids)/3 })
	most := s.Memory()
	s.Kill()
	s.Up()
	harness.Eventually(t, 2*time.Minute, "all has been caught up with", func() bool {
		most = max(most, s.Memory())
		return worker.Done("/paused") == len(ids)
	})
	took := time.Since(began)
	s.Idle(20 * time.Second)
	delivered(t, worker, "/paused", ids, time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	explained(t, &repeats)
	t.Logf("%d events caught up with in %v (%.0f/s), one kill among it; resident %d MiB while paused, %d MiB at most; repeats %v, "+
		"written down %v before the kill at most", len(ids), took.Round(time.Millisecond), float64(len(ids))/took.Seconds(),
		paused>>20, most>>20, repeats.PerKill, repeats.Oldest().Round(time.Microsecond))
	if most > memoryMost {
		t.Errorf("%d MiB resident, at most %d are right", most>>20, memoryMost>>20)
	}
	s.Conserved()
}

// publishBacklog publishes the backlog in batches (CloudEvents batched mode)
// and returns the ids.
func publishBacklog(t *testing.T, s *harness.Sluice) []string {
	t.Helper()
	const batch = 1000
	ids := make([]string, 0, *backlog)
	began := time.Now()
	for len(ids) < *backlog {
		var body bytes.Buffer
		for n := range min(batch, *backlog-len(ids)) {
			ids = append(ids, fmt.Sprintf("b-%d", len(ids)))
			fmt.Fprintf(&body, "%c{\"specversion\":\"1.0\",\"id\":%q,\"source\":\"/backlog\",\"type\":\"backlog.event\",\"data\":{\"n\":%d}}",
				map[bool]byte{true: '[', false: ','}[n == 0], ids[len(ids)-1], n)
		}
		body.WriteByte(']')
		postBatch(t, s, &body)
	}
	t.Logf("%d events accepted in %v", len(ids), time.Since(began).Round(time.Millisecond))
	return ids
}

func postBatch(t *testing.T, s *harness.Sluice, body *bytes.Buffer) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Ingest+"/in", body)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/cloudevents-batch+json")
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusAccepted {
		var text bytes.Buffer
		_, _ = text.ReadFrom(answer.Body)
		t.Fatalf("a batch is answered with %s: %s", answer.Status, &text)
	}
}
