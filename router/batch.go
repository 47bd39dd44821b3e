package router

import (
	"container/heap"
	"context"
	"sync/atomic"
	"time"

	"sluice/event"
	"sluice/router/core"
)

// A Batch says how deliveries become one attempt; one of size 0 makes an
// attempt of each.
type Batch struct {
	// Size is the most deliveries of one attempt.
	Size int
	// Window is how long the first one may wait for others.
	Window time.Duration
	// Bytes bounds the data of an attempt of several; 0 means no bound.
	Bytes int64
}

// A gathering holds the deliveries of one trigger that have started for the
// core and wait to go out together. Only the loop touches it, but for active.
type gathering struct {
	alone  []core.Start      // suspects, which go out by themselves
	groups map[string]*group // those with deliveries that wait, by the key of their batches
	queue  groups            // of those that may send
	busy   []*group          // those with attempts under way that may not send, or have nothing to send
	batch  Batch             // by which the queue is ordered
	active atomic.Int64      // attempts under way
}

// A group holds the deliveries of one key.
type group struct {
	key     string
	waiting []gathered   // the oldest first
	bytes   int64        // of data, of those that wait
	apart   int64        // of that, what is kept apart
	active  atomic.Int64 // attempts under way
	whole   bool         // there is enough for a batch
	place   int          // in the queue, or -1
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
		u.startOne(ctx, t, s)
		return
	}
	if g == nil {
		g = &gathering{groups: map[string]*group{}}
		u.gathering[s.Key.Trigger] = g
	}
	if s.Alone {
		g.alone = append(g.alone, s)
	} else {
		g.gather(gathered{Start: s, at: u.clock.now()})
	}
}

func (g *gathering) gather(s gathered) {
	of, known := g.groups[s.Batch]
	if !known {
		of = &group{key: s.Batch}
		g.groups[s.Batch] = of
	}
	of.waiting = append(of.waiting, s)
	of.bytes += dataOf(&s.Start)
	of.apart += weigh(&s.Start)
	switch {
	case !known:
		g.enter(of)
	case of.place >= 0 && of.judge(&g.batch):
		heap.Fix(&g.queue, of.place)
	}
}

// enter puts a group into the queue.
func (g *gathering) enter(of *group) {
	of.judge(&g.batch)
	heap.Push(&g.queue, of)
}

// judge finds out whether there is enough for a batch, in deliveries or in bytes,
// and tells whether that is news.
func (of *group) judge(b *Batch) (changed bool) {
	was := of.whole
	of.whole = len(of.waiting) >= max(1, b.Size) || of.apart > modest || b.Bytes > 0 && of.bytes >= b.Bytes
	return of.whole != was
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
		if len(g.alone)+len(g.groups) == 0 && g.active.Load() == 0 {
			delete(u.gathering, id)
		}
	}
	return next
}

// sendOf starts what one trigger has room for. A batch is due when it is whole,
// when its first delivery has waited for the window, and when no more can come
// to it before something of the trigger has ended: then it is smaller.
func (u *run) sendOf(ctx context.Context, id uint32, g *gathering, now time.Time) (next time.Time) {
	limit, perKey, batch := 1, 0, Batch{}
	if t := u.configured.Load().triggers[id]; t != nil {
		limit, perKey, batch = u.core.Attempts(id), t.Flow.PerKey, t.Batch
	}
	g.sort(batch, perKey)
	for g.active.Load() < int64(limit) {
		if len(g.alone) > 0 {
			u.startBatch(ctx, g, nil, g.alone[:1])
			g.alone = g.alone[1:]
			continue
		}
		if len(g.queue) == 0 {
			return time.Time{}
		}
		first := g.queue[0]
		if due := first.waiting[0].at.Add(batch.Window); !first.whole && now.Before(due) && !u.hasty && !u.core.Full(id) {
			return due
		}
		heap.Pop(&g.queue)
		u.startBatch(ctx, g, first, first.next(&batch))
		g.settle(first, perKey)
	}
	return time.Time{}
}

// sort brings the queue up to date with the configuration, and with the attempts
// that have ended.
func (g *gathering) sort(batch Batch, perKey int) {
	if g.batch != batch {
		g.batch = batch
		for _, of := range g.queue {
			of.judge(&batch)
		}
		heap.Init(&g.queue)
	}
	busy := g.busy
	g.busy = g.busy[:0]
	for _, of := range busy {
		g.settle(of, perKey)
	}
}

// settle finds the place of a group that is not in the queue.
func (g *gathering) settle(of *group, perKey int) {
	active := of.active.Load()
	switch {
	case perKey > 0 && active > 0 && (active >= int64(perKey) || len(of.waiting) == 0):
		g.busy = append(g.busy, of)
	case len(of.waiting) == 0:
		delete(g.groups, of.key)
	default:
		g.enter(of)
	}
}

// next removes the deliveries of the next batch from those that wait: as many as
// fit, but one at least.
func (of *group) next(b *Batch) []core.Start {
	starts, bytes, apart := make([]core.Start, 0, min(max(1, b.Size), len(of.waiting))), int64(0), int64(0)
	for i := range of.waiting[:cap(starts)] {
		s := &of.waiting[i].Start
		data, weight := dataOf(s), weigh(s)
		if i > 0 && (apart+weight > modest || b.Bytes > 0 && bytes+data > b.Bytes) {
			break
		}
		bytes, apart = bytes+data, apart+weight
		starts = append(starts, *s)
	}
	clear(of.waiting[:len(starts)])
	of.waiting = of.waiting[len(starts):]
	of.bytes -= bytes
	of.apart -= apart
	return starts
}

// dataOf returns how many bytes of data a delivery has.
func dataOf(s *core.Start) int64 {
	entry, _ := s.Body.(*event.Entry)
	if entry == nil || entry.Event == nil {
		return 0
	}
	return entry.Event.Len()
}

func (u *run) startBatch(ctx context.Context, g *gathering, of *group, starts []core.Start) {
	g.active.Add(1)
	if of != nil {
		of.active.Add(1)
	}
	u.start(ctx, starts, func() {
		g.active.Add(-1)
		if of != nil {
			of.active.Add(-1)
		}
	})
}

// groups are a queue: those first that have enough for a batch, then those whose
// first delivery has waited the longest.
type groups []*group

func (q groups) Len() int { return len(q) }

func (q groups) Less(i, j int) bool {
	if q[i].whole != q[j].whole {
		return q[i].whole
	}
	return q[i].waiting[0].at.Before(q[j].waiting[0].at)
}

func (q groups) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for the heap.
func (q *groups) Push(x any) {
	of, _ := x.(*group)
	of.place = len(*q)
	*q = append(*q, of)
}

// Pop is for the heap.
func (q *groups) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	last.place = -1
	return last
}
