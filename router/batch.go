package router

import (
	"context"
	"sync/atomic"
	"time"

	"sluice/router/core"
)

// A Batch says how deliveries become one attempt; one of size 0 makes an
// attempt of each.
type Batch struct {
	// Size is the most deliveries of one attempt.
	Size int
	// Window is how long the first one may wait for others.
	Window time.Duration
}

// A gathering holds the deliveries of one trigger that have started for the
// core and wait to go out together. Only the loop touches it, but for active.
type gathering struct {
	alone   []core.Start // suspects, which go out by themselves
	waiting []gathered   // the oldest first
	bytes   int64        // of data that is kept apart, of those that wait
	active  atomic.Int64 // attempts under way
}

type gathered struct {
	core.Start
	at time.Time
}

// take starts an attempt, or keeps it for a batch of its trigger. What was
// gathered before a trigger was configured anew goes out before what comes.
func (u *run) take(ctx context.Context, s core.Start) {
	t, g := u.configured.Load().triggers[s.Key.Trigger], u.gathering[s.Key.Trigger]
	if g == nil && (t == nil || t.Batch.Size == 0) {
		u.start(ctx, []core.Start{s}, func() {})
		return
	}
	if g == nil {
		g = &gathering{}
		u.gathering[s.Key.Trigger] = g
	}
	if s.Alone {
		g.alone = append(g.alone, s)
	} else {
		g.waiting = append(g.waiting, gathered{Start: s, at: u.clock.now()})
		g.bytes += weigh(&s)
	}
}

// send lets the batches go that are due. It returns when the next one will be;
// the zero time means: not before something happens.
func (u *run) send(ctx context.Context) (next time.Time) {
	now := u.clock.now()
	for id, g := range u.gathering {
		at := u.sendOf(ctx, id, g, now)
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
		if len(g.alone)+len(g.waiting) == 0 && g.active.Load() == 0 {
			delete(u.gathering, id)
		}
	}
	return next
}

// sendOf starts what one trigger has room for. A batch is due when it is whole,
// in deliveries or in bytes, when its first delivery has waited for the window, and when no more can come
// to it before something of the trigger has ended: then it is smaller.
func (u *run) sendOf(ctx context.Context, id uint32, g *gathering, now time.Time) (next time.Time) {
	limit, batch := int64(1), Batch{}
	if t := u.configured.Load().triggers[id]; t != nil {
		limit, batch = int64(t.Concurrency), t.Batch
	} else {
		batch.Size = len(g.waiting) // nothing is sent: all go back to the core
	}
	size := max(1, batch.Size)
	for g.active.Load() < limit {
		switch {
		case len(g.alone) > 0:
			u.startBatch(ctx, g, g.alone[:1])
			g.alone = g.alone[1:]
		case len(g.waiting) == 0:
			return time.Time{}
		case len(g.waiting) < size && g.bytes <= modest && now.Before(g.waiting[0].at.Add(batch.Window)) && !u.hasty && !u.core.Full(id):
			return g.waiting[0].at.Add(batch.Window)
		default:
			u.startBatch(ctx, g, g.next(size))
		}
	}
	return time.Time{}
}

// next removes the deliveries of the next batch from those that wait: size at
// most, and no more than are modest together, but one at least.
func (g *gathering) next(size int) []core.Start {
	starts, bytes := make([]core.Start, 0, min(size, len(g.waiting))), int64(0)
	for i := range g.waiting[:cap(starts)] {
		weight := weigh(&g.waiting[i].Start)
		if i > 0 && bytes+weight > modest {
			break
		}
		bytes += weight
		starts = append(starts, g.waiting[i].Start)
	}
	clear(g.waiting[:len(starts)])
	g.waiting = g.waiting[len(starts):]
	g.bytes -= bytes
	return starts
}

func (u *run) startBatch(ctx context.Context, g *gathering, starts []core.Start) {
	g.active.Add(1)
	u.start(ctx, starts, func() { g.active.Add(-1) })
}
