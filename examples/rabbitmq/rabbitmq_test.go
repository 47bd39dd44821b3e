//go:build integration

package main

import (
	"net/http"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
	"sluice/integration/rabbitmq"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	broker := rabbitmq.Start(t)
	s := exampletest.Raise(t, "RABBITMQ_URL="+broker.Login())
	s.Eventually("the source has bound its queue", func() bool {
		return strings.Contains(broker.Control(t, "-q", "list_bindings", "source_name", "routing_key"), "order.*")
	})
	buy := func(order string) {
		s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/buy", strings.NewReader(order))
	}
	buy(`{"order": "a", "total": 20}`)
	s.Await("worker: order a is shipped")

	buy(`{"order": "b", "total": 150}`)
	s.Await("worker: order b is too heavy, attempt 3")
	letter := s.After("✗ dead: sluice dlq show ")
	s.Sluice("answered 503 Service Unavailable: \"the lorry is", "dlq", "list")
	s.Sluice("the lorry is broken", "dlq", "show", letter)
	s.Ask(http.StatusOK, http.MethodPost, s.Worker+"/mend", http.NoBody)
	s.Sluice("1 letter replayed", "dlq", "replay", "--all")
	s.Await("worker: order b is shipped")
	s.SluiceEventually("\nconserved: ", "audit")
	s.Sluice("2 tests, 2 passed, 0 failed", "test", "-c", "sluice.yaml")
}
