package router

import (
	"slices"
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
	// Event is the sequence of the first event that others wait for; of order.
	Event uint64
}

// holdsOf says what holds a trigger back. The core counts deliveries, and there
// are as many attempts as batches.
func holdsOf(holds []core.Hold, t *Trigger) []Hold {
	all := make([]Hold, 0, len(holds))
	for _, h := range holds {
		hold := Hold{Reason: string(h.Reason), Deliveries: h.Deliveries, Keys: h.Keys, Limit: h.Limit, Event: h.Event}
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

// inBatches are the deliveries of one trigger that have started for the core and
// wait for a batch: how many, and what for.
type inBatches struct {
	deliveries int
	holds      []core.Hold
}

// gatheredOf counts what is gathered of a trigger.
func (u *run) gatheredOf(id uint32, t *Trigger) (all inBatches) {
	g := u.gathering[id]
	if g == nil {
		return all
	}
	batch := core.Hold{Reason: core.HeldByBatch, Deliveries: len(g.alone)}
	for _, of := range g.queue {
		batch.Deliveries += len(of.waiting)
		if due := of.waiting[0].at.Add(g.batch.Window).UnixNano(); batch.Until == 0 || due < batch.Until {
			batch.Until = due
		}
	}
	key := core.Hold{Reason: core.HeldByKeyConcurrency}
	for _, of := range g.busy {
		if n := len(of.waiting); n > 0 {
			key.Deliveries += n
			key.Keys++
		}
	}
	all.deliveries = batch.Deliveries + key.Deliveries
	if t == nil {
		return all
	}
	size := max(1, t.Batch.Size)
	if most := u.core.Attempts(id); g.active.Load() >= int64(most) {
		batch.Reason, batch.Limit, batch.Until = core.HeldByConcurrency, most*size, 0
		if t.Flow.Adaptive {
			batch.Reason = core.HeldByAdaptive
		}
	}
	key.Limit = t.Flow.PerKey * size
	for _, h := range []core.Hold{batch, key} {
		if h.Deliveries > 0 {
			all.holds = append(all.holds, h)
		}
	}
	return all
}

// join adds holds to those of the core; one for the same reason is one with it.
func join(holds, more []core.Hold) []core.Hold {
	for _, h := range more {
		if at := slices.IndexFunc(holds, func(o core.Hold) bool { return o.Reason == h.Reason }); at >= 0 {
			holds[at].Deliveries += h.Deliveries
			holds[at].Keys = max(holds[at].Keys, h.Keys)
			continue
		}
		holds = append(holds, h)
	}
	return holds
}
