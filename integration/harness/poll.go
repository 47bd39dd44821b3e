//go:build integration

package harness

import (
	"testing"
	"time"
)

// pollEvery is the time between two looks at a condition.
const pollEvery = 5 * time.Millisecond

// Eventually fails the test when a condition does not hold within the time.
func Eventually(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(within); !holds(); time.Sleep(pollEvery) {
		if time.Now().After(deadline) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}
