package service

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryEvery is the time between two looks at the heap.
	memoryEvery = 2 * time.Second
	// quietBytes is how much a service that has nothing to do allocates between
	// two looks at most.
	quietBytes = 256 << 10
	// tidyBytes is how much must have been allocated before it is worth to collect
	// what is left of it.
	tidyBytes = 16 << 20
	// laterLooks is after how many quiet looks memory is given back once more: what
	// the store remembers for two minutes, and what it caches, has gone by then.
	laterLooks = 90
	// smallHeap is what may be in use so that the collector runs half as often: that
	// costs as much memory again at most, and saves a tenth of the processor time
	// of a dispatch.
	smallHeap = 64 << 20
	// The collector's default percentage, and that of a small heap.
	usualPercent, smallPercent = 100, 200
)

// keepMemory has the collector run less often while the heap is small, unless
// GOGC says how often, and gives back what was used under load as soon as
// nothing goes on: Go keeps it for minutes otherwise.
func keepMemory(ctx context.Context) error {
	percent := debug.SetGCPercent(smallPercent)
	defer debug.SetGCPercent(percent)
	adapts, current := percent == usualPercent, smallPercent
	if !adapts {
		debug.SetGCPercent(percent)
	}
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return nil
		}
		allocated, live := readHeap()
		if wanted := percentFor(live); adapts && wanted != current {
			current = wanted
			debug.SetGCPercent(current)
		}
		if r.look(allocated) {
			debug.FreeOSMemory()
			r.last, _ = readHeap()
			r.tidied = r.last
		}
	}
}

// A rest knows how long nothing has gone on, by what was allocated.
type rest struct {
	last, tidied uint64 // bytes since the start, at the last look and when memory was given back
	quiet        int    // looks
	later        bool   // memory is given back once more
}

// look takes how many bytes were allocated since the start, and tells whether to
// give memory back.
func (r *rest) look(allocated uint64) bool {
	if r.quiet++; allocated-r.last > quietBytes {
		r.quiet = 0
	}
	r.last = allocated
	switch {
	case r.quiet == 1 && allocated-r.tidied > tidyBytes:
		r.later = true
		return true
	case r.quiet == laterLooks && r.later:
		r.later = false
		return true
	}
	return false
}

// percentFor returns by how much of what is in use the heap may grow.
func percentFor(live uint64) int {
	if live <= smallHeap {
		return smallPercent
	}
	return usualPercent
}

// readHeap returns how many bytes were allocated since the start, and how many
// were in use at the last collection.
func readHeap() (allocated, live uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}, {Name: "/gc/heap/live:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}
