package main

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sluice/examples/internal/exampletest"
)

const (
	hookSecret    = "whsec_dGhlLWV4YW1wbGUtc2VuZHMtd2l0aC10aGlzLTE="
	oldHookSecret = "whsec_dGhlLWV4YW1wbGUtc2VudC13aXRoLXRoaXMtMC0="
)

// TestTheStory does what the README tells to do, and what an attacker would.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	const body = `{"amount":7}`
	hook := s.Ingest + "/hooks/payments"
	post := func(status int, secret, id string, at time.Time, body, sent string) {
		t.Helper()
		webhook, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := webhook.Sign(id, at, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		s.Ask(status, http.MethodPost, hook, strings.NewReader(sent), "Content-Type", "application/json",
			"webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", signature)
	}
	now := time.Now()
	s.Ask(http.StatusUnauthorized, http.MethodPost, hook, strings.NewReader(body), "Content-Type", "application/json")
	post(http.StatusUnauthorized, workerSecret, "x", now, body, body)
	post(http.StatusUnauthorized, hookSecret, "x", now, body, `{"amount":8}`)
	post(http.StatusUnauthorized, hookSecret, "x", now.Add(-time.Hour), body, body)

	s.Sluice("✓ book  delivered", "send", "payments", "-c", "sluice.yaml", "--id", "msg_1", "--data", body, "--wait")
	s.Await("worker: a payment of 7, and the signature is right")
	s.Sluice("", "send", "payments", "-c", "sluice.yaml", "--id", "msg_1", "--data", body)
	post(http.StatusAccepted, oldHookSecret, "msg_2", now, `{"amount":8}`, `{"amount":8}`)
	s.Await("worker: a payment of 8, and the signature is right")
	if n := s.Count("worker: a payment of 7"); n != 1 {
		t.Errorf("the payment was booked %d times", n)
	}
	s.Ask(http.StatusUnauthorized, http.MethodPost, s.Worker+"/book", strings.NewReader(body))
	s.Await("worker: refused what is not signed")
	s.SluiceEventually("\nconserved: 2 events checked", "audit")
	s.Sluice("2 tests, 2 passed, 0 failed", "test", "-c", "sluice.yaml")
}
