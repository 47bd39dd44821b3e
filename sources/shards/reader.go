package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/event"
)

const (
	// margin is how much earlier than its first start a stream is read that begins
	// with the newest, when it was stopped before it had a cursor: the clocks here
	// and there differ.
	margin = time.Minute
	// patience is how many times in a row a service may say that it is asked too
	// often before that is told.
	patience = 5
)

// A reader reads one shard.
type reader struct {
	*run
	known    known
	cursor   cursor
	iterator string
	sought   bool      // an iterator was asked for
	oldest   time.Time // what is older is left out; zero for nothing
	pause    backoff.BackOff
	refused  int    // how many times in a row
	missed   uint64 // how often the stream had been looked at when the shard was first not there
	late     bool   // it was told that the cursor is older than what the stream keeps
}

// follow returns nil when the shard is at its end, or ctx is.
func (r *reader) follow(ctx context.Context) error {
	r.pause = newBackoff(firstRetry)
	if err := r.load(ctx); err != nil || r.cursor.Done {
		return err
	}
	for ctx.Err() == nil {
		began := time.Now()
		page, err := r.turn(ctx)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // who ended ctx knows
		case err != nil:
			if over, err := r.handle(ctx, err); over || err != nil {
				return err
			}
		case page.Next == "":
			return nil
		default:
			sleep(ctx, r.rest(page)-time.Since(began))
		}
	}
	return nil
}

// rest returns the time from one request to the next.
func (r *reader) rest(page *Page) time.Duration {
	if page.Behind > 0 || len(page.Records) > 0 {
		return MinPoll
	}
	return r.options.Poll
}

// load reads how far the shard has been read.
func (r *reader) load(ctx context.Context) error {
	shard := slotShard(r.known.Slot)
	r.cursor = cursor{Life: r.life, Shard: r.known.ID}
	var data []byte
	err := r.persist(ctx, r.known.ID, func() (err error) {
		data, err = r.out.Cursor(ctx, shard)
		return err
	})
	if err != nil || len(data) == 0 {
		return err
	}
	var stored cursor
	if err := decode(data, &stored); err != nil {
		return damaged(shard, err)
	}
	if stored.Life == r.life && stored.Shard == r.known.ID {
		r.cursor = stored
	}
	return nil
}

// turn reads a page and publishes it.
func (r *reader) turn(ctx context.Context) (*Page, error) {
	select {
	case r.room <- struct{}{}:
		defer func() { <-r.room }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.iterator == "" {
		if err := r.seek(ctx); err != nil {
			return nil, err
		}
	}
	page, err := r.options.Stream.Read(ctx, r.known.ID, r.iterator)
	if err != nil {
		return nil, err
	}
	if err := r.store(ctx, &page); err != nil {
		return nil, err
	}
	r.iterator = page.Next
	r.well(&page)
	return &page, nil
}

var errOld = fmt.Errorf("%w: it was not read for longer than the stream keeps its records", ErrTrimmed)

// seek asks for an iterator.
func (r *reader) seek(ctx context.Context) error {
	keeps := r.retention()
	if asOf := time.UnixMilli(r.cursor.AsOf); r.cursor.AsOf > 0 && keeps > 0 && !r.late && r.options.Now().Sub(asOf) > keeps {
		return errOld
	}
	at := r.cursor.position(r.known.Start, r.since)
	if at.From == Latest && (r.resumed || r.sought) {
		// What is newest now was not then.
		at.From, r.oldest = Horizon, r.since.Add(-margin)
	}
	r.sought = true
	iterator, err := r.options.Stream.Iterator(ctx, r.known.ID, at)
	if err != nil {
		return err
	}
	r.iterator = iterator
	return nil
}

// well takes note of a page that was read and published.
func (r *reader) well(page *Page) {
	r.refused, r.missed = 0, 0
	r.pause.Reset()
	r.health.set(r.known.ID, nil)
	r.lags.set(r.known.ID, max(r.options.Now().Sub(r.asOf(page)), 0))
}

// asOf returns up to when a shard is read with the page.
func (r *reader) asOf(page *Page) time.Time {
	now := r.options.Now()
	switch {
	case page.Behind >= 0:
		return now.Add(-page.Behind)
	case len(page.Records) > 0:
		return page.Records[len(page.Records)-1].Time
	}
	return now
}

// handle does what there is to do about an error. It tells whether the shard is
// over, and returns an error that ends the run.
func (r *reader) handle(ctx context.Context, err error) (over bool, fatal error) {
	switch {
	case errors.Is(err, event.ErrFenced):
		return false, err
	case errors.Is(err, event.ErrTooLarge):
		r.again()
		r.health.set(r.known.ID, err)
		sleep(ctx, maxRetry)
	case errors.Is(err, ErrExpired):
		r.again()
		r.wait(ctx, err)
	case errors.Is(err, ErrTrimmed):
		r.again()
		r.lost(ctx, err)
	case errors.Is(err, ErrNoShard):
		r.again()
		return r.gone(ctx, err)
	case errors.Is(err, ErrThrottled):
		r.wait(ctx, err)
	default:
		if r.cursor.Sequence != "" {
			r.again()
		}
		r.refused = max(r.refused, patience)
		r.wait(ctx, err)
	}
	return false, nil
}

// again has an iterator asked for from where the shard has been published.
func (r *reader) again() { r.iterator = "" }

// wait waits before the next try, and tells why when it is not the first one.
func (r *reader) wait(ctx context.Context, err error) {
	r.refused++
	if r.refused > patience {
		r.health.set(r.known.ID, err)
	}
	sleep(ctx, r.pause.NextBackOff())
}

// gone decides about a shard that the service does not know. The stream may have
// been deleted, which whoever looks at it next is told.
func (r *reader) gone(ctx context.Context, err error) (over bool, fatal error) {
	there, looked := r.shows(r.known.ID)
	switch {
	case r.missed == 0:
		r.missed = looked
	case looked > r.missed && !there:
		if r.lost(ctx, err); ctx.Err() != nil {
			return false, nil //nolint:nilerr // who ended ctx knows
		}
		return true, r.put(ctx, batch{}, r.options.Now(), true)
	}
	r.health.set(r.known.ID, err)
	select {
	case r.look <- struct{}{}:
	default:
	}
	sleep(ctx, r.pause.NextBackOff())
	return false, nil
}

// lost goes on with the oldest record that is there, or waits until ctx ends. Where
// it is the time alone that tells of a loss, the service is asked for what comes
// behind the cursor: it may trim late, and the oldest record would come twice.
func (r *reader) lost(ctx context.Context, cause error) {
	if r.options.Lost != Continue {
		r.health.set(r.known.ID, fmt.Errorf("records are lost %s, and the shard waits: %w: write on_lost: continue to go on with the oldest that is there", r.cursor.behind(), cause))
		<-ctx.Done()
		return
	}
	r.options.Logger.Error("records are lost: going on with the oldest that is there",
		slog.String("shard", r.known.ID), slog.String("after", r.cursor.Sequence), slog.String("reason", cause.Error()))
	r.health.lost(r.known.ID, fmt.Errorf("records are lost %s (on_lost: continue): %w", r.cursor.behind(), cause))
	if r.late = errors.Is(cause, errOld); r.late {
		return
	}
	r.known.Start, r.oldest = Horizon, time.Time{}
	r.cursor.Sequence, r.cursor.Skip, r.cursor.AsOf = "", 0, r.options.Now().UnixMilli()
}
