//go:build integration

package adapters

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/bus"
	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/sinktest"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

// size is that of the data of the events in benchmarks, in bytes.
const size = 256

// BenchSource measures how fast b.N things become durable events: on the embedded
// bus, synced before every acknowledgement. Where the upstream keeps things they
// are all there before the source begins. name is the row of the table.
func BenchSource(b *testing.B, name string, start func(tb testing.TB) sourcetest.Upstream) {
	b.Helper()
	b.Run(name, func(b *testing.B) { benchSource(b, start) })
}

func benchSource(b *testing.B, start func(tb testing.TB) sourcetest.Upstream) {
	b.Helper()
	opened, err := bus.Open(b.Context(), bus.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = opened.Close(context.Background()) })
	u := start(b)
	out := &counter{Out: opened.Source("in"), want: int64(b.N), done: make(chan struct{})}
	if u.Keeps {
		fill(b, u)
	}
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	b.ResetTimer()
	go func() { ended <- u.Source(b).Run(ctx, out) }()
	if !u.Keeps {
		fill(b, u)
	}
	select {
	case <-out.done:
	case err := <-ended:
		b.Fatalf("Run returned %v after %d of %d events", err, out.count.Load(), b.N)
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

func fill(b *testing.B, u sourcetest.Upstream) {
	b.Helper()
	if err := u.Fill(b.Context(), b.N, size); err != nil {
		b.Fatal(err)
	}
}

// A counter is an Out that tells when so many events are durable.
type counter struct {
	sources.Out

	want  int64
	count atomic.Int64
	done  chan struct{}
}

func (c *counter) Publish(ctx context.Context, events ...event.Event) error {
	err := c.Out.Publish(ctx, events...)
	return c.counted(len(events), err)
}

func (c *counter) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	err := c.Out.PublishAt(ctx, shard, cursor, events...)
	return c.counted(len(events), err)
}

func (c *counter) counted(n int, err error) error {
	if err != nil {
		return err
	}
	if now := c.count.Add(int64(n)); now >= c.want && now-int64(n) < c.want {
		close(c.done)
	}
	return nil
}

const (
	callers   = 32  // attempts at once
	batchSize = 100 // deliveries of one
)

// BenchSink measures how fast b.N deliveries are durable in the store: many
// attempts at once, each of one delivery, and then each of a hundred where the
// sink takes batches. name is the row of the table.
func BenchSink(b *testing.B, name string, start func(tb testing.TB) sinktest.Store) {
	b.Helper()
	b.Run(name, func(b *testing.B) {
		batches := false
		b.Run("single", func(b *testing.B) {
			st := start(b)
			batches = st.Batches
			benchSink(b, st, 1)
		})
		if batches {
			b.Run("batches", func(b *testing.B) { benchSink(b, start(b), batchSize) })
		}
	})
}

func benchSink(b *testing.B, st sinktest.Store, per int) {
	b.Helper()
	sink := st.Sink(b)
	var next atomic.Int64
	errs := make(chan error, callers)
	b.ResetTimer()
	var all sync.WaitGroup
	for range callers {
		all.Go(func() { errs <- deliverAll(b, sink, &next, per) })
	}
	all.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	close(errs)
	for err := range errs {
		if err != nil {
			b.Error(err)
		}
	}
	if closer, ok := sink.(sinks.Closer); ok {
		if err := closer.Close(); err != nil {
			b.Error(err)
		}
	}
}

// deliverAll takes its share of the deliveries until none are left.
func deliverAll(b *testing.B, sink sinks.Sink, next *atomic.Int64, per int) error {
	b.Helper()
	for {
		from := int(next.Add(int64(per))) - per
		if from >= b.N {
			return nil
		}
		a := sinks.Attempt{Trigger: "bench", Claim: 1, Batch: per > 1}
		for n := from; n < min(from+per, b.N); n++ {
			a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.bench", n), Attempt: 1, Event: payload(n)})
		}
		if err := deliver(b.Context(), sink, a); err != nil {
			return err
		}
	}
}

// deliver tries again what was throttled, as a trigger does.
func deliver(ctx context.Context, sink sinks.Sink, a sinks.Attempt) error {
	for {
		_, err := sink.Deliver(ctx, a)
		if throttled, ok := errors.AsType[*sinks.ThrottledError](err); !ok {
			return err
		} else if throttled.After > 0 {
			<-time.After(throttled.After)
		}
	}
}

// payload returns the event of a number, whose data has the size of all of them.
func payload(n int) *event.Event {
	data := fmt.Sprintf(`{"n":%d,"pad":"`, n)
	return &event.Event{
		ID: fmt.Sprintf("e%d", n), Source: "/bench", Type: "bench", DataContentType: "application/json",
		Data:       fmt.Appendf(nil, `%s%0*d"}`, data, size-len(data)-2, 0),
		Extensions: map[string]any{"partitionkey": fmt.Sprintf("k%d", n%16)},
	}
}
