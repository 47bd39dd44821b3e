package router

import (
	"time"

	"sluice/router/core"
)

// A Hold says what keeps deliveries of a trigger from being attempted now.
type Hold struct {
	// Reason is a name of core.HoldReason.
	Reason string
	// Deliveries is how many are held, as far as they are in memory, and Keys how
	// many keys they have; 0 when the limit has none.
	Deliveries, Keys int
	// Until is when the hold ends or is looked at again; zero when that depends on
	// something else than time.
	Until time.Time
	// Limit is the bound that holds: attempts for concurrency and, within Per, for
	// a rate; else deliveries. It is 0 when there is none.
	Limit int
	Per   time.Duration
}

// holdsOf says what holds a trigger back. The core counts deliveries, and there
// are as many attempts as batches.
func holdsOf(holds []core.Hold, t *Trigger) []Hold {
	all := make([]Hold, 0, len(holds))
	for _, h := range holds {
		hold := Hold{Reason: string(h.Reason), Deliveries: h.Deliveries, Keys: h.Keys, Limit: h.Limit}
		if h.Until != 0 {
			hold.Until = time.Unix(0, h.Until)
		}
		switch h.Reason {
		case core.HeldByConcurrency, core.HeldByKeyConcurrency, core.HeldByAdaptive:
			if t != nil {
				hold.Limit /= max(1, t.Batch.Size)
			}
		case core.HeldByRate:
			if t != nil {
				hold.Limit, hold.Per = t.Flow.Rate.Limit, t.Flow.Rate.Per
			}
		default:
		}
		all = append(all, hold)
	}
	return all
}
