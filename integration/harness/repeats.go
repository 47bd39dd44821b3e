//go:build integration

package harness

import (
	"fmt"
	"slices"
	"time"
)

// Repeats says which deliveries a worker has seen again after a kill.
type Repeats struct {
	// Total counts the repeated attempts, PerKill those after each kill.
	Total   int
	PerKill []int
	// UnderWay counts those that were not answered yet at the kill, and Unwritten
	// how long before the kill the others had been.
	UnderWay  int
	Unwritten []time.Duration
	// Wrong are repeats that no kill explains, and events that came under
	// several delivery ids.
	Wrong []string
}

// Oldest returns how long before its kill the earliest answer was that was
// repeated.
func (r *Repeats) Oldest() time.Duration {
	if len(r.Unwritten) == 0 {
		return 0
	}
	return slices.Max(r.Unwritten)
}

// Most returns the most repeats after one kill.
func (r *Repeats) Most() int {
	if len(r.PerKill) == 0 {
		return 0
	}
	return slices.Max(r.PerKill)
}

// FindRepeats sorts out what was delivered more than once although it had
// succeeded or was cut off. Attempts that were answered with an error are retried rightly.
func FindRepeats(receipts []Receipt, kills []time.Time) Repeats {
	found := Repeats{PerKill: make([]int, len(kills))}
	last := map[string]Receipt{}
	delivery := map[string]string{}
	for _, r := range receipts {
		event := r.Path + " " + r.Event
		if known := delivery[event]; known != "" && known != r.Delivery {
			found.Wrong = append(found.Wrong, fmt.Sprintf("%s came as %s and as %s", event, known, r.Delivery))
		}
		delivery[event] = r.Delivery
		before, again := last[r.Delivery]
		last[r.Delivery] = r
		if again && (before.Ended.IsZero() || before.Status/100 == 2) {
			found.add(before, r, kills)
		}
	}
	return found
}

// slack is how long a request may be on its way to the worker when its sender
// is killed.
const slack = 100 * time.Millisecond

func (r *Repeats) add(before, again Receipt, kills []time.Time) {
	i := killBetween(before.Began, again.Began, kills)
	switch {
	case i < 0:
		r.Wrong = append(r.Wrong, fmt.Sprintf("%s was repeated without a kill: attempt %d at %s, answered at %s with %d; attempt %d at %s",
			again.Delivery, before.Attempt, clock(before.Began), clock(before.Ended), before.Status, again.Attempt, clock(again.Began)))
		return
	case before.Ended.IsZero() || before.Ended.After(kills[i]):
		r.UnderWay++
	default:
		r.Unwritten = append(r.Unwritten, kills[i].Sub(before.Ended))
	}
	r.Total++
	r.PerKill[i]++
}

// killBetween returns the kill that has ended what began at one moment and was
// repeated at another: the first between them, else one just before; -1 when
// there is none.
func killBetween(began, again time.Time, kills []time.Time) int {
	just := -1
	for i, kill := range kills {
		switch {
		case kill.After(again):
			return just
		case kill.After(began):
			return i
		case kill.After(began.Add(-slack)):
			just = i
		}
	}
	return just
}

func clock(t time.Time) string { return t.Format("15:04:05.000000") }
