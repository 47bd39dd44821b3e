package main

import (
	"context"
	"fmt"
	"time"
)

// warmUp is how long a system is used before it is measured.
const warmUp = time.Second

// steadyClients is how many requests may be under way when events come at an
// even rate: more than there ever are.
const steadyClients = 1024

// latency sends a few events and looks when they reach the worker.
func (b *bench) latency(ctx context.Context, s system, dir string) error {
	w, i, err := b.pair(ctx, s, dir, pathNoted)
	if err != nil {
		return err
	}
	send := newSender(i, steadyClients)
	if err := send.first(ctx, i); err != nil {
		return err
	}
	if _, err := send.steady(ctx, b.rate, warmUp); err != nil {
		return err
	}
	sent, err := send.steady(ctx, b.rate, time.Duration(b.seconds)*time.Second)
	if err != nil {
		return err
	}
	if _, err := b.reach(ctx, w, i, pathNoted, send.accepted.Load()); err != nil {
		return err
	}
	added, whole, err := latencies(ctx, w, sent)
	if err != nil {
		return err
	}
	b.book.add(metricAdded50, s.name(), percentile(added, 50))
	b.book.add(metricAdded99, s.name(), percentile(added, 99))
	b.book.add(metricWhole50, s.name(), percentile(whole, 50))
	b.book.add(metricWhole99, s.name(), percentile(whole, 99))
	return end(w, i)
}

// latencies returns how many milliseconds after it was accepted, and after it
// was sent, each event came to the worker.
func latencies(ctx context.Context, w *workerProcess, sent []sending) (added, whole []float64, err error) {
	receipts, err := w.notes(ctx, pathNoted)
	if err != nil {
		return nil, nil, err
	}
	for _, one := range sent {
		at, found := receipts[one.id]
		if !found {
			return nil, nil, fmt.Errorf("event %s was accepted and has not arrived", one.id)
		}
		added = append(added, milliseconds(at-one.accepted.UnixNano()))
		whole = append(whole, milliseconds(at-one.sent.UnixNano()))
	}
	return added, whole, nil
}

func milliseconds(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
