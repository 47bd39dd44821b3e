package core

import (
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/router/ledger"
)

// A RetryPolicy says how often and when a delivery is attempted again.
type RetryPolicy struct {
	Attempts int           // in all, at least 1
	Initial  time.Duration // the most that the first retry waits
	Max      time.Duration // the most that any retry waits
	MaxAge   time.Duration // no attempt starts later than this after the first one; 0: no limit
	// Forever has a delivery attempted again instead of dying: out of attempts,
	// refused, or too old.
	Forever bool
	// Steady makes each wait after a failure the longest one, and those after a
	// sink had no room short ones.
	Steady bool
}

// A Class says how an attempt ended.
type Class uint8

// The classes of results.
const (
	Succeeded Class = iota + 1
	Failed          // another attempt may succeed
	Refused         // no other attempt can succeed
	Busy            // the sink had no room: this was no attempt
	Gone            // nobody is there any more: the trigger is paused, and this was no attempt
	Dropped         // there was nothing to deliver
)

// A Result is how an attempt ended, with what is random about its future.
type Result struct {
	Class    Class
	After    time.Duration // the sink asked for this much time; 0: it did not
	Status   int
	Error    string
	Duration time.Duration
	Jitter   float64 // drawn evenly from [0, 1)
}

// A Verdict is what becomes of a delivery after an attempt.
type Verdict struct {
	Kind   ledger.Kind // Done, Discarded, Retry, Throttled or Dying
	Delay  time.Duration
	Reason string // of Discarded and Dying, and of Throttled when the sink is gone
}

// decide says what becomes of a delivery whose attempt of this number has
// ended, waited after its first one began.
func decide(r Result, attempt int, waited time.Duration, p RetryPolicy) Verdict {
	switch r.Class {
	case Succeeded:
		return Verdict{Kind: ledger.Done}
	case Dropped:
		return Verdict{Kind: ledger.Discarded, Reason: ledger.ReasonFiltered}
	case Gone:
		return Verdict{Kind: ledger.Throttled, Reason: ledger.PausedGone}
	case Refused, Failed, Busy:
	}
	again := Verdict{Kind: ledger.Retry, Delay: delay(r, attempt, p)}
	if r.Class == Busy {
		again.Kind = ledger.Throttled
	}
	if reason := ending(r, attempt, waited+again.Delay, p); reason != "" && !p.Forever {
		return Verdict{Kind: ledger.Dying, Reason: reason}
	}
	return again
}

// ending says why a delivery is not attempted again, at an age; empty when it
// is.
func ending(r Result, attempt int, age time.Duration, p RetryPolicy) string {
	switch {
	case r.Class == Refused:
		return ledger.ReasonPermanent
	case r.Class == Failed && attempt >= p.Attempts:
		return ledger.ReasonExhausted
	case p.MaxAge > 0 && age > p.MaxAge:
		return ledger.ReasonExpired
	}
	return ""
}

// steadyBusy is the most that a delivery waits for a sink without room when its
// waits after failures are steady.
const steadyBusy = 5 * time.Second

// delay is exponential backoff with full jitter, or what the sink asked for if
// that is longer.
func delay(r Result, attempt int, p RetryPolicy) time.Duration {
	switch {
	case p.Steady && r.Class == Busy:
		return max(r.After, time.Duration(r.Jitter*float64(steadyBusy)))
	case p.Steady:
		return max(r.After, ceiling(attempt, p))
	}
	return max(r.After, time.Duration(r.Jitter*float64(ceiling(attempt, p))))
}

// ceiling is the longest wait after the attempt of this number.
func ceiling(attempt int, p RetryPolicy) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(p.Initial),
		backoff.WithMultiplier(2),
		backoff.WithMaxInterval(p.Max),
		backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0),
		backoff.WithClockProvider(stopped{}),
	)
	longest := b.NextBackOff()
	for n := 1; n < attempt && longest < p.Max; n++ {
		longest = b.NextBackOff()
	}
	return min(longest, p.Max)
}

// stopped is a clock that keeps the library's arithmetic pure.
type stopped struct{}

func (stopped) Now() time.Time { return time.Time{} }
