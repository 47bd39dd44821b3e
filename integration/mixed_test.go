//go:build integration

package integration_test

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/integration/harness"
)

// mixedTriggers are five that behave differently; flaky has attempts enough
// never to give up.
const mixedTriggers = `sources: {in: {http: {path: /in}}}
triggers:
  ok: {on: in, to: {http: {url: "URL/ok"}}}
  flaky: {on: in, to: {http: {url: "URL/flaky"}}, retry: {attempts: 30, initial: 10ms, max: 100ms}}
  slow: {on: in, to: {http: {url: "URL/slow"}}, concurrency: 3}
  refused: {on: in, to: {http: {url: "URL/refused"}}}
  picky: {on: in, when: {id: [{suffix: "7"}]}, to: {http: {url: "URL/picky"}}}
`

// TestKillMixed kills the process under load with triggers that fail, refuse,
// are slow, and are paused and resumed meanwhile: each accepted event that a
// trigger matches is delivered or a letter, and after a replay all are
// delivered.
func TestKillMixed(t *testing.T) {
	rng := random(t)
	var calm atomic.Bool
	worker := harness.NewWorker(t, func(r *http.Request, receipt harness.Receipt) int { return moody(r, receipt, calm.Load()) })
	s := harness.New(t, program, strings.ReplaceAll(mixedTriggers, "URL", worker.URL("")))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "m", *rate/2)
	for range *kills / 2 {
		if rng.IntN(2) == 0 {
			s.Ready()
			steer(t, s, rng)
		}
		wait(t, s, rng)
		s.Kill()
		s.Start()
	}
	s.Ready()
	load.Stop()
	s.Post("triggers/ok/resume", "", nil)
	before := s.Triggers()
	calm.Store(true)
	s.Idle(time.Minute)
	accepted := load.Accepted()
	poisoned := checkMixed(t, s, worker, accepted)
	repeats := harness.FindRepeats(worker.Receipts(), s.Kills)
	explained(t, &repeats)
	t.Logf("accepted %d, of unknown fate %d, %d letters, %d of them poisoned; slow was %s with %d to go; repeated %d after %d kills: %v, "+
		"written down %v before the kill at most", len(accepted), len(load.Unknown()), len(s.Letters()), poisoned, before["slow"].State,
		before["slow"].Lag, repeats.Total, len(s.Kills), repeats.PerKill, repeats.Oldest().Round(time.Microsecond))
	s.Conserved()
	finishMixed(t, s, worker, accepted)
}

// moody is how the worker behaves, by path: always in the same way for the same
// attempt. When all is calm it only refuses.
func moody(r *http.Request, receipt harness.Receipt, calm bool) int {
	hash := fnv.New32a()
	_, _ = fmt.Fprintf(hash, "%s %d", receipt.Event, receipt.Attempt) // a hash never fails
	switch draw := hash.Sum32() % 10; {
	case receipt.Path == "/refused" && refuses(receipt.Event):
		return http.StatusBadRequest
	case receipt.Path == "/flaky" && draw < 4 && !calm:
		return http.StatusServiceUnavailable
	case receipt.Path == "/slow" && !calm:
		<-time.After(20 * time.Millisecond)
	}
	return brief(r, receipt)
}

func refuses(event string) bool { return strings.HasSuffix(event, "3") }

// steer pauses or resumes a trigger.
func steer(t *testing.T, s *harness.Sluice, rng *rand.Rand) {
	t.Helper()
	verb := [2]string{"pause", "resume"}[rng.IntN(2)]
	s.Post("triggers/ok/"+verb, "", nil)
	if state := s.Triggers()["ok"].State; (state == "paused") != (verb == "pause") {
		t.Errorf("after %s the trigger is %s", verb, state)
	}
}

// checkMixed looks that every accepted event is delivered or a letter, for each
// trigger that matches it, and returns how many were poisoned.
func checkMixed(t *testing.T, s *harness.Sluice, worker *harness.Worker, accepted []string) (poisoned int) {
	t.Helper()
	dead := map[string]int{}
	letters := s.Letters()
	for i := range letters {
		letter := &letters[i]
		dead[letter.Trigger+" "+letter.EventID]++
		wanted := letter.Trigger == "refused" && refuses(letter.EventID) && letter.Reason == "permanent"
		switch {
		case letter.Reason == "poison":
			poisoned++
		case !wanted:
			t.Errorf("a letter: %+v", *letter)
		}
	}
	for delivery, n := range dead {
		if n > 1 {
			t.Errorf("%d letters of %s", n, delivery)
		}
	}
	for _, trigger := range []string{"ok", "flaky", "slow", "refused", "picky"} {
		for _, id := range worker.Missing("/"+trigger, matched(trigger, accepted)) {
			if dead[trigger+" "+id] == 0 {
				t.Errorf("event %s is neither delivered to %s nor a letter", id, trigger)
			}
		}
	}
	all := s.Triggers()
	if all["ok"].Matched != all["slow"].Matched || all["ok"].Matched != all["flaky"].Matched || all["ok"].Matched != all["refused"].Matched {
		t.Errorf("the triggers on everything have matched differently: %+v", all)
	}
	return poisoned
}

func matched(trigger string, events []string) []string {
	if trigger != "picky" {
		return events
	}
	var all []string
	for _, id := range events {
		if strings.HasSuffix(id, "7") {
			all = append(all, id)
		}
	}
	return all
}

// finishMixed mends the worker and replays the letters.
func finishMixed(t *testing.T, s *harness.Sluice, worker *harness.Worker, accepted []string) {
	t.Helper()
	worker.Set(harness.OK)
	finish(t, s, replay(t, s))
	for _, trigger := range []string{"ok", "flaky", "slow", "refused", "picky"} {
		delivered(t, worker, "/"+trigger, matched(trigger, accepted), 10*time.Second)
	}
	if left := s.Letters(); len(left) > 0 {
		t.Errorf("%d letters are left: %+v …", len(left), left[0])
	}
	s.Conserved()
}
