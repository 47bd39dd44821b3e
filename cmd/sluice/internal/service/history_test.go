package service_test

import (
	"net/http"
	"strings"
	"testing"

	"sluice/cmd/sluice/internal/admin"
	"sluice/dlq"
)

// TestAReplayOfHistoryMeetsReloads renames the trigger of a replay, takes it away,
// and brings it back.
func TestAReplayOfHistoryMeetsReloads(t *testing.T) {
	const events = 6
	dir := t.TempDir()
	url, got := worker(t)
	text := strings.ReplaceAll(oneTrigger, "URL", url)
	s, _ := run(t, load(t, dir, text))
	for range events {
		if status := post(t, "http://"+s.IngestAddr()+"/orders", "{}"); status != http.StatusAccepted {
			t.Fatalf("status %d", status)
		}
	}
	eventually(t, "every event is delivered", func() bool { return got.Load() == events })
	c := client(t, s)
	job, err := c.ReplayHistory(t.Context(), &admin.HistoryRequest{Filter: dlq.HistoryFilter{Trigger: "all"}, All: true, Rate: 5})
	if err != nil {
		t.Fatal(err)
	}
	now := func() admin.Job {
		found, err := c.Job(t.Context(), job.ID)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	reload := func(text string) {
		if _, err := s.Reload(t.Context(), load(t, dir, text)); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "one is delivered again", func() bool { return got.Load() > events })
	cancelled, err := c.CancelJob(t.Context(), job.ID) // what is under way would be a letter
	if err != nil || cancelled.Replayed == events {
		t.Fatalf("%+v, %v", cancelled, err)
	}
	eventually(t, "what was replayed is delivered", func() bool { return got.Load() == int64(events+cancelled.Replayed) })
	renamed := strings.Replace(text, "  all: {", "  every: {was: [all], ", 1)
	reload(strings.Replace(text, "  all: {", "  other: {", 1))
	if _, err := c.ResumeJob(t.Context(), job.ID); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it says what holds it up", func() bool { return now().Problem == `there is no trigger "all": there is other` })
	reload(renamed)
	eventually(t, "it has ended", func() bool { return now().State == dlq.Finished })
	eventually(t, "every event is delivered again", func() bool { return got.Load() == 2*events })
	if ended := now(); ended.Replayed != events || ended.Problem != "" {
		t.Errorf("%+v", ended)
	}
	audit, err := c.Audit(t.Context())
	if err != nil || !audit.Conserved {
		t.Errorf("audit: %+v, %v", audit, err)
	}
}
