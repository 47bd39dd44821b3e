package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

const (
	liveName = "live"
	liveType = "bench.live"
)

// backlog has many events wait for a paused trigger. It looks how long events of
// another trigger take, first while they wait, and then while they are delivered;
// and how fast they are, once nothing else happens.
func (b *bench) backlog(ctx context.Context, dir string) error {
	s := b.sluice.with(func(to string) string {
		return theSource + "triggers:\n" + trigger(triggerName, to+pathWork, eventType, "") + trigger(liveName, to+pathNoted, liveType, "")
	})
	w, i, err := b.readyPair(ctx, s, dir, "")
	if err != nil {
		return err
	}
	if err := i.command(ctx, "pause"); err != nil {
		return err
	}
	i, _, err = b.restart(ctx, i, s, dir, w.url, syscall.SIGTERM, func() error { return publish(ctx, dir, 0, b.waiting) })
	if err != nil {
		return err
	}
	resume := func() error { return i.command(ctx, "resume") }
	alone, meanwhile, err := b.live(ctx, w, i, resume)
	if err != nil {
		return err
	}
	if err := b.caughtUp(ctx, w, i); err != nil {
		return err
	}
	b.book.add(metricLive99, nameSluice, alone)
	b.book.add(metricBusy99, nameSluice, meanwhile)
	return end(w, i)
}

// live sends events of the other trigger, calls resume, and sends more. It
// returns the 99th percentiles of both.
func (b *bench) live(ctx context.Context, w *workerProcess, i *instance, resume func() error) (alone, meanwhile float64, err error) {
	send, during := newSender(i, steadyClients), time.Duration(b.seconds)*time.Second
	send.kind = liveType
	send.next.Store(int64(b.waiting)) // ids of their own
	if _, err := send.steady(ctx, b.rate, warmUp); err != nil {
		return 0, 0, err
	}
	// What was published while sluice did not run has been read by then.
	if _, err := b.reach(ctx, w, i, pathNoted, send.accepted.Load()); err != nil {
		return 0, 0, err
	}
	before, err := send.steady(ctx, b.rate, during)
	if err != nil {
		return 0, 0, err
	}
	if err := resume(); err != nil {
		return 0, 0, err
	}
	after, err := send.steady(ctx, b.rate, during)
	if err != nil {
		return 0, 0, err
	}
	if _, err := b.reach(ctx, w, i, pathNoted, send.accepted.Load()); err != nil {
		return 0, 0, err
	}
	for _, part := range []struct {
		sent []sending
		to   *float64
	}{{before, &alone}, {after, &meanwhile}} {
		added, _, err := latencies(ctx, w, part.sent)
		if err != nil {
			return 0, 0, err
		}
		*part.to = percentile(added, 99)
	}
	return alone, meanwhile, nil
}

// caughtUp measures the rest of the backlog.
func (b *bench) caughtUp(ctx context.Context, w *workerProcess, i *instance) error {
	first, err := b.reach(ctx, w, i, pathWork, 1)
	if err != nil {
		return err
	}
	if least := int64(b.waiting) / 10; int64(b.waiting)-first.Events < least {
		return fmt.Errorf("-waiting %d: after %d seconds %d of them were delivered, so that too few were left to measure", b.waiting, b.seconds, first.Events)
	}
	last, err := b.reach(ctx, w, i, pathWork, int64(b.waiting))
	if err != nil {
		return err
	}
	d := first.until(last)
	b.book.add(metricCatchUp, nameSluice, d.rate)
	b.book.add(metricCatchUpCPU, nameSluice, d.cpu)
	b.book.add(metricCatchUpMemory, nameSluice, float64(i.most())/(1<<20))
	return nil
}
