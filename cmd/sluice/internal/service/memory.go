package service

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// memoryEvery is the time between two looks at what was allocated.
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
	// usualPercent is the collector's default percentage, mostPercent by how much a
	// small heap may grow: that saves a tenth of the processor time of a dispatch.
	usualPercent, mostPercent = 100, 200
	// fewBytes is by how much a heap may grow that is no longer small, however few
	// of its bytes a collection looks at.
	fewBytes = 64 << 20
)

// keepMemory has the collector go by what it costs, unless GOGC says how often it
// runs, and gives back what was used under load as soon as nothing goes on: Go
// keeps it for minutes otherwise.
func keepMemory(ctx context.Context) error {
	percent := debug.SetGCPercent(mostPercent)
	defer debug.SetGCPercent(percent)
	collected, current := make(chan struct{}, 1), mostPercent
	if unsaid(percent) {
		tellCollections(ctx, collected)
	} else {
		debug.SetGCPercent(percent)
	}
	ticker := time.NewTicker(memoryEvery)
	defer ticker.Stop()
	var r rest
	for {
		select {
		case <-collected:
			if wanted := percentFor(readHeap()); wanted != current {
				current = wanted
				debug.SetGCPercent(current)
			}
		case <-ticker.C:
			if r.look(readAllocated()) {
				debug.FreeOSMemory()
				dropCode()
				r.last = readAllocated()
				r.tidied = r.last
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// unsaid tells whether a percentage of the collector is nobody's wish.
func unsaid(percent int) bool { return percent == usualPercent && os.Getenv("GOGC") == "" }

// A collectable is garbage from the beginning. It has a pointer, since what has
// none shares its memory with others when it is as small.
type collectable struct{ _ *collectable }

// tellCollections puts a token into the channel after each collection, until ctx
// ends.
func tellCollections(ctx context.Context, collected chan<- struct{}) {
	runtime.AddCleanup(&collectable{}, func(collected chan<- struct{}) {
		if ctx.Err() != nil {
			return
		}
		tellCollections(ctx, collected)
		select {
		case collected <- struct{}{}:
		default:
		}
	}, collected)
}

// A rest knows how long nothing has gone on, by what was allocated.
type rest struct {
	last, tidied uint64 // bytes since the start, at the last look and when memory was given back
	quiet        int    // looks
	later        bool   // memory is given back once more
}

// look takes how many bytes were allocated since the start, and tells whether to
// give memory back: what the start has used, and later what a load has.
func (r *rest) look(allocated uint64) bool {
	if r.quiet++; allocated-r.last > quietBytes {
		r.quiet = 0
	}
	r.last = allocated
	switch {
	case r.quiet == 1 && (r.tidied == 0 || allocated-r.tidied > tidyBytes):
		r.later = true
		return true
	case r.quiet == laterLooks && r.later:
		r.later = false
		return true
	}
	return false
}

// percentFor returns by how much of what is in use the heap may grow until the
// next collection, when so many bytes are in use, and so many of them were looked
// through for pointers. A collection takes as long as there are of the latter, and
// most of what is in use under load are blocks of the store, which have none: so a
// large heap need not grow by as much again for collections to be rare enough.
func percentFor(live, scanned uint64) int {
	grow := max(fewBytes, min(2*scanned, live))
	return int(min(mostPercent, max(1, grow*100/max(1, live))))
}

// readHeap returns how many bytes were in use at the last collection, and how many
// of them it looked through.
func readHeap() (live, scanned uint64) {
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/gc/scan/heap:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64(), samples[1].Value.Uint64()
}

// readAllocated returns how many bytes were allocated since the start.
func readAllocated() uint64 {
	samples := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64()
}
