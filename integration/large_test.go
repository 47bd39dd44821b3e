//go:build integration

package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"sluice/integration/harness"
)

const mib = 1 << 20

// forLarge is an installation for events of up to 64 MiB.
func forLarge(t *testing.T, triggers string) *harness.Sluice {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	return harness.NewOn(t, program, fmt.Sprintf("{dir: %q, max_event: 64MiB, max_large: 4GiB}", dir),
		"sources: {in: {http: {path: /in, max_body: 64MiB}}}\n"+triggers)
}

// A largeEvent is an event whose data follows from a number.
type largeEvent struct {
	id   string
	data []byte
	sum  string
}

func newLarge(n, size int) largeEvent {
	data := make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{byte(n), byte(n >> 8), byte(size >> 16)}).Read(data) // it never fails
	sum := sha256.Sum256(data)
	return largeEvent{id: fmt.Sprintf("large-%d", n), data: data, sum: hex.EncodeToString(sum[:])}
}

// post sends the event once, and tells whether it was accepted.
func (e *largeEvent) post(ctx context.Context, client *http.Client, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(e.data))
	if err != nil {
		return false
	}
	request.Header = http.Header{
		"Ce-Specversion": {"1.0"}, "Ce-Id": {e.id}, "Ce-Source": {"/load"}, "Ce-Type": {"load.large"},
		"Content-Type": {"application/octet-stream"},
	}
	answer, err := client.Do(request)
	return err == nil && answer.Body.Close() == nil && answer.StatusCode == http.StatusAccepted
}

// insist sends the event until it is accepted.
func (e *largeEvent) insist(ctx context.Context, client *http.Client, url string) {
	for ctx.Err() == nil && !e.post(ctx, client, url) {
		<-time.After(50 * time.Millisecond)
	}
}

// whole fails the test unless everything that has come to a path is one of the
// events, to the byte. It returns how many there were.
func whole(t *testing.T, worker *harness.Worker, path string, sums map[string]string) int {
	t.Helper()
	n := 0
	for _, r := range worker.Receipts() {
		if r.Path != path || r.Status/100 != 2 {
			continue
		}
		n++
		if r.SHA256 != sums[r.Event] {
			t.Errorf("%s has come with %d bytes, which are not those that were sent", r.Event, r.Size)
		}
	}
	return n
}

// TestLargeEventsInLittleMemory sends a hundred events of 16 MiB, four at a
// time, to two triggers, one of which is far slower: all arrive whole, and the
// memory of the process is printed, and bounded.
func TestLargeEventsInLittleMemory(t *testing.T) {
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int {
		if receipt.Path == "/slow" {
			return pause(r, 100*time.Millisecond)
		}
		return http.StatusNoContent
	})
	s := forLarge(t, trigger("fast", worker.URL("/fast"), "concurrency: 20")+
		fmt.Sprintf("  slow: {on: in, to: {http: {url: %q}}, concurrency: 20}\n", worker.URL("/slow")))
	s.Up()
	idle := s.Memory()
	const events, size, senders = 100, 16 * mib, 4
	sums, began := sendAll(t, s, events, size, senders), time.Now()
	accepted := s.MostMemory()
	s.Idle(2 * time.Minute)
	t.Logf("%d events of %d MiB: delivered %v after the last was accepted; memory %d MiB idle, %d MiB at most while they came, %d MiB at most, %d MiB at the end",
		events, size/mib, time.Since(began).Round(time.Millisecond), idle/mib, accepted/mib, s.MostMemory()/mib, s.Memory()/mib)
	for _, path := range []string{"/fast", "/slow"} {
		if n := whole(t, worker, path, sums); n != events {
			t.Errorf("%d of %d events have come to %s", n, events, path)
		}
	}
	if most := s.MostMemory(); most > 700*mib {
		t.Errorf("the process had %d MiB", most/mib)
	}
	s.Conserved()
}

// sendAll sends events, so many at a time, and returns their digests by id.
func sendAll(t *testing.T, s *harness.Sluice, events, size, senders int) map[string]string {
	t.Helper()
	var mu sync.Mutex
	var group sync.WaitGroup
	sums, client := map[string]string{}, &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for sender := range senders {
		group.Go(func() {
			for n := sender; n < events; n += senders {
				e := newLarge(n, size)
				mu.Lock()
				sums[e.id] = e.sum
				mu.Unlock()
				e.insist(t.Context(), client, s.Ingest+"/in")
			}
		})
	}
	group.Wait()
	return sums
}

func pause(r *http.Request, d time.Duration) int {
	select {
	case <-time.After(d):
	case <-r.Context().Done():
	}
	return http.StatusNoContent
}

// TestLargeEventsUnderKills kills the process while large events come, are
// stored and are delivered: what was accepted arrives whole (I1), and what is
// sent again is one event (I5).
func TestLargeEventsUnderKills(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, brief)
	s := forLarge(t, trigger("work", worker.URL("/work"), "concurrency: 8, retry: {attempts: 5, initial: 50ms, max: 200ms}"))
	s.Up()
	const events = 120
	client := &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	sums, sent := map[string]string{}, make(chan struct{})
	all := make([]largeEvent, events)
	for n := range all {
		all[n] = newLarge(n, 300<<10+rng.IntN(4*mib))
		sums[all[n].id] = all[n].sum
	}
	go func() {
		defer close(sent)
		var group sync.WaitGroup
		for sender := range 4 {
			group.Go(func() {
				for n := sender; n < events; n += 4 {
					all[n].insist(t.Context(), client, s.Ingest+"/in")
				}
			})
		}
		group.Wait()
	}()
	for n := 1; n <= 10; n++ {
		harness.Eventually(t, time.Minute, "more have arrived", func() bool { return worker.Done("/work") >= n*events/14 })
		<-time.After(time.Duration(rng.IntN(100)) * time.Millisecond) // a random moment
		s.Kill()
		s.Up()
	}
	<-sent
	s.Idle(time.Minute)
	ids := make([]string, 0, events)
	for _, e := range all {
		ids = append(ids, e.id)
	}
	poisoned := poisoned(t, s)
	delivered(t, worker, "/work", without(ids, poisoned), 10*time.Second)
	t.Logf("%d events, %d deliveries after %d kills, %d poisoned", events, whole(t, worker, "/work", sums), len(s.Kills), len(poisoned))
	s.Conserved()
}

// TestLettersOfLargeEvents: a letter keeps its file, also over a kill: the
// commands write it out, and a replay delivers it.
func TestLettersOfLargeEvents(t *testing.T) {
	worker := harness.NewWorker(t, broken)
	s := forLarge(t, trigger("work", worker.URL("/work"), "retry: {attempts: 2, initial: 10ms, max: 20ms}"))
	s.Up()
	sums := sendAll(t, s, 3, 9*mib, 1)
	harness.Eventually(t, time.Minute, "all are letters", func() bool { return len(s.Letters()) == 3 })
	s.Kill()
	s.Up()
	for _, letter := range s.Letters() {
		file := filepath.Join(t.TempDir(), "copy.bin")
		shown := s.Command("dlq", "show", letter.ID)
		said := s.Command("dlq", "show", letter.ID, "--data", file)
		data, err := os.ReadFile(file)
		sum := sha256.Sum256(data)
		if err != nil || said.Code != 0 || hex.EncodeToString(sum[:]) != sums[letter.EventID] {
			t.Errorf("%s: %d bytes, %v, exit code %d: %s", letter.EventID, len(data), err, said.Code, said.Err)
		}
		if want := "9.0 MiB, kept apart"; !bytes.Contains([]byte(shown.Out), []byte(want)) {
			t.Errorf("dlq show does not say %q:\n%s", want, shown.Out)
		}
	}
	worker.Set(brief)
	finish(t, s, replay(t, s))
	delivered(t, worker, "/work", []string{"large-0", "large-1", "large-2"}, 20*time.Second)
	if n := whole(t, worker, "/work", sums); n != 3 {
		t.Errorf("%d deliveries for 3 letters", n)
	}
	s.Conserved()
}
