package main

import (
	"net/url"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	s.Await("sensors/kitchen/temperature → no trigger wants it")
	worker, err := url.Parse(s.Worker)
	if err != nil {
		t.Fatal(err)
	}
	for _, reading := range [][]string{{"attic", "99.5"}, {"attic", "80"}} {
		if err := one(worker.Host, reading); err != nil {
			t.Fatal(err)
		}
	}
	s.Await("sensors/attic/temperature → too-hot  ✓ delivered")
	s.Await("attic has 99.5 °C")
	s.Await("sensors/attic/temperature → no trigger wants it")
	s.SluiceEventually("attic has 99.5 °C", "logs", "alarm")
	s.SluiceEventually("\nconserved: ", "audit")
	s.Sluice("3 tests, 3 passed, 0 failed", "test", "-c", "sluice.yaml")
}
