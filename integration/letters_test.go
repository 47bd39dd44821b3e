//go:build integration

package integration_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
	"time"

	"sluice/integration/harness"
)

// TestLettersAndReplay lets every delivery fail until it is a letter, mends the
// worker, and replays under kills: every letter is delivered, none is replayed
// twice (I3).
func TestLettersAndReplay(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, broken)
	s := harness.New(t, program, oneTrigger(worker, "retry: {attempts: 2, initial: 10ms, max: 20ms}, concurrency: 20"))
	s.Up()
	ids := make([]string, 0, *letters)
	for n := range *letters {
		ids = append(ids, fmt.Sprintf("l-%d", n))
	}
	publish(t, s, ids...)
	harness.Eventually(t, 30*time.Second, "all are letters", func() bool { return len(s.Letters()) == *letters })
	s.Idle(10 * time.Second)
	checkList(t, s)
	attempts := worker.Len()
	worker.Set(brief)

	job := replay(t, s, "--rate", strconv.Itoa(max(*letters/5, 1)))
	for n := range 4 {
		harness.Eventually(t, 30*time.Second, "the replay has begun or gone on", func() bool { return jobOf(s, job).Replayed > n**letters/10 })
		<-time.After(time.Duration(rng.IntN(200)) * time.Millisecond) // a random moment
		s.Kill()
		s.Up()
	}
	finish(t, s, job)
	if ended := jobOf(s, job); ended.Replayed != *letters {
		t.Errorf("the replay: %+v", ended)
	}
	again := poisoned(t, s)
	if len(again) > 0 {
		finish(t, s, replay(t, s))
	}
	delivered(t, worker, "/work", ids, 10*time.Second)
	checkReplay(t, s, worker.Receipts()[attempts:], again)
	if left := s.Letters(); len(left) != 0 {
		t.Errorf("%d letters are left: %+v …", len(left), left[0])
	}
	s.Conserved()
}

// finish waits until a replay has ended and what it has made is settled.
func finish(t *testing.T, s *harness.Sluice, job string) {
	t.Helper()
	harness.Eventually(t, 60*time.Second, "the replay has ended", func() bool { return jobOf(s, job).State == "finished" })
	s.Idle(20 * time.Second)
}

func broken(*http.Request, harness.Receipt) int { return http.StatusInternalServerError }

// checkList looks at the letters as the command shows them, and at a dry run.
func checkList(t *testing.T, s *harness.Sluice) {
	t.Helper()
	listed := s.Command("dlq", "list", "--limit", strconv.Itoa(*letters), "-o", "json")
	var shown struct{ Letters []harness.Letter }
	if err := json.Unmarshal([]byte(listed.Out), &shown); err != nil || listed.Code != 0 {
		t.Fatalf("dlq list: exit code %d, %v\n%s%s", listed.Code, err, listed.Out, listed.Err)
	}
	if len(shown.Letters) != *letters {
		t.Errorf("dlq list shows %d letters, want %d", len(shown.Letters), *letters)
	}
	for _, letter := range shown.Letters {
		if letter.Attempts != 2 || letter.Reason != "exhausted" || letter.Trigger != "work" {
			t.Fatalf("a letter: %+v", letter)
		}
	}
	dry := s.Command("dlq", "replay", "--all", "--dry-run", "-o", "json")
	var counts harness.Counts
	if err := json.Unmarshal([]byte(dry.Out), &counts); err != nil || dry.Code != 0 {
		t.Fatalf("dry run: exit code %d, %v\n%s%s", dry.Code, err, dry.Out, dry.Err)
	}
	if counts.Total != *letters || counts.Replayable != *letters {
		t.Errorf("the dry run counts %+v, want %d", counts, *letters)
	}
	if n := len(s.Letters()); n != *letters {
		t.Errorf("after the dry run there are %d letters", n)
	}
}

// replay starts a replay of all letters and returns its id.
func replay(t *testing.T, s *harness.Sluice, more ...string) string {
	t.Helper()
	said := s.Command(append([]string{"dlq", "replay", "--all", "--detach", "-o", "json"}, more...)...)
	var job harness.Job
	if err := json.Unmarshal([]byte(said.Out), &job); err != nil || said.Code != 0 || job.ID == "" {
		t.Fatalf("dlq replay: exit code %d, %v\n%s%s", said.Code, err, said.Out, said.Err)
	}
	return job.ID
}

func jobOf(s *harness.Sluice, id string) (job harness.Job) {
	s.Get("jobs/"+id, &job)
	return job
}

// checkReplay counts the deliveries that replays have made: each has an id of
// its own, and each letter has made one. Those of again were replayed twice,
// because a kill has made letters of them a second time.
func checkReplay(t *testing.T, s *harness.Sluice, receipts []harness.Receipt, again []string) {
	t.Helper()
	once := slices.DeleteFunc(slices.Clone(receipts), func(r harness.Receipt) bool { return slices.Contains(again, r.Event) })
	repeats := harness.FindRepeats(once, s.Kills)
	explained(t, &repeats)
	replayed, twice := map[string]bool{}, map[string]bool{}
	for _, r := range receipts {
		if slices.Contains(again, r.Event) {
			twice[r.Delivery] = true
		} else {
			replayed[r.Delivery] = true
		}
	}
	t.Logf("%d letters, %d replayed deliveries in %d attempts, %d repeated after %d kills %v; %d taken for poison and replayed again",
		*letters, len(replayed)+len(again), len(receipts), repeats.Total, len(s.Kills), repeats.PerKill, len(again))
	if len(replayed) != *letters-len(again) || len(twice) > 2*len(again) {
		t.Errorf("%d letters were replayed as %d deliveries, and %d that were poisoned as %d", *letters, len(replayed), len(again), len(twice))
	}
}
