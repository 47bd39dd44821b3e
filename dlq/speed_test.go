package dlq_test

import (
	"context"
	"testing"
	"time"

	"sluice/bus"
	"sluice/dlq"
)

func BenchmarkReplay(b *testing.B) {
	opened, err := bus.Open(b.Context(), bus.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := opened.Close(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	s, err := dlq.Open(b.Context(), opened.JetStream(), dlq.Options{Prefix: "sluice", Stream: opened.Names().Letters, Log: opened, Settled: always})
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		if err := s.Put(b.Context(), letter(uint64(i+1), "resize")); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	job, err := s.Replay(b.Context(), dlq.ReplayRequest{})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	}()
	for job.State == dlq.Running {
		time.Sleep(time.Millisecond)
		if job, err = s.Job(b.Context(), job.ID); err != nil {
			b.Fatal(err)
		}
	}
}
