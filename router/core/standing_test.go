package core_test

import (
	"slices"
	"testing"
	"time"

	"sluice/router/core"
)

// TestWhatFailedAMomentAgoCounts: a delivery whose retry or letter is not written
// down yet is not over.
func TestWhatFailedAMomentAgoCounts(t *testing.T) {
	for _, class := range []core.Class{core.Failed, core.Refused} {
		r := newHand(t, fresh(), 0, core.Options{})
		r.step(core.Configure{Version: 1, Triggers: triggers(1, policy)})
		r.pass(time.Second)
		r.match(entry(1, 100, 1), entry(2, 100, 1))
		r.finishAll(class)
		if s := r.core.Standings()[0]; s.Running+s.Waiting+s.Buffered != 2 {
			t.Errorf("after an attempt of the class %v the trigger stands at %+v", class, s)
		}
	}
}

// TestSuspectsThatWaitAreTold: they are attempted one at a time, which looks like
// standing still when an attempt takes long.
func TestSuspectsThatWaitAreTold(t *testing.T) {
	configured := core.Configure{Version: 1, Triggers: triggers(1, policy)}
	configured.Triggers[0].Concurrency = 5
	entries := []core.Entry{entry(1, 100, 1), entry(2, 100, 1), entry(3, 100, 1)}
	options := core.Options{ListAfter: time.Hour} // they are matched anew after a crash
	r := newHand(t, fresh(), 0, options)
	for crashes := range 3 {
		r.step(configured)
		r.pass(time.Second)
		r.match(entries...)
		r.pass(time.Second)
		holds, want := r.core.Standings()[0].Holds, []core.Hold(nil)
		if crashes == 2 {
			want = []core.Hold{{Reason: core.HeldByCrashes, Deliveries: 2}}
		}
		if !slices.Equal(holds, want) {
			t.Errorf("after %d crashes: %+v, want %+v", crashes, holds, want)
		}
		state := r.fold.State()
		state.Claim, state.Number = state.Claim+1, 0
		again := newHand(t, state, 3, options)
		again.now = r.now
		r = again
	}
}
