package core

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAdaptiveFinds: against a sink that takes so many at once and slows down,
// or refuses, beyond them, the limit comes near to what it takes.
func TestAdaptiveFinds(t *testing.T) {
	for name, refusal := range map[string]Result{
		"says that it has no room": {Class: Busy}, "answers that it is unavailable": {Class: Failed, Status: statusUnavailable}, "becomes slow": {},
	} {
		slows := refusal.Class == 0
		t.Run(name, func(t *testing.T) {
			const takes, most = 40, 500
			var a adaptive
			for now := int64(0); now < int64(time.Minute); now += int64(10 * time.Millisecond) {
				n := a.allows(most)
				for i := range n {
					r := Result{Class: Succeeded, Duration: 10 * time.Millisecond}
					switch {
					case slows && n > takes:
						r.Duration = 10 * time.Millisecond * time.Duration(n) / takes
					case !slows && i >= takes:
						r.Class, r.Status = refusal.Class, refusal.Status
					}
					a.ends(r, n-i, most, now)
				}
			}
			if n := a.allows(most); n < takes/2 || n > 3*takes {
				t.Errorf("allows %d of %d", n, takes)
			}
		})
	}
}

// TestAdaptiveStaysWithin its bounds, whatever happens.
func TestAdaptiveStaysWithin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a adaptive
		most := rapid.IntRange(1, 1000).Draw(t, "most")
		for now := range int64(rapid.IntRange(1, 500).Draw(t, "ends")) {
			r := Result{Class: Class(rapid.IntRange(int(Succeeded), int(Dropped)).Draw(t, "class")), Duration: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "took"))}
			a.ends(r, rapid.IntRange(0, most).Draw(t, "running"), most, now)
			if n := a.allows(most); n < 1 || n > most {
				t.Fatalf("allows %d of 1 to %d", n, most)
			}
		}
	})
}
