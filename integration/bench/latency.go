package main

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// warmUp is how long a system is used before it is measured.
const warmUp = time.Second

// latency sends a few events and looks when they reach the worker.
func (b *bench) latency(ctx context.Context, s system, dir string) error {
	w, i, err := b.pair(ctx, s, dir)
	if err != nil {
		return err
	}
	send := newSender(i.ingest, b.clients)
	if err := send.first(ctx, i); err != nil {
		return err
	}
	if _, err := send.steady(ctx, b.rate, warmUp); err != nil {
		return err
	}
	if err := ask(ctx, http.MethodPost, w.url+"/record", nil); err != nil {
		return err
	}
	sent, err := send.steady(ctx, b.rate, time.Duration(b.seconds)*time.Second)
	if err != nil {
		return err
	}
	if _, err := b.reach(ctx, w, i, send.accepted.Load()); err != nil {
		return err
	}
	receipts := map[string]int64{}
	if err := ask(ctx, http.MethodGet, w.url+"/receipts", &receipts); err != nil {
		return err
	}
	if err := b.noteLatency(s, sent, receipts); err != nil {
		return err
	}
	return end(w, i)
}

func (b *bench) noteLatency(s system, sent []sending, receipts map[string]int64) error {
	var added, whole []float64
	for _, one := range sent {
		at, found := receipts[one.id]
		if !found {
			return fmt.Errorf("event %s was accepted and has not arrived", one.id)
		}
		added = append(added, milliseconds(at-one.accepted.UnixNano()))
		whole = append(whole, milliseconds(at-one.sent.UnixNano()))
	}
	b.book.add(metricAdded50, s.name(), percentile(added, 50))
	b.book.add(metricAdded99, s.name(), percentile(added, 99))
	b.book.add(metricWhole50, s.name(), percentile(whole, 50))
	b.book.add(metricWhole99, s.name(), percentile(whole, 99))
	return nil
}

func milliseconds(ns int64) float64 { return float64(ns) / float64(time.Millisecond) }
