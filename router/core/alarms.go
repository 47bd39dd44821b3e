package core

import "container/heap"

// alarms wake what waits for a time, other than deliveries: the rate of a
// trigger or of a key, a debounce, a breaker.
type alarms struct {
	heap  alarmHeap
	count uint64
}

// An alarm is when something is to be looked at again.
type alarm struct {
	at    int64
	order uint64 // among those of one time
	who   sleeper
}

// A sleeper is woken at its time. It sleeps once at a time.
type sleeper interface {
	// bed is where the sleeper keeps when it is woken, or 0.
	bed() *int64
	woken(c *Core)
}

// set has a sleeper woken at a time, and no more at any other.
func (a *alarms) set(who sleeper, at int64) {
	if bed := who.bed(); *bed != at {
		*bed = at
		a.count++
		heap.Push(&a.heap, alarm{at: at, order: a.count, who: who})
	}
}

// due returns the next sleeper whose time has come, or nil.
func (a *alarms) due(now int64) sleeper {
	for len(a.heap) > 0 && a.heap[0].at <= now {
		next := heap.Pop(&a.heap).(alarm)
		if bed := next.who.bed(); *bed == next.at {
			*bed = 0
			return next.who
		}
	}
	return nil
}

// next returns when the next one is due, or 0.
func (a *alarms) next() int64 {
	for len(a.heap) > 0 {
		if first := a.heap[0]; *first.who.bed() == first.at {
			return first.at
		}
		heap.Pop(&a.heap)
	}
	return 0
}

type alarmHeap []alarm

func (h alarmHeap) Len() int { return len(h) }

func (h alarmHeap) Less(i, j int) bool {
	if h[i].at != h[j].at {
		return h[i].at < h[j].at
	}
	return h[i].order < h[j].order
}

func (h alarmHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *alarmHeap) Push(x any) { *h = append(*h, x.(alarm)) }

func (h *alarmHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = alarm{}
	*h = old[:len(old)-1]
	return last
}
