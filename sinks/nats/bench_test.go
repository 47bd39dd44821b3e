package nats_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"sluice/sinks"
	sinknats "sluice/sinks/nats"
)

// BenchmarkDeliver compares the sink with the client's own requests, 64 at once,
// to one worker that acknowledges.
func BenchmarkDeliver(b *testing.B) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true})
	if err != nil {
		b.Fatal(err)
	}
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(patience) {
		b.Fatal("the server is not ready")
	}
	conn, err := nats.Connect(s.ClientURL())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Subscribe("work", func(m *nats.Msg) { _ = m.Ack() }); err != nil {
		b.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		b.Fatal(err)
	}
	b.Run("sink", func(b *testing.B) { benchmarkSink(b, s.ClientURL()) })
	b.Run("request", func(b *testing.B) {
		asking, err := nats.Connect(s.ClientURL())
		if err != nil {
			b.Fatal(err)
		}
		defer asking.Close()
		inParallel(b, func(ctx context.Context) error {
			_, err := asking.RequestWithContext(ctx, "work", sample().Data)
			return err
		})
	})
}

func benchmarkSink(b *testing.B, url string) {
	b.Helper()
	c := sinknats.NewConfig()
	c.URL, c.Subject = url, "work"
	sink, err := c.Sink(sinks.Env{Name: "bench", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = sink.(sinks.Closer).Close() }()
	a := attempt("d")
	inParallel(b, func(ctx context.Context) error {
		_, err := sink.Deliver(ctx, a)
		return err
	})
}

func inParallel(b *testing.B, do func(context.Context) error) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	defer cancel()
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := do(ctx); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
