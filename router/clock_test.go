package router

import (
	"testing"
	"testing/synctest"
	"time"
)

// The clock begins at the wall clock, or at what the ledger has seen if that is
// later, and goes on by the time that passes.
func TestClock(t *testing.T) {
	for name, seen := range map[string]time.Duration{"a clock that was set back": 1000 * time.Hour, "a first start": -1000 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			want := time.Now()
			if last := want.Add(seen); last.After(want) {
				want = last
			}
			c := newClock(time.Now().Add(seen).UnixNano())
			for range 3 {
				if got := c.now(); !got.Equal(want) {
					t.Errorf("%s: %v, want %v", name, got, want)
				}
				time.Sleep(time.Minute)
				want = want.Add(time.Minute)
			}
		})
	}
}
