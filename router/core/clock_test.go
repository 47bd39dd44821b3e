package core_test

import (
	"slices"
	"testing"
	"time"

	"sluice/router/core"
	"sluice/router/ledger"
)

// hourly tries again for an hour, a minute apart at most.
var hourly = core.RetryPolicy{Attempts: 1000, Initial: time.Minute, Max: time.Minute, MaxAge: time.Hour}

// reopen goes on as another process would whose clock shows now.
func (r *hand) reopen(now time.Time, options core.Options) *hand {
	r.t.Helper()
	state := r.fold.State()
	state.Claim, state.Number, state.Sealed = state.Claim+1, 0, false
	if last := time.Unix(0, state.Time); now.Before(last) {
		now = last // as the router's clock does
	}
	state.Resume(now.UnixNano())
	next := newHand(r.t, state, 1, options)
	next.now = now
	return next
}

// again waits for the next attempt and lets it fail.
func (r *hand) again() {
	r.t.Helper()
	r.pass(2 * time.Minute)
	for _, f := range r.fetches {
		entries := make([]core.Entry, 0, len(f.Sequences))
		for _, sequence := range f.Sequences {
			entries = append(entries, entry(sequence, 100, 1))
		}
		r.step(core.Fetched{Entries: entries})
	}
	r.fetches = nil
	if len(r.starts) != 1 {
		r.t.Fatalf("%d attempts start", len(r.starts))
	}
	r.finishAll(core.Failed)
}

// The clock jumps forward and back while nothing runs, again and again: nothing
// is dead-lettered for it, and what has been tried for its time still is.
func TestClockJumpsWhileNothingRuns(t *testing.T) {
	r := newHand(t, fresh(), 0, core.Options{})
	start := r.now
	r.step(core.Configure{Version: 1, Triggers: triggers(1, hourly)})
	r.pass(time.Second)
	r.match(entry(1, 100, 1))
	r.finishAll(core.Failed)
	r.pass(time.Second)
	for i, jump := range []time.Duration{72 * time.Hour, -400 * time.Hour, 24 * 365 * 50 * time.Hour, 0, -24 * 365 * 80 * time.Hour} {
		r = r.reopen(r.now.Add(jump), core.Options{})
		r.step(core.Configure{Version: 1, Triggers: triggers(1, hourly)})
		r.again()
		r.pass(time.Second)
		if len(r.letters) > 0 {
			t.Fatalf("jump %d: a letter after %v of running", i, r.now.Sub(start))
		}
	}
	r.pass(time.Hour)
	r.again()
	r.pass(time.Second)
	if len(r.letters) != 1 || r.fold.State().Waiting[ledger.Key{Trigger: 1, Sequence: 1}].Reason != ledger.ReasonExpired {
		t.Errorf("%d letters after more than an hour of running", len(r.letters))
	}
}

// What waits for a trigger that has left the configuration is not discarded
// because the clock has jumped while nothing ran.
func TestClockJumpsWhileATriggerIsRemoved(t *testing.T) {
	options := core.Options{RemovedAfter: time.Hour}
	key := ledger.Key{Trigger: 1, Sequence: 1}
	r := newHand(t, fresh(), 0, options)
	r.step(core.Configure{Version: 1, Triggers: triggers(1, hourly)})
	r.pass(time.Second)
	r.match(entry(1, 100, 1))
	r.finishAll(core.Failed)
	r.step(core.Configure{Version: 2})
	r.pass(time.Second)
	for range 3 {
		r = r.reopen(r.now.Add(72*time.Hour), options)
		r.step(core.Configure{Version: 1})
		r.pass(10 * time.Minute)
		if r.fold.State().Waiting[key] == nil {
			t.Fatal("discarded before its time")
		}
	}
	r.pass(time.Hour)
	if state := r.fold.State(); state.Waiting[key] != nil || len(state.Triggers) != 0 {
		t.Errorf("it is still there: %+v", state.Waiting[key])
	}
}

// Gaps are forgotten when nothing is older, and their number is bounded.
func TestGapsAreBounded(t *testing.T) {
	state := ledger.NewState("rig")
	state.Claim = 1
	state.Time = int64(time.Hour)
	state.Resume(int64(2 * time.Hour))
	if len(state.Gaps) != 0 {
		t.Errorf("gaps that concern nobody: %v", state.Gaps)
	}
	state.Waiting[ledger.Key{Trigger: 1, Sequence: 1}] = &ledger.Waiting{History: []ledger.Attempt{{Time: 1}}}
	for n := range 1000 {
		state.Time = int64(time.Duration(n+1) * time.Minute)
		state.Resume(state.Time + int64(10*time.Second))
	}
	if len(state.Gaps) > 64 || state.Idle(1) != int64(1000*10*time.Second) || state.Idle(state.Time) != int64(10*time.Second) {
		t.Errorf("%d gaps of %v", len(state.Gaps), time.Duration(state.Idle(1)))
	}
	if !slices.IsSortedFunc(state.Gaps, func(a, b ledger.Gap) int { return int(a.At - b.At) }) {
		t.Errorf("not in order: %v", state.Gaps)
	}
}
