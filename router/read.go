package router

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/event"
	"sluice/router/core"
)

// sweepBytes is how many bytes one stretch of a sweep holds at most.
const sweepBytes = 4 << 20

// tail reads the log from the mark on, matches it, and hands it to the core,
// until ctx ends. When reading fails it goes on where it was.
func (u *run) tail(ctx context.Context) {
	next := u.from
	u.persist(ctx, "log", func() error {
		return u.options.Log.Tail(ctx, next, func(batch event.Batch) error {
			u.linger(ctx)
			select {
			case u.ahead <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			t := u.configured.Load()
			matched, err := t.match(batch.Entries, u.loader(ctx))
			if err != nil {
				<-u.ahead
				return err
			}
			u.metrics.read(len(batch.Entries))
			u.inbox.put(core.Matched{From: batch.From, To: batch.To, Version: t.version, Entries: matched})
			next = batch.To + 1
			u.health.set("log", nil)
			return nil
		})
	})
}

// lingerMost is how long the shared reader holds back one stretch.
const lingerMost = 100 * time.Millisecond

// linger holds the shared reader back while every trigger is behind, so that
// they meet it again, rather than read the whole log a second time. Whoever
// reaches it lets it go on: it delays nobody.
func (u *run) linger(ctx context.Context) {
	if !u.saturated.Load() {
		return
	}
	timer := time.NewTimer(lingerMost)
	defer timer.Stop()
	for u.saturated.Load() {
		select {
		case <-u.hurry:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// pace tells the shared reader whether somebody waits for it.
func (u *run) pace() {
	t := u.configured.Load()
	if t == nil {
		return
	}
	saturated := u.core.Saturated(t.numbers[unroutable])
	if u.saturated.Swap(saturated) && !saturated {
		select {
		case u.hurry <- struct{}{}:
		default:
		}
	}
}

// persist repeats a call until it succeeds or ctx ends; a failure is shown in
// the health, and logged when it is news.
func (r *Router) persist(ctx context.Context, part string, call func() error) {
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(10*time.Millisecond), backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(0),
	)
	for ctx.Err() == nil {
		err := call()
		if err == nil || ctx.Err() != nil {
			r.recovered(part)
			return
		}
		r.heldUp(part, err)
		select {
		case <-time.After(pace.NextBackOff()):
		case <-ctx.Done():
		}
	}
}

// heldUp shows what holds a part up, and logs it when it is news.
func (r *Router) heldUp(part string, err error) {
	if r.health.set(part, err) {
		r.logger.Warn("held up, trying again", slog.String("part", part), slog.Any("error", err))
	}
}

func (r *Router) recovered(part string) {
	if r.health.set(part, nil) {
		r.logger.Info("works again", slog.String("part", part))
	}
}

var errNothing = errors.New("the log returned nothing below its end")

// sweep answers the core's reads.
func (u *run) sweep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case read := <-u.reads:
			u.persist(ctx, "catch-up", func() error { return u.sweepOnce(ctx, read) })
		}
	}
}

func (u *run) sweepOnce(ctx context.Context, read core.Read) error {
	t := u.configured.Load()
	batch, err := u.options.Log.Range(ctx, read.From, read.Max, sweepBytes)
	if batch.To < read.From {
		return errors.Join(err, errNothing)
	}
	matched, err := t.match(batch.Entries, u.loader(ctx))
	if err != nil {
		return err
	}
	u.inbox.put(core.Swept{From: read.From, To: batch.To, Version: t.version, Entries: matched})
	return nil
}

// fetch answers the core's requests for bodies.
func (u *run) fetch(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case wanted := <-u.fetches:
			u.persist(ctx, "fetch", func() error { return u.fetchOnce(ctx, wanted) })
		}
	}
}

func (u *run) fetchOnce(ctx context.Context, wanted core.Fetch) error {
	entries, err := u.options.Log.Fetch(ctx, wanted.Sequences)
	if err != nil {
		return err
	}
	fetched := core.Fetched{Entries: make([]core.Entry, len(entries))}
	for i, body := range entries {
		fetched.Entries[i] = core.Entry{Sequence: body.Sequence, Size: body.Size, Body: body}
	}
	u.inbox.put(fetched)
	return nil
}
