package bus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/event"
)

// payload is an event of about the size that the other measures use.
func payload(id string) event.Event {
	e := sized(id, 256)
	e.DataContentType = "application/json"
	return e
}

func BenchmarkPublish(b *testing.B) {
	for _, callers := range []int{1, 8, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			o := small(b)
			o.MaxBytes = 4 << 30
			bus := open(b, o)
			var next atomic.Int64
			work(b, callers, func() error {
				return bus.Source("web").Publish(b.Context(), payload(strconv.FormatInt(next.Add(1), 10)))
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// work calls f b.N times from a number of goroutines.
func work(b *testing.B, callers int, f func() error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, callers)
	b.ResetTimer()
	for range callers {
		go func() {
			var err error
			for left.Add(-1) >= 0 && err == nil {
				err = f()
			}
			done <- err
		}()
	}
	var err error
	for range callers {
		err = errors.Join(err, <-done)
	}
	b.StopTimer()
	check(b, err)
}

func BenchmarkPublishAt(b *testing.B) {
	for _, events := range []int{0, 1, 100} {
		b.Run(fmt.Sprintf("events=%d", events), func(b *testing.B) {
			o := small(b)
			o.MaxBytes = 4 << 30
			bus := open(b, o)
			out := bus.Source("s3")
			i := 0
			b.ResetTimer()
			for b.Loop() {
				i++
				check(b, out.PublishAt(b.Context(), "0", []byte("cursor"), samples(strconv.Itoa(i), events)...))
			}
		})
	}
}

// filled returns a bus that holds at least n events.
func filled(b *testing.B, n int) *Bus {
	b.Helper()
	return filledOf(b, small(b), n)
}

func filledOf(b *testing.B, o Options, n int) *Bus {
	b.Helper()
	o.MaxBytes = 4 << 30
	bus := open(b, o)
	for i := range n/1000 + 1 {
		events := make([]event.Event, 1000)
		for j := range events {
			events[j] = payload(fmt.Sprintf("%d-%d", i, j))
		}
		check(b, bus.Source("web").Publish(b.Context(), events...))
	}
	return bus
}

func BenchmarkTail(b *testing.B) {
	bus := filled(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	seen := 0
	err := bus.Tail(b.Context(), 1, func(batch event.Batch) error {
		if seen += len(batch.Entries); seen >= b.N {
			return errEnough
		}
		return nil
	})
	b.StopTimer()
	if !errors.Is(err, errEnough) {
		b.Fatal(err)
	}
	b.ReportMetric(float64(seen)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkRange(b *testing.B) {
	bus := filled(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	seen := 0
	for from := uint64(1); seen < b.N; {
		batch, err := bus.Range(b.Context(), from, 512, 4<<20)
		check(b, err)
		seen += len(batch.Entries)
		from = batch.To + 1
	}
	b.StopTimer()
	b.ReportMetric(float64(seen)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkTailWhileOthersCatchUp takes from a publish until Tail gives the event,
// while somebody reads the whole log again and again.
func BenchmarkTailWhileOthersCatchUp(b *testing.B) {
	b.Run("embedded", func(b *testing.B) { tailWhileOthersCatchUp(b, small(b)) })
	b.Run("server", func(b *testing.B) { tailWhileOthersCatchUp(b, far(serve(b, nil))) })
}

func tailWhileOthersCatchUp(b *testing.B, o Options) {
	b.Helper()
	bus := filledOf(b, o, 100_000)
	_, stored, err := bus.Bounds(b.Context())
	check(b, err)
	ctx, cancel := context.WithCancel(b.Context())
	var wait sync.WaitGroup
	came := make(chan struct{})
	wait.Go(func() {
		_ = bus.Tail(ctx, stored+1, func(batch event.Batch) error {
			for range batch.Entries {
				came <- struct{}{}
			}
			return nil
		})
	})
	wait.Go(func() {
		for from := uint64(1); ctx.Err() == nil; {
			batch, err := bus.Range(ctx, from, 1024, 4<<20)
			if from = batch.To + 1; err != nil || from > stored {
				from = 1
			}
		}
	})
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		check(b, bus.Source("live").Publish(b.Context(), payload("live-"+strconv.Itoa(len(took)))))
		<-came
		took = append(took, time.Since(began))
	}
	cancel()
	wait.Wait()
	slices.Sort(took)
	b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "p99-ms")
}

func BenchmarkFetch(b *testing.B) {
	const stored, each = 20_000, 100
	bus := filled(b, stored)
	fetched := 0
	b.ResetTimer()
	for b.Loop() {
		sequences := make([]uint64, each)
		for i := range sequences {
			sequences[i] = uint64(1 + i*(stored/each))
		}
		entries, err := bus.Fetch(b.Context(), sequences)
		check(b, err)
		fetched += len(entries)
	}
	b.ReportMetric(float64(fetched)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkAppendRecord(b *testing.B) {
	o := small(b)
	o.LedgerBytes = 4 << 30
	bus := open(b, o)
	record := make([]byte, 8<<10)
	last := uint64(0)
	for b.Loop() {
		sequence, err := bus.AppendRecord(b.Context(), "c", last, record)
		check(b, err)
		last = sequence
	}
}

func BenchmarkOpen(b *testing.B) {
	o := small(b)
	for b.Loop() {
		bus, err := Open(b.Context(), o)
		check(b, err)
		b.StopTimer()
		shut(b, bus)
		b.StartTimer()
	}
}

// Shards read what can be read again as fast as it goes: full batches of events of
// 256 bytes, from four shards at once.
func BenchmarkPublishAtOfFullShards(b *testing.B) {
	o := small(b)
	o.MaxBytes = 4 << 30
	bus := open(b, o)
	out := bus.Source("log")
	var next atomic.Int64
	var group sync.WaitGroup
	b.ResetTimer()
	for shard := range 4 {
		group.Go(func() {
			for n := next.Add(MaxBatch); n <= int64(b.N); n = next.Add(MaxBatch) {
				events := make([]event.Event, MaxBatch)
				for i := range events {
					events[i] = payload(strconv.FormatInt(n+int64(i), 10))
				}
				check(b, out.PublishAt(b.Context(), strconv.Itoa(shard), []byte("cursor"), events...))
			}
		})
	}
	group.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// Shards move their cursors with one event each, one alone and many at once.
func BenchmarkPublishAtOfShards(b *testing.B) {
	for _, shards := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("shards-%d", shards), func(b *testing.B) {
			o := small(b)
			o.MaxBytes = 4 << 30
			bus := open(b, o)
			var next atomic.Int64
			var group sync.WaitGroup
			b.ResetTimer()
			for shard := range shards {
				group.Go(func() {
					out := bus.Source(fmt.Sprintf("s%d", shard))
					for n := next.Add(1); n <= int64(b.N); n = next.Add(1) {
						check(b, out.PublishAt(b.Context(), "0", []byte("cursor"), payload(strconv.FormatInt(n, 10))))
					}
				})
			}
			group.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}
