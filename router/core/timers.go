package core

import "container/heap"

// timers hold the deliveries that wait, by when they are due; equal ones by
// their keys, so that the order is always the same.
type timers struct{ heap timerHeap }

func (t *timers) push(d *delivery) { heap.Push(&t.heap, d) }

// due returns the next delivery whose time has come, or nil.
func (t *timers) due(now int64) *delivery {
	for len(t.heap) > 0 && t.heap[0].due <= now {
		if d := heap.Pop(&t.heap).(*delivery); d.phase == waiting {
			return d
		}
	}
	return nil
}

// next returns when the next delivery is due, or 0.
func (t *timers) next() int64 {
	if len(t.heap) == 0 {
		return 0
	}
	return t.heap[0].due
}

type timerHeap []*delivery

func (h timerHeap) Len() int { return len(h) }

func (h timerHeap) Less(i, j int) bool {
	if h[i].due != h[j].due {
		return h[i].due < h[j].due
	}
	return h[i].key.Less(h[j].key)
}

func (h timerHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

func (h *timerHeap) Push(x any) { *h = append(*h, x.(*delivery)) }

func (h *timerHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}
