//go:build integration

package integration_test

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/integration/harness"
)

// TestDrain stops the process under load as a service manager does, three
// times: it ends well within its deadline, and nothing is lost (I1) or
// repeated (I6).
func TestDrain(t *testing.T) {
	worker := harness.NewWorker(t, brief)
	s := harness.New(t, program, oneTrigger(worker, ""))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "d", *rate)
	for range 3 {
		at := load.Len()
		harness.Eventually(t, 20*time.Second, "half a second of load", func() bool { return load.Len() > at+*rate/2 })
		began := time.Now()
		s.Signal(syscall.SIGTERM)
		state := s.Wait(27 * time.Second)
		t.Logf("ended after %v: %v", time.Since(began).Round(time.Millisecond), state)
		if !state.Success() {
			t.Errorf("sluice ended with %v\n%s", state, s.Log())
		}
		if n := worker.InFlight(); n != 0 {
			t.Errorf("%d requests were under way when the process had ended", n)
		}
		s.Up()
	}
	load.Stop()
	s.Idle(20 * time.Second)
	delivered(t, worker, "/work", load.Accepted(), 10*time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), nil)
	explained(t, &repeats)
	t.Logf("accepted %d, of unknown fate %d, delivered %d in %d attempts", len(load.Accepted()), len(load.Unknown()), worker.Done("/work"), worker.Len())
	if audit := s.Conserved(); audit.Triggers[0].Delivered != uint64(worker.Done("/work")) {
		t.Errorf("the audit counts %d delivered, the worker %d", audit.Triggers[0].Delivered, worker.Done("/work"))
	}
}

// TestStopWhileStarting stops the process at random moments of its start, under
// load: each stop is clean, and nothing is lost or repeated.
func TestStopWhileStarting(t *testing.T) {
	rng := random(t)
	worker := harness.NewWorker(t, brief)
	s := harness.New(t, program, oneTrigger(worker, ""))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "s", *rate)
	var early []time.Time
	ends := map[string]int{}
	for range *kills / 2 {
		at := time.Now()
		s.Signal(syscall.SIGTERM)
		state := s.Wait(10 * time.Second)
		ends[state.String()]++
		if !state.Success() && state.String() != "signal: terminated" {
			t.Errorf("sluice ended with %v\n%s", state, s.Log())
		}
		if !state.Success() { // before it listened to signals
			early = append(early, at)
		}
		s.Start()
		<-time.After(time.Duration(rng.IntN(150)) * time.Millisecond) // a random moment
	}
	s.Ready()
	load.Stop()
	s.Idle(20 * time.Second)
	delivered(t, worker, "/work", load.Accepted(), 10*time.Second)
	repeats := harness.FindRepeats(worker.Receipts(), early)
	explained(t, &repeats)
	t.Logf("accepted %d, delivered %d in %d attempts; the process ended with %v", len(load.Accepted()), worker.Done("/work"), worker.Len(), ends)
	s.Conserved()
}

// TestSecondSignal shows that a second signal ends a process at once that waits
// for a worker.
func TestSecondSignal(t *testing.T) {
	worker := harness.NewWorker(t, hang)
	s := harness.New(t, program, oneTrigger(worker, ""))
	s.Up()
	publish(t, s, "only")
	harness.Eventually(t, 10*time.Second, "the worker hangs", func() bool { return worker.InFlight() == 1 })
	s.Signal(syscall.SIGTERM)
	harness.Eventually(t, 10*time.Second, "sluice takes no more events", func() bool { return !accepts(t, s, "late") })
	select {
	case <-s.Exited():
		t.Fatal("sluice has not waited for the worker")
	default:
	}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	state := s.Wait(5 * time.Second)
	t.Logf("ended %v after the second signal: %v", time.Since(began).Round(time.Millisecond), state)
	if state.Success() {
		t.Errorf("a forced end is no success: %v", state)
	}
	worker.Set(harness.OK)
	s.Up()
	delivered(t, worker, "/work", []string{"only"}, 10*time.Second)
	s.Idle(10 * time.Second)
	s.Conserved()
}

// TestSecondProcess starts a second process on the folder of the first: it says
// who has the folder, and the first goes on.
func TestSecondProcess(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, oneTrigger(worker, ""))
	s.Up()
	said := s.Command("up", "--config", s.File)
	t.Logf("exit code %d: %s", said.Code, said.Err)
	if said.Code == 0 || !strings.Contains(said.Err, s.Dir) || !strings.Contains(said.Err, strconv.Itoa(s.PID())) {
		t.Errorf("the second process says, with exit code %d:\n%s\nwant the folder %s and the process %d", said.Code, said.Err, s.Dir, s.PID())
	}
	publish(t, s, "after")
	delivered(t, worker, "/work", []string{"after"}, 10*time.Second)
	s.Idle(10 * time.Second)
	s.Conserved()
}

// hang answers nothing before the sender gives up.
func hang(r *http.Request, _ harness.Receipt) int {
	<-r.Context().Done()
	return http.StatusServiceUnavailable
}

// publish publishes events one by one, each with its id.
func publish(t *testing.T, s *harness.Sluice, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if !accepts(t, s, id) {
			t.Fatalf("event %q is not accepted", id)
		}
	}
}

func accepts(t *testing.T, s *harness.Sluice, id string) bool {
	t.Helper()
	request, err := harness.NewEvent(t.Context(), s.Ingest+"/in", id, `{"n":1}`)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusAccepted
}
