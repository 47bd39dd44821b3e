//go:build integration

package integration_test

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/integration/harness"
)

// relayed is a configuration whose trigger work has a Go function, built from its
// source, pass everything on to a path of the worker.
func relayed(t *testing.T, worker *harness.Worker, function, more string) string {
	t.Helper()
	source, err := filepath.Abs("functions/relay")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`sources: {in: {http: {path: /in}}}
functions:
  relay: {handler: %q, shape: cloudevent, environment: {WORKER: %q}%s}
triggers:
  work: {on: in, to: relay, retry: {attempts: 2, initial: 10ms, max: 10ms}}
%s`, source, worker.URL("/work"), prepend(function), more)
}

// refuseOdd fails the events whose number is odd.
func refuseOdd(r *http.Request, receipt harness.Receipt) int {
	if receipt.Path == "/work" && strings.ContainsAny(receipt.Event[len(receipt.Event)-1:], "13579") {
		return http.StatusInternalServerError
	}
	return brief(r, receipt)
}

// TestFunctionResultsUnderKills kills the process under load: each delivery to
// the function is told of once, as a success or as a failure, before it ends
// (I3), and none is lost (I2).
func TestFunctionResultsUnderKills(t *testing.T) {
	worker := harness.NewWorker(t, refuseOdd)
	s := harness.New(t, program, relayed(t, worker, fmt.Sprintf(
		"concurrency: 4, on_success: {http: {url: %q}}, on_failure: {http: {url: %q}}", worker.URL("/good"), worker.URL("/bad")), ""))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "f", 100)
	for range 3 {
		at := worker.Len()
		harness.Eventually(t, time.Minute, "the function is called", func() bool { return worker.Len() > at+100 })
		s.Kill()
		s.Up()
	}
	load.Stop()
	s.Idle(time.Minute)
	var even, poison []string
	odd := 0
	for _, id := range load.Accepted() {
		if strings.ContainsAny(id[len(id)-1:], "13579") {
			odd++
		} else {
			even = append(even, id)
		}
	}
	dead := 0
	for _, letter := range s.Letters() {
		switch {
		case letter.Trigger != "work":
			t.Errorf("a letter: %+v", letter)
		case letter.Reason == "poison":
			poison = append(poison, letter.EventID)
		}
		dead++
	}
	delivered(t, worker, "/work", without(even, poison), 10*time.Second)
	s.Conserved()
	triggers := s.Triggers()
	good, bad, work := worker.Done("/good"), worker.Done("/bad"), triggers["work"]
	t.Logf("accepted %d, delivered %d, dead %d of them %d poison, in %d attempts; told of %d and %d", len(load.Accepted()), work.Delivered, work.Dead, len(poison), worker.Len(), good, bad)
	if good < int(work.Delivered) || good > int(work.Delivered)+len(poison) || bad != dead || dead < odd {
		t.Errorf("told of %d successes and %d failures, want %d and %d", good, bad, work.Delivered, dead)
	}
	for name, told := range map[string]int{"relay-on-success": good, "relay-on-failure": bad} {
		if int(triggers[name].Matched) != told || triggers[name].Dead != 0 {
			t.Errorf("%s has %+v for %d records: some were stored twice", name, triggers[name], told)
		}
	}
}

// TestFunctionRepliesAreEvents: what a function returns goes on.
func TestFunctionRepliesAreEvents(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	s := harness.New(t, program, relayed(t, worker, "reply: publish", fmt.Sprintf("  then: {on: relay, to: {http: {url: %q}}}\n", worker.URL("/then"))))
	s.Up()
	publish(t, s, "a", "b", "c")
	harness.Eventually(t, 30*time.Second, "all answers are delivered", func() bool { return worker.Done("/then") == 3 })
	s.Idle(10 * time.Second)
	for _, r := range worker.Receipts() {
		if r.Path == "/then" && (r.Type != "sluice.reply" || r.Size != int64(len(`{"relayed":"a"}`))) {
			t.Errorf("%+v", r)
		}
	}
	s.Conserved()
}

// TestFunctionReloadAndDrain: what runs is finished, by the workers that it runs
// on, when the function is changed and when the process stops.
func TestFunctionReloadAndDrain(t *testing.T) {
	release := make(chan struct{})
	worker := harness.NewWorker(t, func(_ *http.Request, receipt harness.Receipt) int {
		if strings.HasPrefix(receipt.Event, "slow") {
			<-release
		}
		return http.StatusNoContent
	})
	s := harness.New(t, program, relayed(t, worker, "memory: 128MiB", ""))
	s.Up()
	publish(t, s, "slow-1")
	harness.Eventually(t, 30*time.Second, "the function runs", func() bool { return worker.InFlight() == 1 })
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.File, []byte(strings.Replace(string(text), "128MiB", "192MiB", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Signal(syscall.SIGHUP)
	harness.Eventually(t, 10*time.Second, "the change is taken over", func() bool { return s.Logged("configuration taken over") > 0 })
	publish(t, s, "quick")
	delivered(t, worker, "/work", []string{"quick"}, 30*time.Second)
	publish(t, s, "slow-2")
	harness.Eventually(t, 30*time.Second, "both run", func() bool { return worker.InFlight() == 2 })
	s.Signal(syscall.SIGTERM)
	harness.Eventually(t, 10*time.Second, "sluice takes no more events", func() bool { return !accepts(t, s, "late") })
	close(release)
	if state := s.Wait(30 * time.Second); !state.Success() {
		t.Errorf("sluice ended with %v", state)
	}
	delivered(t, worker, "/work", []string{"slow-1", "slow-2"}, time.Second)
	s.Up()
	s.Idle(10 * time.Second)
	s.Conserved()
	repeats := harness.FindRepeats(worker.Receipts(), nil) // "late" may have been accepted just before the end
	explained(t, &repeats)
	for _, r := range worker.Receipts() {
		if r.Attempt != 1 {
			t.Errorf("the function was called again: %+v", r)
		}
	}
}

// TestFunctionThatCannotStart: crash loops burn no attempts, and are shown; as
// soon as the function starts, everything is delivered.
func TestFunctionThatCannotStart(t *testing.T) {
	worker := harness.NewWorker(t, harness.OK)
	folder := t.TempDir()
	handler := filepath.Join(folder, "relay")
	if err := os.WriteFile(handler, []byte("#!/bin/sh\necho no database >&2\nexit 3\n"), 0o755); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	s := harness.New(t, program, strings.Replace(relayed(t, worker, "idle: 1m", ""), "attempts: 2", "attempts: 1", 1))
	text, err := os.ReadFile(s.File)
	if err != nil {
		t.Fatal(err)
	}
	source, _ := filepath.Abs("functions/relay")
	if err := os.WriteFile(s.File, []byte(strings.Replace(string(text), source, handler, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Up()
	publish(t, s, "a", "b", "c")
	harness.Eventually(t, 30*time.Second, "it is shown", func() bool {
		answer, err := http.Get(s.Admin + "/readyz?verbose") //nolint:noctx // of a test
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		text := make([]byte, 4<<10)
		n, _ := answer.Body.Read(text)
		return answer.StatusCode == http.StatusOK && strings.Contains(string(text[:n]), "function relay") && strings.Contains(string(text[:n]), "degraded")
	})
	harness.Eventually(t, 30*time.Second, "all wait", func() bool { return s.Triggers()["work"].Waiting == 3 })
	built := filepath.Join(folder, "built")
	if said, err := exec.CommandContext(t.Context(), "go", "build", "-o", built, source).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	if err := os.Rename(built, handler); err != nil {
		t.Fatal(err)
	}
	delivered(t, worker, "/work", []string{"a", "b", "c"}, time.Minute)
	s.Idle(10 * time.Second)
	if len(s.Letters()) != 0 {
		t.Errorf("letters: %+v", s.Letters())
	}
	for _, r := range worker.Receipts() {
		if r.Attempt != 1 {
			t.Errorf("a failed start was counted: %+v", r)
		}
	}
	s.Conserved()
}
