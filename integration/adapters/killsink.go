//go:build integration

package adapters

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/integration/harness"
	"sluice/sinks/sinktest"
)

// KillSink runs a sink in the real program, kills the program while it delivers,
// restarts the store too where that can be done, and checks that every event that
// was accepted is stored: once, where the store can tell.
func KillSink(t *testing.T, st sinktest.Store) {
	t.Helper()
	batch := ""
	if st.Batches {
		batch = ", batch: {size: 10, window: 20ms}"
	}
	s := harness.New(t, program, fmt.Sprintf("sources: {in: {http: {path: /in}}}\ntriggers:\n  work:\n    on: in\n    to: {%s}\n"+
		"    retry: {attempts: 100, initial: 50ms, max: 500ms}\n%s", st.Section, options(batch)))
	s.Up()
	p := &poster{url: s.Ingest + "/in", client: &http.Client{Transport: &http.Transport{}, Timeout: within}}
	t.Cleanup(p.client.CloseIdleConnections)
	for round := range rounds {
		var wait sync.WaitGroup
		wait.Go(func() { p.post(t, round*each, each) })
		harness.Eventually(t, within, "some are stored", func() bool { return len(st.Stored(t)) > round*each })
		s.Kill()
		if round == 1 && st.Restart != nil {
			st.Restart(t)
		}
		s.Start()
		wait.Wait()
	}
	s.Ready()
	harness.Eventually(t, within, "all are stored", func() bool { return len(missing(st.Stored(t))) == 0 })
	s.Idle(within)
	checkStored(t, &st)
	if letters := s.Letters(); len(letters) > 0 {
		t.Errorf("%d letters, the first is %+v", len(letters), letters[0])
	}
	s.Conserved()
}

// options are further keys of a trigger, each on a line.
func options(keys string) string {
	if keys == "" {
		return ""
	}
	return "    " + keys[len(", "):] + "\n"
}

// missing returns the numbers that are not stored.
func missing(all []sinktest.Received) []int {
	seen := map[int]bool{}
	for _, r := range all {
		seen[r.Number()] = true
	}
	var none []int
	for n := range rounds * each {
		if !seen[n] {
			none = append(none, n)
		}
	}
	return none
}

func checkStored(t *testing.T, st *sinktest.Store) {
	t.Helper()
	all := st.Stored(t)
	ids := map[string]int{}
	for _, r := range all {
		ids[r.ID]++
	}
	t.Logf("%d deliveries are stored %d times over %d kills", len(ids), len(all), rounds)
	for id, n := range ids {
		if st.Once && n > 1 {
			t.Errorf("delivery %s is stored %d times", id, n)
		}
	}
}

// A poster publishes numbered events, each until it is accepted.
type poster struct {
	url    string
	client *http.Client
}

func (p *poster) post(t *testing.T, from, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	for i := from; i < from+n; i++ {
		for !p.once(ctx, i) {
			if ctx.Err() != nil {
				t.Errorf("event %d was not accepted", i)
				return
			}
			<-time.After(20 * time.Millisecond)
		}
	}
}

func (p *poster) once(ctx context.Context, n int) bool {
	request, err := harness.NewEvent(ctx, p.url, fmt.Sprintf("e%d", n), fmt.Sprintf(`{"n":%d}`, n))
	if err != nil {
		return false
	}
	request.Header.Set("Ce-Partitionkey", fmt.Sprintf("k%d", n%4))
	answer, err := p.client.Do(request)
	if err != nil {
		return false
	}
	_, _ = io.Copy(io.Discard, answer.Body) // the status has said it
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusAccepted
}
