package ledger

import (
	"container/heap"
	"maps"
	"slices"
)

// Sequences is a set of sequences, kept in ascending order. The zero value is
// empty. Adding near the end is cheap, and so is dropping from the front.
type Sequences struct{ sorted []uint64 }

// Add adds a sequence; one that is there already is not added again.
func (s *Sequences) Add(sequence uint64) {
	if n := len(s.sorted); n == 0 || s.sorted[n-1] < sequence {
		s.sorted = append(s.sorted, sequence)
		return
	}
	at, found := slices.BinarySearch(s.sorted, sequence)
	if !found {
		s.sorted = slices.Insert(s.sorted, at, sequence)
	}
}

// Has tells whether the sequence is in the set.
func (s *Sequences) Has(sequence uint64) bool {
	_, found := slices.BinarySearch(s.sorted, sequence)
	return found
}

// Drop removes every sequence up to and including last.
func (s *Sequences) Drop(last uint64) {
	if len(s.sorted) == 0 || s.sorted[0] > last {
		return
	}
	at, found := slices.BinarySearch(s.sorted, last)
	if found {
		at++
	}
	if at == len(s.sorted) {
		s.sorted = s.sorted[:0]
		return
	}
	s.sorted = s.sorted[at:]
}

// Len returns how many there are.
func (s *Sequences) Len() int { return len(s.sorted) }

// All returns them in ascending order; the result must not be changed.
func (s *Sequences) All() []uint64 { return s.sorted }

// needed is a multiset of sequences that knows its smallest one.
type needed struct {
	count map[uint64]int
	order minHeap
}

func (n *needed) add(sequence uint64) {
	if n.count == nil {
		n.count = map[uint64]int{}
	}
	n.count[sequence]++
	if n.count[sequence] == 1 {
		heap.Push(&n.order, sequence)
	}
}

func (n *needed) remove(sequence uint64) {
	if n.count[sequence] > 1 {
		n.count[sequence]--
		return
	}
	delete(n.count, sequence)
	if len(n.order) > 2*len(n.count)+1024 {
		n.order = slices.AppendSeq(n.order[:0], maps.Keys(n.count))
		heap.Init(&n.order)
	}
}

// min drops what was removed from the top of the heap, and returns the top.
func (n *needed) min() (uint64, bool) {
	for len(n.order) > 0 {
		if n.count[n.order[0]] > 0 {
			return n.order[0], true
		}
		heap.Pop(&n.order)
	}
	return 0, false
}

type minHeap []uint64

func (h minHeap) Len() int           { return len(h) }
func (h minHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h minHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *minHeap) Push(x any)        { *h = append(*h, x.(uint64)) }
func (h *minHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
