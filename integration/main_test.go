//go:build integration

// Package integration_test kills, stops and starts the real program under load,
// and counts what it does.
package integration_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/integration/harness"
)

var (
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "of everything that is drawn at random")
	binary  = flag.String("sluice", "", "the sluice to test; empty to build it")
	race    = flag.Bool("sluice-race", false, "build sluice with the race detector")
	kills   = flag.Int("kills", 50, "how often TestKill50 kills")
	rate    = flag.Int("rate", 500, "events a second under load")
	uploads = flag.Int("uploads", 1000, "objects that TestMinIO uploads")
	objects = flag.Int("objects", 100_000, "objects in the bucket of TestLargeBucket")
	letters = flag.Int("letters", 300, "letters that TestLettersAndReplay makes")
	backlog = flag.Int("backlog", 100_000, "events that pass a paused trigger")
)

var program *harness.Program

func TestMain(m *testing.M) {
	flag.Parse()
	program = harness.NewProgram(*race)
	if *binary != "" {
		program = harness.Built(*binary)
	}
	code := m.Run()
	if err := program.Remove(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// random returns a source of random numbers, and prints how to have it again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	t.Logf("-seed %d", *seed)
	return rand.New(rand.NewPCG(*seed, 1))
}

// oneTrigger is a configuration with one trigger from the HTTP source "in" to
// the worker's path /work.
func oneTrigger(worker *harness.Worker, more string) string {
	return "sources: {in: {http: {path: /in}}}\n" + trigger("work", worker.URL("/work"), more)
}

// trigger is a configuration of triggers on the source "in"; more are further
// keys of it, such as "concurrency: 3".
func trigger(name, url, more string) string {
	return fmt.Sprintf("triggers:\n  %s: {on: in, to: {http: {url: %q}}%s}\n", name, url, prepend(more))
}

func prepend(keys string) string {
	if keys == "" {
		return ""
	}
	return ", " + keys
}

// delivered waits until all accepted events have arrived at a path, and fails
// the test with those that have not.
func delivered(t *testing.T, worker *harness.Worker, path string, accepted []string, within time.Duration) {
	t.Helper()
	for deadline := time.Now().Add(within); ; time.Sleep(10 * time.Millisecond) {
		missing := worker.Missing(path, accepted)
		if len(missing) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d accepted events have not arrived at %s within %v: %s …",
				len(missing), len(accepted), path, within, strings.Join(missing[:min(10, len(missing))], ", "))
		}
	}
}

// poisoned returns the ids of the events that became letters because they were
// under way at several kills, as if they had caused them (I7). From the third
// kill on each may leave one, the only one that was under way of those that are
// suspected. No other letters may be there.
func poisoned(t *testing.T, s *harness.Sluice) []string {
	t.Helper()
	var all []string
	for _, letter := range s.Letters() {
		if letter.Reason != "poison" {
			t.Errorf("a letter: %+v", letter)
		}
		all = append(all, letter.EventID)
	}
	if most := max(0, len(s.Kills)-2); len(all) > most {
		t.Errorf("%d events were taken for poison after %d kills, at most %d may be", len(all), len(s.Kills), most)
	}
	return all
}

// without returns the events that are not among others.
func without(events, others []string) []string {
	return slices.DeleteFunc(slices.Clone(events), func(id string) bool { return slices.Contains(others, id) })
}

// explained fails the test when something was repeated without a kill.
func explained(t *testing.T, repeats *harness.Repeats) {
	t.Helper()
	for i, wrong := range repeats.Wrong {
		if i == 10 {
			t.Errorf("… and %d more", len(repeats.Wrong)-i)
			break
		}
		t.Error(wrong)
	}
}
