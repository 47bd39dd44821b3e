package main

import (
	"context"
	"fmt"
	"time"
)

// drainWithin bounds how long a backlog may take.
const drainWithin = 2 * time.Minute

// A sample is how far a dispatch is at a moment.
type sample struct {
	tally
	cpu time.Duration // of the system and the worker
}

// dispatch has a system deliver a backlog that was published before it
// started.
func (b *bench) dispatch(ctx context.Context, s system, dir string) error {
	if err := s.prepare(ctx, dir); err != nil {
		return err
	}
	if err := publish(ctx, dir, b.events); err != nil {
		return err
	}
	w, i, err := b.pair(ctx, s, dir)
	if err != nil {
		return err
	}
	// What comes first pays for starting: it is left out.
	first, err := b.reach(ctx, w, i, int64(b.events/20))
	if err != nil {
		return err
	}
	last, err := b.reach(ctx, w, i, int64(b.events))
	if err != nil {
		return err
	}
	n := float64(last.Events - first.Events)
	b.book.add(metricDispatch, s.name(), n/time.Duration(last.Last-first.Last).Seconds())
	b.book.add(metricDispatchCPU, s.name(), (last.cpu-first.cpu).Seconds()/n*100_000)
	if again := last.Requests - last.Events; again > 0 {
		_, _ = fmt.Fprintf(b.stderr, "%s delivered %d events more than once\n", s.name(), again)
	}
	return end(w, i)
}

// reach waits until a worker has received so many events.
func (b *bench) reach(ctx context.Context, w *workerProcess, i *instance, events int64) (sample, error) {
	var now sample
	var asked error
	err := until(ctx, i.process, drainWithin, seldom, func() bool {
		now.tally, asked = w.tally(ctx)
		now.cpu = w.cpu() + i.cpu()
		return asked != nil || now.Events >= events
	})
	if err == nil {
		err = asked
	}
	if err != nil {
		return now, fmt.Errorf("%d of %d events have arrived: %w", now.Events, events, err)
	}
	return now, nil
}
