package core

import "math"

const (
	// adaptiveStart is how many attempts may be under way before anything is
	// learnt.
	adaptiveStart = 10
	// adaptiveSamples is how many attempts are averaged at least.
	adaptiveSamples = 10
	// adaptiveTolerance is how many times as long as usual attempts may take
	// before the limit falls.
	adaptiveTolerance = 2.0
	// adaptiveSmoothing is the part of the way to a new limit that is gone at once.
	adaptiveSmoothing = 0.2
	// adaptiveBackoff is what a sink without room leaves of the limit.
	adaptiveBackoff = 0.7
	// adaptiveMemory is over how many averages the usual duration is formed.
	adaptiveMemory = 100.0
)

// An adaptive learns how many attempts a sink takes at once. From how long they
// take it goes by the gradient of what is usual to what is now, as Netflix's
// concurrency-limits does (Gradient2Limit); a sink that says it has no room is
// believed at once.
type adaptive struct {
	limit float64 // 0: nothing is known
	usual float64 // duration, nanoseconds
	sum   float64
	n     int
	cut   int64 // when the limit has fallen last for want of room
}

// allows is how many attempts may be under way, of at most so many.
func (a *adaptive) allows(most int) int {
	if a.limit == 0 {
		return max(1, min(adaptiveStart, most))
	}
	return max(1, min(int(a.limit), most))
}

// ends takes the end of an attempt that began when so many were under way.
func (a *adaptive) ends(r Result, running, most int, now int64) {
	if a.limit == 0 {
		a.limit = float64(a.allows(most))
	}
	switch {
	case r.Class == Busy:
		if now-int64(r.Duration) >= a.cut {
			a.limit, a.cut = max(1, a.limit*adaptiveBackoff), now
			a.sum, a.n = 0, 0
		}
	case r.Class == Gone || r.Class == Dropped || r.Duration <= 0:
	case r.Class == Failed && float64(r.Duration) < a.usual: // it failed before it worked
	default:
		a.sample(float64(r.Duration), running, most)
	}
}

func (a *adaptive) sample(took float64, running, most int) {
	a.sum, a.n = a.sum+took, a.n+1
	if a.n < max(adaptiveSamples, int(a.limit)) {
		return
	}
	now := a.sum / float64(a.n)
	a.sum, a.n = 0, 0
	if a.usual == 0 {
		a.usual = now
	}
	a.usual += (now - a.usual) / adaptiveMemory
	if a.usual > 2*now { // it has become faster
		a.usual *= 0.95
	}
	if float64(running) < a.limit/2 {
		return // it was not in use
	}
	gradient := min(1, max(0.5, adaptiveTolerance*a.usual/now))
	next := a.limit*gradient + math.Sqrt(a.limit)
	a.limit = min(float64(most), max(1, a.limit+adaptiveSmoothing*(next-a.limit)))
}
