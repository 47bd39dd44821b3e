package main

import (
	"testing"

	"sluice/examples/internal/exampletest"
)

const tick = "worker: heartbeat for the tick of "

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	s.Await(tick)
	s.Sluice("2027-03-28T03:00:00+02:00", "cron", "next", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2027-03-27T02:00:00Z", "-n", "1")
	s.Sluice("run-job is paused", "triggers", "pause", "run-job")
	s.SluiceEventually("run-job  paused", "triggers", "list")
	seen := s.Count(tick)
	s.Sluice("run-job is resumed", "triggers", "resume", "run-job")
	s.Eventually("two more ticks come", func() bool { return s.Count(tick) >= seen+2 })
	s.SluiceEventually("\nconserved: ", "audit")
}
