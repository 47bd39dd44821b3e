package core

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/router/ledger"
)

func TestDecide(t *testing.T) {
	policy := RetryPolicy{Attempts: 3, Initial: time.Second, Max: 4 * time.Second, MaxAge: time.Minute}
	tests := map[string]struct {
		result  Result
		attempt int
		waited  time.Duration
		want    Verdict
	}{
		"success":                         {Result{Class: Succeeded}, 1, 0, Verdict{Kind: ledger.Done}},
		"first failure":                   {Result{Class: Failed, Jitter: 0.5}, 1, 0, Verdict{Kind: ledger.Retry, Delay: 500 * time.Millisecond}},
		"second failure waits longer":     {Result{Class: Failed, Jitter: 0.5}, 2, 0, Verdict{Kind: ledger.Retry, Delay: time.Second}},
		"no jitter is no delay":           {Result{Class: Failed}, 1, 0, Verdict{Kind: ledger.Retry}},
		"last failure":                    {Result{Class: Failed}, 3, 0, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonExhausted}},
		"refused":                         {Result{Class: Refused}, 1, 0, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonPermanent}},
		"the sink's wish is longer":       {Result{Class: Failed, After: 9 * time.Second, Jitter: 0.5}, 1, 0, Verdict{Kind: ledger.Retry, Delay: 9 * time.Second}},
		"the sink's wish is shorter":      {Result{Class: Failed, After: time.Millisecond, Jitter: 0.5}, 1, 0, Verdict{Kind: ledger.Retry, Delay: 500 * time.Millisecond}},
		"busy is no attempt":              {Result{Class: Busy, After: 2 * time.Second}, 3, 0, Verdict{Kind: ledger.Throttled, Delay: 2 * time.Second}},
		"gone is no attempt":              {Result{Class: Gone, Jitter: 0.5}, 3, time.Hour, Verdict{Kind: ledger.Throttled, Reason: ledger.PausedGone}},
		"nothing to deliver":              {Result{Class: Dropped}, 1, time.Hour, Verdict{Kind: ledger.Discarded, Reason: ledger.ReasonFiltered}},
		"too old":                         {Result{Class: Failed, Jitter: 0.5}, 1, time.Minute, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonExpired}},
		"too old when it would be due":    {Result{Class: Failed, After: 31 * time.Second}, 1, 30 * time.Second, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonExpired}},
		"busy and too old":                {Result{Class: Busy, After: time.Second}, 1, time.Minute, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonExpired}},
		"out of attempts before too old":  {Result{Class: Failed}, 3, time.Hour, Verdict{Kind: ledger.Dying, Reason: ledger.ReasonExhausted}},
		"success is success however late": {Result{Class: Succeeded}, 9, time.Hour, Verdict{Kind: ledger.Done}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := decide(tt.result, tt.attempt, tt.waited, policy); got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// TestSteadyWaits: asynchronous invocations wait a minute and then two after
// failures, and no longer than usual for a sink that has no room.
func TestSteadyWaits(t *testing.T) {
	p := RetryPolicy{Attempts: 9, Initial: time.Minute, Max: 5 * time.Minute, Steady: true}
	for attempt, want := range map[int]time.Duration{1: time.Minute, 2: 2 * time.Minute, 3: 4 * time.Minute, 4: 5 * time.Minute, 8: 5 * time.Minute} {
		if d := delay(Result{Class: Failed, Jitter: 0.1}, attempt, p); d != want {
			t.Errorf("after attempt %d: %v, want %v", attempt, d, want)
		}
	}
	for after, want := range map[time.Duration]time.Duration{0: 500 * time.Millisecond, time.Hour: time.Hour} {
		if d := delay(Result{Class: Busy, After: after, Jitter: 0.1}, 1, p); d != want {
			t.Errorf("without room: %v, want %v", d, want)
		}
	}
}

// TestDelayStaysInBounds: whatever is drawn, a retry waits at most the ceiling
// of its attempt, which doubles up to the maximum.
func TestDelayStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		initial := time.Duration(rapid.Int64Range(1, int64(time.Minute)).Draw(t, "initial"))
		p := RetryPolicy{Attempts: 1000, Initial: initial, Max: initial * time.Duration(rapid.IntRange(1, 1000).Draw(t, "max"))}
		attempt := rapid.IntRange(1, 200).Draw(t, "attempt")
		top := ceiling(attempt, p)
		if top < min(p.Initial, p.Max) || top > p.Max || top < ceiling(attempt-1, p) {
			t.Fatalf("ceiling of attempt %d is %v with %+v", attempt, top, p)
		}
		jitter := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		if d := delay(Result{Class: Failed, Jitter: jitter}, attempt, p); d < 0 || d > top {
			t.Fatalf("delay %v over %v", d, top)
		}
	})
}
