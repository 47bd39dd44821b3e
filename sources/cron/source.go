package cron

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/event"
	"sluice/sources"
)

const (
	// shard is the name of the one cursor that a source has.
	shard = "tick"
	// attemptTimeout bounds one publish, so that a hanging one gives its slot
	// back to other schedules before it is tried again.
	attemptTimeout = 15 * time.Second

	retryInitial = 100 * time.Millisecond
	retryMax     = 5 * time.Second
)

// errPartly means that an earlier try was stored, with fewer ticks.
var errPartly = errors.New("an earlier try was stored: the newer ticks follow")

// A source publishes the ticks of one schedule.
type source struct {
	env       sources.Env
	plan      plan
	scheduler *Scheduler
	eventType string
	data      []byte

	oldest atomic.Int64 // of the pending ticks, seconds since 1970; 0: none
	behind atomic.Int64 // how many are pending
}

var _ sources.Lagging = (*source)(nil)

// Lag returns the age of the oldest tick that is not published, and how many
// there are.
func (s *source) Lag() (age time.Duration, items int64) {
	oldest := s.oldest.Load()
	if oldest == 0 {
		return 0, 0
	}
	return s.env.Now().Sub(time.Unix(oldest, 0)), s.behind.Load()
}

// A run is one call of Run.
type run struct {
	*source
	out      sources.Out
	id       string // of this run, in cursors
	progress progress
	anchored time.Time // what the ticks of a rate are counted from
	failing  bool      // the last publish has failed, and that has been reported
}

// Run publishes each tick when its time comes, until ctx ends. It returns an
// error when another instance has moved the cursor, and when an event can never
// be published.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	r := &run{source: s, out: out, id: rand.Text()}
	defer r.note()
	if err := r.begin(ctx); err != nil {
		return unlessDone(ctx, fmt.Errorf("cron source %q: %w", s.env.Name, err))
	}
	alarm := s.scheduler.join()
	defer s.scheduler.leave(alarm)
	for {
		if next, ok := r.progress.next(); ok {
			s.scheduler.set(alarm, next)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-alarm.ring:
		}
		if err := r.publishPending(ctx); err != nil {
			return unlessDone(ctx, fmt.Errorf("cron source %q: %w", s.env.Name, err))
		}
	}
}

// unlessDone returns err, or nil when ctx has ended: then err comes from that.
func unlessDone(ctx context.Context, err error) error {
	select {
	case <-ctx.Done():
		return nil
	default:
		return err
	}
}

// begin finds out where to go on. A schedule that is new, or not the one that the
// cursor was written for, begins now; that is stored at once, so that a kill
// before its first tick does not lose that tick.
func (r *run) begin(ctx context.Context) error {
	stored, err := r.stored(ctx)
	if err != nil {
		return err
	}
	now := r.env.Now().Round(0)
	r.progress = progress{plan: r.plan, seen: stored.Fired}
	anchor := stored.Anchor
	known := stored.Schedule == r.plan.schedule.hash()
	if !known {
		r.progress.seen, anchor = now, now
	}
	if !r.plan.start.IsZero() {
		anchor = r.plan.start
	}
	r.anchor(anchor)
	if !known {
		return r.retry(ctx, func() error { return r.store(ctx, now) })
	}
	if ahead := stored.Fired.Sub(now); ahead > Grace {
		r.env.Logger.LogAttrs(ctx, slog.LevelWarn, "the clock is behind the last tick: nothing fires until it has caught up",
			slog.Time("last_tick", stored.Fired), slog.Duration("behind", ahead))
	}
	return nil
}

// anchor has the ticks of a rate counted from a moment.
func (r *run) anchor(from time.Time) {
	r.progress.schedule = r.progress.schedule.From(from)
	if r.progress.schedule.Rate() {
		r.anchored = from.UTC().Truncate(time.Second)
	}
}

// stored reads the cursor.
func (r *run) stored(ctx context.Context) (cursor, error) {
	data, err := r.out.Cursor(ctx, shard)
	if err != nil {
		return cursor{}, fmt.Errorf("read the cursor: %w", err)
	}
	return readCursor(data)
}

// store moves the cursor, together with events. Having lost an answer, it may
// find that an earlier try of this run was stored after all: then the ticks of
// that try are done, and the error asks for another try with the others.
func (r *run) store(ctx context.Context, fired time.Time, events ...event.Event) error {
	data, err := cursor{Version: cursorVersion, Fired: fired.UTC(), Schedule: r.plan.schedule.hash(), Anchor: r.anchored, Run: r.id}.encode()
	if err != nil {
		return err
	}
	err = r.publishAt(ctx, data, events)
	if !errors.Is(err, event.ErrFenced) || !r.failing {
		return err
	}
	switch stored, readErr := r.stored(ctx); {
	case readErr != nil:
		return readErr
	case stored.Run != r.id:
		return err
	case stored.Fired.Before(fired):
		r.progress.fired(stored.Fired)
		return errPartly
	}
	return nil
}

// publishPending publishes the ticks that are due, in order, and tries again
// until it can. Ticks that come due meanwhile join them.
func (r *run) publishPending(ctx context.Context) error {
	return r.retry(ctx, func() error {
		r.notice(ctx)
		if len(r.progress.pending) == 0 {
			return nil
		}
		if err := r.publish(ctx); err != nil {
			return err
		}
		r.progress.pending = nil
		r.note()
		return nil
	})
}

// retry calls try until it succeeds, ctx ends, or trying again is of no use.
func (r *run) retry(ctx context.Context, try func() error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(retryInitial),
		backoff.WithMaxInterval(retryMax), backoff.WithMaxElapsedTime(0))
	for {
		err := try()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.report(err)
		if err == nil || errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge) {
			return err
		}
		wait := time.NewTimer(pause.NextBackOff())
		select {
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		case <-wait.C:
		}
	}
}

func (r *run) notice(ctx context.Context) {
	if lost := r.progress.notice(r.env.Now()); !lost.IsZero() {
		r.env.Logger.LogAttrs(ctx, slog.LevelInfo, "ticks are skipped, as their time has passed",
			slog.Time("tick", lost), slog.String("catch_up", string(r.plan.catchUp)))
	}
	r.note()
}

// note keeps what Lag returns.
func (r *run) note() {
	var oldest int64
	if len(r.progress.pending) > 0 {
		oldest = r.progress.pending[0].Unix()
	}
	r.oldest.Store(oldest)
	r.behind.Store(int64(len(r.progress.pending)))
}

// publish stores all pending ticks and the cursor behind them at once.
func (r *run) publish(ctx context.Context) error {
	events := make([]event.Event, len(r.progress.pending))
	for i, tick := range r.progress.pending {
		events[i] = r.event(tick)
	}
	fired := r.progress.pending[len(r.progress.pending)-1]
	if err := r.store(ctx, fired, events...); err != nil {
		return fmt.Errorf("publish the tick of %s: %w", fired.Format(time.RFC3339), err)
	}
	return nil
}

// publishAt waits for one of the slots that all schedules share.
func (r *run) publishAt(ctx context.Context, cursor []byte, events []event.Event) error {
	select {
	case r.scheduler.slots <- struct{}{}:
		defer func() { <-r.scheduler.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	return r.out.PublishAt(ctx, shard, cursor, events...)
}

// report tells the source's health when it changes.
func (r *run) report(err error) {
	failing := err != nil
	if failing != r.failing {
		r.env.Report(err)
	}
	r.failing = failing
}

// event builds the event of a tick: the same one however often.
func (s *source) event(tick time.Time) event.Event {
	tick = tick.UTC()
	return event.Event{
		ID:              s.env.Name + "/" + tick.Format(time.RFC3339),
		Source:          "cron://" + url.PathEscape(s.env.Name),
		Type:            s.eventType,
		Subject:         s.env.Name,
		Time:            tick,
		DataContentType: "application/json",
		Data:            s.data,
		// All ticks of a schedule go to one part, where they keep their order.
		Extensions: map[string]any{"partitionkey": s.env.Name},
	}
}
