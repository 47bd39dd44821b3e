package main

import (
	"net/http"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	send := func(job string) {
		s.Ask(http.StatusAccepted, http.MethodPost, s.Ingest+"/jobs", strings.NewReader(`{"job":"`+job+`"}`), "Content-Type", "application/json")
	}
	send("quick")
	s.Await(`: the job "quick" is done`)
	s.Await("→ do  ✓ delivered")
	s.Await("→ keep  ✓ delivered")
	send("slow")
	s.Await(`: the job "slow" is done`)
	s.Await("→ do  ✓ delivered  5") // seconds
	send("later")
	s.Await(`attempt 1 failed`)
	s.Await(`: the job "later" is done`)
	send("nonsense")
	s.Await("→ do  ✗ dead: sluice dlq show ")
	s.Sluice(`the worker has refused it: "there is no such j`, "dlq", "list")
	s.SluiceEventually("\nconserved: 4 events checked", "audit")
	if n := s.Count(`the job "slow", attempt`); n != 1 {
		t.Errorf("the slow job was begun %d times", n)
	}
}
