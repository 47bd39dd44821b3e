//go:build integration

package functions_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/functions"
	"sluice/functions/runtimes"
	"sluice/integration/harness"
)

// draw returns what a worker is to do with the nth event: mostly what is well,
// and hardly ever nothing until its time is over, since that takes as long.
func draw(r *rand.Rand, n int) string {
	switch {
	case n%40 == 0:
		return "hang"
	case r.IntN(3) > 0:
		return ""
	}
	return []string{"crash", "kill", "panic", "error", "large", "large"}[r.IntN(6)]
}

// Sixty-four invocations at once on eight workers, some of which crash, hang,
// panic or answer 5 MiB: each ends in its own way, with its own answer.
func TestAnswersAreTheirOwn(t *testing.T) {
	const callers, each = 64, 4
	pool := newPool(t, functions.Spec{Name: "work", Concurrency: 8, Timeout: 5 * time.Second, Memory: 256 << 20, InitTimeout: time.Minute})
	r := random(t)
	var callersDone sync.WaitGroup
	for n := range callers {
		var orders []order
		for m := range each {
			o := order{ID: uuid.NewString()}
			o.Data.Do = draw(r, n*each+m)
			orders = append(orders, o)
		}
		callersDone.Go(func() {
			for _, o := range orders {
				if err := judge(o, call(t, pool, o)); err != nil {
					t.Errorf("%s: %v", o.Data.Do, err)
				}
			}
		})
	}
	callersDone.Wait()
}

func newPool(t *testing.T, spec functions.Spec) *functions.Pool {
	t.Helper()
	token := processes(uuid.NewString())
	spec.Environment = map[string]string{tokenVariable: string(token)}
	spec.Program = runtimes.Program{Runtime: runtimes.Custom, Command: []string{bootstrap(t)}, Dir: t.TempDir(), Handler: "work"}
	pool, err := functions.NewPool(spec, functions.Options{Scratch: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Close(); err != nil {
			t.Error(err)
		}
		if left := token.pids(); len(left) > 0 {
			t.Errorf("processes %v are left of a closed pool", left)
			token.kill()
		}
	})
	return pool
}

// A result is that of an invocation.
type result struct {
	functions.Result
	err error
}

// call invokes until the invocation has begun.
func call(t *testing.T, pool *functions.Pool, o order) result {
	t.Helper()
	payload, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	for {
		got, err := pool.Invoke(t.Context(), functions.Invocation{RequestID: o.ID, Payload: payload, MaxWait: time.Minute})
		start, unstarted := errors.AsType[*functions.StartError](err)
		if !unstarted {
			return result{got, err}
		}
		time.Sleep(start.After)
	}
}

// judge says what is wrong with the end of an invocation.
func judge(o order, got result) error {
	failed, _ := errors.AsType[*functions.FunctionError](got.err)
	outcome, message := functions.OutcomeSuccess, ""
	if failed != nil {
		outcome, message = failed.Outcome, failed.Message
	} else if got.err != nil {
		return got.err
	}
	want := map[string]functions.Outcome{
		"": functions.OutcomeSuccess, "large": functions.OutcomeSuccess, "hang": functions.OutcomeTimeout,
		"crash": functions.OutcomeExit, "kill": functions.OutcomeExit, "panic": functions.OutcomeError, "error": functions.OutcomeError,
	}[o.Data.Do]
	if outcome != want {
		return fmt.Errorf("it has ended as %v, %w", outcome, got.err)
	}
	if failed != nil {
		if !strings.Contains(message, o.ID) {
			return fmt.Errorf("%q is not of %s", message, o.ID)
		}
		return nil
	}
	var a answer
	if err := json.Unmarshal(got.Payload, &a); err != nil || a.ID != o.ID || (o.Data.Do == "large") != (len(a.Fill) == large) {
		return fmt.Errorf("the answer of %s and %d bytes is not of %s: %w", a.ID, len(a.Fill), o.ID, err)
	}
	return nil
}

// Deliveries to a function that crashes, hangs, panics and answers 5 MiB are
// done in the end, or letters; and the records of those that are done have what
// was answered to them.
func TestDeliveriesThroughFaults(t *testing.T) {
	const events = 200
	records := newRecords(t)
	i := install(t, fmt.Sprintf("    timeout: 4s\n    concurrency: 8\n    on_success: {http: {url: %q}}", records.server.URL),
		"concurrency: 8, retry: {attempts: 3, initial: 10ms, max: 100ms}")
	i.Up()
	r := random(t)
	var fine, doomed []string
	send := newSender(t, i.Ingest+"/in")
	for n := range events {
		id := fmt.Sprint("event-", n)
		data := `{}`
		if do := draw(r, n); do != "" {
			attempts := r.IntN(3) // 0: always
			if do == "hang" {
				attempts = 1
			}
			data = fmt.Sprintf(`{"do":%q,"attempts":%d}`, do, attempts)
			if attempts == 0 && do != "large" {
				doomed = append(doomed, id)
			}
		}
		if !slices.Contains(doomed, id) {
			fine = append(fine, id)
		}
		send(id, data)
	}
	i.Idle(time.Minute)
	i.Conserved()
	var dead []string
	for _, letter := range i.Letters() {
		dead = append(dead, letter.EventID)
	}
	slices.Sort(dead)
	slices.Sort(doomed)
	if !slices.Equal(dead, doomed) {
		t.Errorf("letters of %v, want of %v", dead, doomed)
	}
	records.check(t, fine)
}

// records takes the records of deliveries that are done.
type records struct {
	server *httptest.Server

	mu    sync.Mutex
	ids   map[string]bool
	wrong []string
}

func newRecords(t *testing.T) *records {
	t.Helper()
	r := &records{ids: map[string]bool{}}
	r.server = httptest.NewServer(r)
	t.Cleanup(r.server.Close)
	return r
}

// ServeHTTP takes one record.
func (s *records) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var record struct {
		RequestPayload  order  `json:"requestPayload"`
		ResponsePayload answer `json:"responsePayload"`
	}
	err := json.NewDecoder(r.Body).Decode(&record)
	asked, answered := record.RequestPayload, record.ResponsePayload
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil || asked.ID != answered.ID {
		s.wrong = append(s.wrong, fmt.Sprintf("%s was answered with what is of %s (%v)", asked.ID, answered.ID, err))
	}
	s.ids[asked.ID] = true
}

func (s *records) check(t *testing.T, want []string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, wrong := range s.wrong {
		t.Error(wrong)
	}
	for _, id := range want {
		if !s.ids[id] {
			t.Errorf("there is no record of %s", id)
		}
	}
}

// newSender returns a function that publishes an event, which has to be accepted.
func newSender(t *testing.T, url string) func(id, data string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
	t.Cleanup(client.CloseIdleConnections)
	return func(id, data string) {
		t.Helper()
		request, err := harness.NewEvent(t.Context(), url, id, data)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %s, %v", id, response.Status, err)
		}
	}
}

// Workers that are killed and stopped under load lose nothing.
func TestKills(t *testing.T) {
	i := install(t, "    timeout: 500ms\n    concurrency: 16", "concurrency: 16, retry: {attempts: 100, initial: 10ms, max: 100ms}")
	i.Up()
	load := harness.NewLoad(t, i.Ingest+"/in", "event", 100)
	r := random(t)
	for n := range *kills {
		harness.Eventually(t, time.Minute, "a worker runs", func() bool { return i.hit(r, syscall.SIGKILL) })
		if n%5 == 0 {
			harness.Eventually(t, time.Minute, "a worker runs", func() bool { return i.hit(r, syscall.SIGSTOP) })
		}
	}
	load.Stop()
	accepted := load.Accepted()
	i.Idle(time.Minute)
	i.Conserved()
	if letters := i.Letters(); len(letters) > 0 {
		t.Errorf("%d letters, such as %+v", len(letters), letters[0])
	}
	if missing := i.seen.missing(accepted); len(missing) > 0 {
		t.Errorf("%d of %d events have not reached a worker: %v …", len(missing), len(accepted), missing[:min(10, len(missing))])
	}
	t.Logf("%d events", len(accepted))
}

// A burst starts as many workers as it needs, and no more; later there is none.
func TestScale(t *testing.T) {
	const most = 50
	i := install(t, fmt.Sprintf("    timeout: 1m\n    concurrency: %d\n    idle: 500ms", most), fmt.Sprintf("concurrency: %d", most))
	i.seen.wanted = most
	i.Up()
	if pids := i.workers.pids(); len(pids) > 0 {
		t.Errorf("processes %v run before there is anything to do", pids)
	}
	send := newSender(t, i.Ingest+"/in")
	for n := range 3 * most {
		send(fmt.Sprint("event-", n), `{"do":"meet"}`)
	}
	select {
	case <-i.seen.met:
	case <-time.After(time.Minute):
		t.Fatalf("%d workers run at once, want %d", len(i.workers.pids()), most)
	}
	if n := len(i.workers.pids()); n != most {
		t.Errorf("%d processes, want %d", n, most)
	}
	close(i.seen.over)
	i.Idle(time.Minute)
	i.Conserved()
	harness.Eventually(t, 30*time.Second, "all workers have ended", func() bool { return len(i.workers.pids()) == 0 })
}

// A sluice that is killed takes its workers with it; what they have left beside
// themselves goes when it starts again. Their deliveries are not lost.
func TestNoOrphans(t *testing.T) {
	i := install(t, "    timeout: 1s\n    concurrency: 4", "concurrency: 4, retry: {attempts: 5, initial: 10ms, max: 100ms}")
	i.Up()
	send := newSender(t, i.Ingest+"/in")
	for n := range 4 {
		send(fmt.Sprint("event-", n), `{"do":"leave a child","attempts":1}`)
	}
	var before []int
	harness.Eventually(t, time.Minute, "four workers with a child each run", func() bool {
		before = i.workers.pids()
		return len(before) == 8
	})
	i.Kill()
	harness.Eventually(t, 10*time.Second, "the workers have ended", func() bool { return len(i.workers.pids()) <= 4 })
	i.Up()
	harness.Eventually(t, 30*time.Second, "their children have ended", func() bool {
		return !slices.ContainsFunc(i.workers.pids(), func(pid int) bool { return slices.Contains(before, pid) })
	})
	i.Idle(time.Minute)
	i.Conserved()
	if letters := i.Letters(); len(letters) > 0 {
		t.Errorf("letters: %+v", letters)
	}
}
