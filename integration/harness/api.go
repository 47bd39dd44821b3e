//go:build integration

package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"time"
)

// A Trigger is how the API shows a trigger.
type Trigger struct {
	Name      string
	State     string
	Cursor    uint64
	Lag       uint64
	Waiting   int
	Running   int
	Buffered  int
	Matched   uint64
	Delivered uint64
	Dead      uint64
	Discarded uint64
}

// An Audit is what `sluice audit` prints.
type Audit struct {
	Conserved bool
	Checked   uint64
	Triggers  []struct {
		Name                                         string
		Matched, Delivered, Dead, Discarded, Waiting uint64
		Off                                          int64
	}
	Missing []struct {
		Sequence     uint64
		Trigger, Why string
	}
}

// A Letter is how the API shows a letter.
type Letter struct {
	ID       string
	Trigger  string
	EventID  string `json:"event_id"`
	Reason   string
	Error    string
	Attempts int
}

// A Counts is how the API counts letters.
type Counts struct {
	Total, Replayable int
	Skipped           map[string]int
}

// A Job is how the API shows a replay.
type Job struct {
	ID, State, Problem string
	Total, Replayed    int
	Skipped            map[string]int
}

// Get asks the API, below /api/v1/. It fails the test unless the answer is 200.
func (s *Sluice) Get(path string, into any) {
	s.tb.Helper()
	if err := s.ask(http.MethodGet, path, "", into); err != "" {
		s.tb.Fatal(err)
	}
}

// Post asks the API to do something.
func (s *Sluice) Post(path, body string, into any) {
	s.tb.Helper()
	if err := s.ask(http.MethodPost, path, body, into); err != "" {
		s.tb.Fatal(err)
	}
}

func (s *Sluice) ask(method, path, body string, into any) (problem string) {
	request, err := http.NewRequestWithContext(s.tb.Context(), method, s.Admin+"/api/v1/"+path, strings.NewReader(body))
	if err != nil {
		return err.Error()
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	if answer.StatusCode/100 != 2 {
		return method + " " + path + ": " + answer.Status + ": " + string(text)
	}
	if into == nil {
		return ""
	}
	if err := json.Unmarshal(text, into); err != nil {
		return method + " " + path + ": " + err.Error() + ": " + string(text)
	}
	return ""
}

// Triggers returns how the triggers stand, by name.
func (s *Sluice) Triggers() map[string]Trigger {
	s.tb.Helper()
	var answer struct{ Triggers []Trigger }
	s.Get("triggers", &answer)
	all := map[string]Trigger{}
	for _, t := range answer.Triggers {
		all[t.Name] = t
	}
	return all
}

// Idle waits until nothing waits, runs or is behind.
func (s *Sluice) Idle(within time.Duration) {
	s.tb.Helper()
	Eventually(s.tb, within, "all triggers are idle", func() bool {
		var cursor uint64
		all := s.Triggers()
		for _, t := range all {
			cursor = max(cursor, t.Cursor)
		}
		for _, t := range all {
			if t.Waiting+t.Running+t.Buffered > 0 || t.Lag > 0 || t.State == "running" && t.Cursor < cursor {
				return false
			}
		}
		return true
	})
}

// Letters returns all letters.
func (s *Sluice) Letters() []Letter {
	s.tb.Helper()
	var all []Letter
	for path := "letters?limit=1000"; path != ""; {
		var page struct {
			Letters []Letter
			Next    json.Number
		}
		s.Get(path, &page)
		all = append(all, page.Letters...)
		path = ""
		if page.Next != "" {
			path = "letters?limit=1000&after=" + page.Next.String()
		}
	}
	return all
}

// Conserved fails the test unless the audit command says that every delivery
// is accounted for.
func (s *Sluice) Conserved() Audit {
	s.tb.Helper()
	said := s.Command("audit", "-o", "json")
	var audit Audit
	if err := json.Unmarshal([]byte(said.Out), &audit); err != nil {
		s.tb.Fatalf("sluice audit: exit code %d, %v\n%s%s", said.Code, err, said.Out, said.Err)
	}
	if said.Code != 0 || !audit.Conserved {
		s.tb.Errorf("not conserved: exit code %d\n%s%s", said.Code, said.Out, said.Err)
	}
	return audit
}
