package core

import "math"

const (
	// adaptiveStart is how many attempts may be under way before anything is
	// learnt.
	adaptiveStart = 10
	// adaptiveSamples is how many attempts are averaged at least.
	adaptiveSamples = 10
	// adaptiveTolerance is how many times as long as without load attempts may
	// take before the limit falls.
	adaptiveTolerance = 2.0
	// adaptiveSmoothing is the part of the way to a new limit that is gone at once.
	adaptiveSmoothing = 0.2
	// adaptiveBackoff is what a sink without room leaves of the limit.
	adaptiveBackoff = 0.7
	// After adaptiveRounds averages the load is taken away for adaptiveRests of
	// them, down to a part, to learn anew how long attempts take without it: else
	// what is slow would become usual.
	adaptiveRounds = 100
	adaptiveRests  = 2
	adaptivePart   = 4
)

// An adaptive learns how many attempts a sink takes at once. From how long they
// take it goes by the gradient of what is usual without load to what is now, as
// Netflix's concurrency-limits does (GradientLimit), and takes the load away from
// time to time as TCP BBR does (ProbeRTT); a sink that says it has no room is
// believed at once.
type adaptive struct {
	limit float64 // 0: nothing is known
	usual float64 // duration, nanoseconds
	sum   float64
	n     int
	peak  int // how many were under way at most
	round int
	rests int   // averages until the load comes back
	cut   int64 // when the limit has fallen last for want of room
}

// allows is how many attempts may be under way, of at most so many.
func (a *adaptive) allows(most int) int {
	n := adaptiveStart
	if a.limit > 0 {
		n = int(a.limit)
	}
	if a.rests > 0 {
		n /= adaptivePart
	}
	return max(1, min(n, most))
}

// ends takes the end of an attempt, when so many were under way.
func (a *adaptive) ends(r Result, running, most int, now int64) {
	if a.limit == 0 {
		a.limit = float64(a.allows(most))
	}
	switch {
	case r.Class == Busy || r.Class == Failed && r.Status == statusUnavailable:
		if now-int64(r.Duration) >= a.cut {
			a.limit, a.cut = max(1, a.limit*adaptiveBackoff), now
			a.sum, a.n, a.peak = 0, 0, 0
		}
	case r.Class == Gone || r.Class == Dropped || r.Duration <= 0:
	case r.Class == Failed && float64(r.Duration) < a.usual: // it failed before it worked
	default:
		a.sample(float64(r.Duration), running, most)
	}
}

func (a *adaptive) sample(took float64, running, most int) {
	a.sum, a.n, a.peak = a.sum+took, a.n+1, max(a.peak, running)
	if a.n < max(adaptiveSamples, a.allows(most)) {
		return
	}
	now, used := a.sum/float64(a.n), float64(a.peak) >= a.limit/2
	a.sum, a.n, a.peak = 0, 0, 0
	switch {
	case a.rests > 0:
		if a.rests--; a.rests == 0 {
			a.usual = now
		}
		return
	case a.usual == 0 || now < a.usual || !used:
		a.usual = now
	}
	if used {
		a.adjust(now, most)
	}
}

// adjust moves the limit, after attempts took so long with all of it in use.
func (a *adaptive) adjust(now float64, most int) {
	gradient := min(1, max(0.5, adaptiveTolerance*a.usual/now))
	next := a.limit*gradient + math.Sqrt(a.limit)
	a.limit = min(float64(most), max(1, a.limit+adaptiveSmoothing*(next-a.limit)))
	if a.round++; a.round%adaptiveRounds == 0 {
		a.rests = adaptiveRests
	}
}
