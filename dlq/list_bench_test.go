package dlq_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"sluice/bus"
	"sluice/dlq"
)

// listed is how many letters the benchmarks of listing have.
const listed = 20_000

// fullStore returns a store with letters of ten triggers. They are synced rarely:
// how fast they are stored is not measured.
func fullStore(b *testing.B) *dlq.Store {
	b.Helper()
	opened, err := bus.Open(b.Context(), bus.Options{Dir: b.TempDir(), SyncInterval: time.Minute})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := opened.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	s, err := dlq.Open(b.Context(), opened.JetStream(), dlq.Options{Prefix: opened.Prefix(), Stream: opened.Names().Letters, Log: opened, Settled: always})
	if err != nil {
		b.Fatal(err)
	}
	var wait sync.WaitGroup
	const writers = 64
	for w := range writers {
		wait.Go(func() {
			for n := w; n < listed; n += writers {
				if err := s.Put(b.Context(), letter(uint64(n+1), "trigger-"+string(rune('0'+n%10)))); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wait.Wait()
	return s
}

// BenchmarkCount looks at every letter; an operation is one of them.
func BenchmarkCount(b *testing.B) {
	s := fullStore(b)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; n += listed {
		counts, err := s.Count(b.Context(), dlq.Filter{Reason: dlq.ReasonPoison})
		if err != nil || counts.Total != 0 {
			b.Fatal(counts.Total, err)
		}
	}
}

// BenchmarkListPage lists 100 letters from the middle.
func BenchmarkListPage(b *testing.B) {
	s := fullStore(b)
	for name, filter := range map[string]dlq.Filter{"all": {}, "trigger": {Trigger: "trigger-3"}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				page, _, err := s.List(b.Context(), filter, listed/2, 100)
				if err != nil || len(page) != 100 {
					b.Fatal(len(page), err)
				}
			}
		})
	}
}
