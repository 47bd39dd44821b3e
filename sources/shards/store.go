package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"sluice/event"
)

// idle is into how many parts the time is divided that a stream keeps its
// records: in each of them it is stored once of a shard without records that it
// has been read.
const idle = 48

// store publishes a page, with how far the shard has been read.
func (r *reader) store(ctx context.Context, page *Page) error {
	asOf, over := r.asOf(page), page.Next == ""
	all := batches(r.wanted(page.Records), &r.cursor)
	for i := range all {
		if err := r.put(ctx, all[i], asOf, over && i == len(all)-1); err != nil {
			return err
		}
	}
	stale := asOf.Sub(time.UnixMilli(r.cursor.AsOf)) > max(r.retention()/idle, time.Minute)
	if len(all) > 0 || (!over && !stale) {
		return nil
	}
	return r.put(ctx, batch{}, asOf, over)
}

// wanted leaves out what is older than the source's beginning.
func (r *reader) wanted(records []Record) []Record {
	if r.oldest.IsZero() {
		return records
	}
	first := slices.IndexFunc(records, func(a Record) bool { return !a.Time.Before(r.oldest) })
	if first < 0 {
		return nil
	}
	r.oldest = time.Time{} // what follows is newer
	return records[first:]
}

// put publishes a batch, which may be empty, together with the cursor.
func (r *reader) put(ctx context.Context, b batch, asOf time.Time, done bool) error {
	next := cursor{Life: r.life, Shard: r.known.ID, Sequence: r.cursor.Sequence, Skip: r.cursor.Skip, AsOf: asOf.UnixMilli(), Done: done}
	if b.end.sequence != "" {
		next.Sequence, next.Skip = b.end.sequence, b.end.skip
	}
	data, err := encode(&next)
	if err != nil {
		return err
	}
	err = r.persist(ctx, r.known.ID, func() error {
		return r.out.PublishAt(ctx, slotShard(r.known.Slot), data, b.events...)
	})
	switch {
	case err == nil:
		r.cursor, r.late = next, false
		return nil
	case !errors.Is(err, event.ErrTooLarge) || len(b.events) == 0:
		return err
	case len(b.events) == 1:
		return r.large(ctx, b, asOf, done, err)
	}
	halves := b.halves()
	if err := r.put(ctx, halves[0], asOf, false); err != nil {
		return err
	}
	return r.put(ctx, halves[1], asOf, done)
}

// large decides about an event that the bus does not take.
func (r *reader) large(ctx context.Context, b batch, asOf time.Time, done bool, err error) error {
	e := &b.events[0]
	if r.options.Large != Skip {
		return fmt.Errorf("it waits before event %q of %d bytes: %w: raise bus.max_event, or write on_large: skip to leave such events out", e.ID, event.Size(e), err)
	}
	r.options.Logger.Error("an event is left out: it is too large for the bus",
		slog.String("shard", r.known.ID), slog.String("id", e.ID), slog.Int("bytes", event.Size(e)), slog.String("error", err.Error()))
	return r.put(ctx, batch{end: b.end}, asOf, done)
}
