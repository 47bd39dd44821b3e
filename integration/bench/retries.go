package main

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/event"
)

const (
	otherName = "other"
	otherType = "bench.other"
	// retrySteps is in how many requests the events come, evenly over a second.
	retrySteps = 100
)

// retries has many first attempts fail evenly over one second, so that as many
// retries are due in one second, and looks how late each comes; and how late
// those of another trigger come meanwhile.
func (b *bench) retries(ctx context.Context, dir string) error {
	s := b.sluice.with(func(to string) string {
		return theSource + "triggers:\n" + trigger(triggerName, to, eventType, "") + trigger(otherName, to, otherType, "")
	})
	w, i, err := b.readyPair(ctx, s, dir, pathRetry)
	if err != nil {
		return err
	}
	if err := b.sendForRetry(ctx, i); err != nil {
		return err
	}
	step := b.retried / retrySteps
	if _, err := b.reach(ctx, w, i, pathRetry, int64(retrySteps*(step+1))); err != nil {
		return err
	}
	notes, err := w.notes(ctx, pathRetry)
	if err != nil {
		return err
	}
	var late, others []float64
	for id, nanoseconds := range notes {
		n, err := strconv.Atoi(strings.TrimPrefix(id, idPrefix))
		if err != nil {
			return err
		}
		if n < retrySteps*step {
			late = append(late, milliseconds(nanoseconds))
		} else {
			others = append(others, milliseconds(nanoseconds))
		}
	}
	b.book.add(metricRetry50, nameSluice, percentile(late, 50))
	b.book.add(metricRetry99, nameSluice, percentile(late, 99))
	b.book.add(metricOther99, nameSluice, percentile(others, 99))
	return end(w, i)
}

// sendForRetry sends, in each of a hundred steps of a second, a hundredth of the
// events of the one trigger and one of the other.
func (b *bench) sendForRetry(ctx context.Context, i *instance) error {
	send, step := newSender(i, retrySteps), b.retried/retrySteps
	failed := make([]error, retrySteps)
	var wait sync.WaitGroup
	defer wait.Wait()
	tick := time.NewTicker(time.Second / retrySteps)
	defer tick.Stop()
	for n := range retrySteps {
		events := make([]event.Event, 0, step+1)
		for k := range step {
			events = append(events, makeEvent(n*step+k, time.Now()))
		}
		other := makeEvent(retrySteps*step+n, time.Now())
		other.Type = otherType
		events = append(events, other)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		wait.Go(func() { failed[n] = send.batch(events...) })
	}
	wait.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}
