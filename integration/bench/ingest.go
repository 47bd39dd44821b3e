package main

import (
	"context"
	"syscall"
	"time"
)

// ingest floods a system that has nothing else to do.
func (b *bench) ingest(ctx context.Context, s system, dir string) error {
	i, err := s.start(ctx, dir, "")
	if err != nil {
		return err
	}
	send := newSender(i, b.clients)
	if err := send.first(ctx, i); err != nil {
		return err
	}
	if _, err := send.flood(ctx, b.clients, warmUp); err != nil {
		return err
	}
	began, cpu := time.Now(), i.cpu()
	took, err := send.flood(ctx, b.clients, time.Duration(b.seconds)*time.Second)
	if err != nil {
		return err
	}
	spent, used, n := time.Since(began), i.cpu()-cpu, float64(len(took))
	answers := make([]float64, len(took))
	for k, d := range took {
		answers[k] = milliseconds(int64(d))
	}
	b.book.add(metricIngest, s.name(), n/spent.Seconds())
	b.book.add(metricIngest50, s.name(), percentile(answers, 50))
	b.book.add(metricIngest99, s.name(), percentile(answers, 99))
	b.book.add(metricIngestCPU, s.name(), used.Seconds()/n*100_000)
	b.book.add(metricIngestMemory, s.name(), float64(i.most())/(1<<20))
	return i.stop(syscall.SIGTERM)
}
