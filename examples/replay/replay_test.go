package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	orders := map[string]int{"a": 20, "b": 150, "c": 200}
	booked := func(order string) string {
		return fmt.Sprintf("worker: order %s is booked, %d\n", order, orders[order])
	}
	for order, total := range orders {
		body := fmt.Sprintf(`{"order": %q, "total": %d}`, order, total)
		s.Ask(http.StatusAccepted, http.MethodPost, s.Ingest+"/orders", strings.NewReader(body), "Content-Type", "application/json")
		s.Await(booked(order))
	}
	s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/lose", http.NoBody)

	s.Sluice("3 events would be replayed to book", "replay", "--trigger", "book", "--since", "1h", "--dry-run")
	s.Sluice("2 events replayed", "replay", "--trigger", "book", "--since", "1h", "--pattern", `{"data":{"total":[{"numeric":[">",100]}]}}`)
	s.Eventually("the large ones are booked again", func() bool { return s.Count(booked("b")) == 2 && s.Count(booked("c")) == 2 })
	s.Sluice("3 events replayed", "replay", "--trigger", "book", "--since", "1h")
	s.Eventually("all are booked again", func() bool { return s.Count(booked("a")) == 2 })
	s.Eventually("no order is booked twice", func() bool {
		return s.Count("worker: order b is in the books already") == 1 && s.Count("worker: order c is in the books already") == 1
	})

	said := s.Sluice("goes on in the service", "replay", "--trigger", "book", "--since", "1h", "--rate", "0.2", "--detach")
	id := strings.Fields(said)[2]
	s.Sluice(id+"  running", "replay", "jobs")
	s.Sluice("is cancelled: ", "replay", "cancel", id)
	s.Sluice(id+"  cancelled", "replay", "jobs")
	s.Sluice("3 events replayed", "replay", "resume", id)
	s.SluiceEventually("\nconserved: ", "audit")
}
