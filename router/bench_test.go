package router_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"sluice/event"
	"sluice/router"
	"sluice/router/pattern"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// BenchmarkDispatch delivers a backlog of small events that lies on the disk,
// with a pattern, the ledger and metrics: to a sink that only counts, and to one
// that posts them to a worker, which is in the same process here.
func BenchmarkDispatch(b *testing.B) {
	b.Run("counted", func(b *testing.B) { benchmarkDispatch(b, nothing{}, router.Batch{}) })
	b.Run("posted", func(b *testing.B) { benchmarkDispatch(b, poster(b, sinkhttp.Binary), router.Batch{}) })
	b.Run("batched", func(b *testing.B) { benchmarkDispatch(b, poster(b, sinkhttp.Batch), router.Batch{Size: 100}) })
}

func benchmarkDispatch(b *testing.B, inner sinks.Sink, batch router.Batch) {
	b.Helper()
	f := newFixture(b)
	placed, err := pattern.Compile([]byte(`{"type":[{"prefix":"bench."}]}`))
	if err != nil {
		b.Fatal(err)
	}
	sink := &counting{inner: inner, done: make(chan struct{})}
	sink.left.Store(int64(b.N))
	trigger := router.Trigger{Name: "work", Pattern: placed, Sink: sink, Concurrency: 64, Batch: batch}
	if err := f.start(trigger).stop(); err != nil { // so that it begins before what is published
		b.Fatal(err)
	}
	fill(b, f, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	running := f.startWith(router.Options{Triggers: []router.Trigger{trigger}, Metrics: prometheus.NewRegistry()})
	<-sink.done
	b.StopTimer()
	if err := running.stop(); err != nil {
		b.Fatal(err)
	}
}

// fill publishes events of 256 bytes.
func fill(b *testing.B, f *fixture, n int) {
	b.Helper()
	out, data := f.bus.Source("in"), []byte(`{"note":"`+strings.Repeat("x", 245)+`"}`)
	for from := 0; from < n; from += 1000 {
		events := make([]event.Event, min(1000, n-from))
		for i := range events {
			events[i] = event.Event{
				ID: strconv.Itoa(from + i), Source: "/bench", Type: "bench.placed", DataContentType: "application/json", Data: data,
			}
		}
		if err := out.Publish(b.Context(), events...); err != nil {
			b.Fatal(err)
		}
	}
}

// A counting sink tells when all deliveries are done.
type counting struct {
	inner sinks.Sink
	left  atomic.Int64
	done  chan struct{}
}

func (c *counting) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	response, err := c.inner.Deliver(ctx, a)
	if err == nil && c.left.Add(-int64(len(a.Deliveries))) == 0 {
		close(c.done)
	}
	return response, err
}

// A sink that does nothing.
type nothing struct{}

func (nothing) Deliver(context.Context, sinks.Attempt) (sinks.Response, error) {
	return sinks.Response{Status: 200}, nil
}

// poster returns the sink of a worker that costs as little as possible.
func poster(b *testing.B, mode sinkhttp.Mode) sinks.Sink {
	b.Helper()
	listener, err := new(net.ListenConfig).Listen(b.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { answer(conn) })
		}
	})
	c := sinkhttp.NewConfig()
	c.URL, c.Mode = "http://"+listener.Addr().String()+"/work", mode
	sink, err := c.Sink(sinks.Env{Name: "work", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = sink.(sinks.Closer).Close()
		_ = listener.Close()
		wait.Wait()
	})
	return sink
}

// answer answers all requests of a connection.
func answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	r, request := bufio.NewReader(conn), fasthttp.Request{}
	for request.Read(r) == nil {
		if _, err := io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n"); err != nil {
			return
		}
	}
}

// BenchmarkAdded publishes 500 events a second, one after the other, and tells
// how long after it was accepted each was with its sink.
func BenchmarkAdded(b *testing.B) {
	f, arrived := newFixture(b), make(chan time.Time, 1)
	sink := sinkFunc(func(context.Context, sinks.Delivery) error {
		arrived <- time.Now()
		return nil
	})
	running := f.startWith(router.Options{Triggers: []router.Trigger{{Name: "work", Sink: sink}}, Metrics: prometheus.NewRegistry()})
	added := make([]time.Duration, 0, b.N)
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	b.ResetTimer()
	for n := range b.N {
		<-pace.C
		f.publish("in", n, n+1)
		accepted := time.Now()
		added = append(added, (<-arrived).Sub(accepted))
	}
	b.StopTimer()
	if err := running.stop(); err != nil {
		b.Fatal(err)
	}
	slices.Sort(added)
	b.ReportMetric(float64(added[len(added)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(added[len(added)*99/100].Microseconds()), "p99-µs")
}
