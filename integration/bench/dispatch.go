package main

import (
	"context"
	"fmt"
	"time"
)

// drainWithin bounds how long a backlog may take.
const drainWithin = 10 * time.Minute

// A sample is how far a dispatch is at a moment.
type sample struct {
	tally
	cpu time.Duration // of the system and the worker
}

// A dispatch is what came of delivering a backlog.
type dispatch struct {
	rate float64 // events/s
	cpu  float64 // seconds of a processor for 100,000 events, with the worker's
	most int64   // resident memory of the system at most, bytes
}

// dispatch has a system deliver a backlog, one event a request.
func (b *bench) dispatch(ctx context.Context, s system, dir string) error {
	d, err := b.drain(ctx, s, dir, pathWork, b.events, 1)
	if err != nil {
		return err
	}
	b.book.add(metricDispatch, s.name(), d.rate)
	b.book.add(metricDispatchCPU, s.name(), d.cpu)
	b.book.add(metricDispatchMemory, s.name(), float64(d.most)/(1<<20))
	return nil
}

// drain has a system deliver a backlog of events, each so many times, that was
// published before it started.
func (b *bench) drain(ctx context.Context, s system, dir, path string, events, times int) (d dispatch, err error) {
	if err := s.backlog(ctx, dir, events); err != nil {
		return d, err
	}
	w, i, err := b.pair(ctx, s, dir, path)
	if err != nil {
		return d, err
	}
	// What comes first pays for starting: it is left out.
	all := int64(events) * int64(times)
	first, err := b.reach(ctx, w, i, path, all/20)
	if err != nil {
		return d, err
	}
	last, err := b.reach(ctx, w, i, path, all)
	if err != nil {
		return d, err
	}
	if again := last.Requests - last.Events; again > 0 {
		_, _ = fmt.Fprintf(b.stderr, "%s made %d more requests than there were events\n", s.name(), again)
	}
	d = first.until(last)
	d.most = i.most()
	return d, end(w, i)
}

// until returns what came between two samples.
func (s sample) until(last sample) dispatch {
	n := float64(last.Events - s.Events)
	return dispatch{
		rate: n / time.Duration(last.Last-s.Last).Seconds(),
		cpu:  (last.cpu - s.cpu).Seconds() / n * 100_000,
	}
}

// reach waits until so many events have come to a worker's path.
func (b *bench) reach(ctx context.Context, w *workerProcess, i *instance, path string, events int64) (sample, error) {
	var now sample
	var asked error
	err := until(ctx, i.process, drainWithin, seldom, func() bool {
		now.tally, asked = w.tally(ctx, path)
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
