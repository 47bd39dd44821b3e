//go:build integration

package integration_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice/integration/harness"
)

// TestHistoryIsReplayedUnderKills replays history to one of two triggers and kills
// the process ten times in the midst of it: each event that is selected is one new
// delivery of that trigger, and nothing of the other (I2, I3).
func TestHistoryIsReplayedUnderKills(t *testing.T) {
	const events, kills = 1200, 10
	rng := random(t)
	worker := harness.NewWorker(t, brief)
	s := harness.New(t, program, fmt.Sprintf("sources: {in: {http: {path: /in}}}\ntriggers:\n  work: {on: in, to: {http: {url: %q}}}\n  other: {on: in, to: {http: {url: %q}}}\n",
		worker.URL("/work"), worker.URL("/other")))
	s.Up()
	ids := make([]string, 0, events)
	for n := range events {
		ids = append(ids, fmt.Sprintf("h-%d", n))
	}
	publish(t, s, ids...)
	s.Idle(30 * time.Second)
	before := worker.Len()

	said := s.Command("replay", "--trigger", "work", "--since", "1h", "--rate", strconv.Itoa(events/10), "--detach", "-o", "json")
	var job harness.Job
	if err := json.Unmarshal([]byte(said.Out), &job); err != nil || said.Code != 0 {
		t.Fatalf("replay: exit code %d, %v\n%s%s", said.Code, err, said.Out, said.Err)
	}
	at := make([]int, 0, kills)
	for n := range kills {
		harness.Eventually(t, 30*time.Second, "the replay has begun or gone on", func() bool { return jobOf(s, job.ID).Replayed > n*events/20 })
		<-time.After(time.Duration(rng.IntN(100)) * time.Millisecond) // a random moment
		now := jobOf(s, job.ID)
		if now.State != "running" {
			t.Fatalf("the replay has ended before the kill %d: %+v", n+1, now)
		}
		at = append(at, now.Replayed)
		s.Kill()
		s.Up()
	}
	finish(t, s, job.ID)
	if ended := jobOf(s, job.ID); ended.Replayed != events || len(ended.Skipped) > 0 {
		t.Errorf("the replay: %+v", ended)
	}
	t.Logf("%d events replayed, killed after %v of them", events, at)
	again := poisoned(t, s)
	checkHistory(t, s, worker.Receipts()[before:], without(ids, again))
	s.Conserved()
}

// checkHistory counts the deliveries that a replay has made: one of the trigger
// work for each event. What was repeated after a kill has the same delivery id.
func checkHistory(t *testing.T, s *harness.Sluice, receipts []harness.Receipt, ids []string) {
	t.Helper()
	repeats := harness.FindRepeats(receipts, s.Kills)
	explained(t, &repeats)
	deliveries := map[string]map[string]bool{}
	for _, r := range receipts {
		if r.Path != "/work" {
			t.Fatalf("another trigger has got %+v", r)
		}
		if deliveries[r.Event] == nil {
			deliveries[r.Event] = map[string]bool{}
		}
		deliveries[r.Event][r.Delivery] = true
	}
	t.Logf("%d attempts, %d repeated after %d kills", len(receipts), repeats.Total, len(s.Kills))
	for _, id := range ids {
		if len(deliveries[id]) != 1 {
			t.Fatalf("%s was replayed as %d deliveries", id, len(deliveries[id]))
		}
	}
	for id := range deliveries {
		if !slices.Contains(ids, id) && len(deliveries[id]) > 1 {
			t.Errorf("%s, which was poisoned, was replayed as %d deliveries", id, len(deliveries[id]))
		}
	}
}
