package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"sluice/event"
)

// maxBytes is when a batch is full before it has as many events as one may have.
const maxBytes = 4 << 20

// A batch is what is published together.
type batch struct {
	events []event.Event
	size   int // of the events, in bytes
	// places are where the cursor is after each event, of changes.
	places []position
	// keys are where it is after each row, of a snapshot.
	keys [][]string
	// after is where it is after all of them.
	after position
	// oldest is when the first of them was committed.
	oldest int64
}

// publishBatch stores the events with the cursor c; after gives the one that
// belongs to a single event. An event that is too large for the bus is stored
// without what makes it so.
func (r *run) publishBatch(ctx context.Context, c *cursor, b *batch, after func(i int) *cursor) error {
	err := r.publish(ctx, c, b.events...)
	if !errors.Is(err, event.ErrTooLarge) {
		return err
	}
	for i := range b.events {
		at := after(i)
		if i == len(b.events)-1 {
			at = c
		}
		err := r.publish(ctx, at, b.events[i])
		if errors.Is(err, event.ErrTooLarge) {
			err = r.publishSlim(ctx, at, &b.events[i], err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// publishSlim stores an event without its large values, so that neither it nor
// what comes after it is lost.
func (r *run) publishSlim(ctx context.Context, at *cursor, e *event.Event, reason error) error {
	small, left, err := slim(e)
	if err != nil {
		return &finalError{err}
	}
	r.env.Logger.Warn("a row is too large for an event and is published without some of its values",
		slog.String("table", e.Subject), slog.String("key", e.PartitionKey()), slog.Any("columns", left), slog.String("error", reason.Error()))
	r.health.set(large, fmt.Errorf("a row of %s (%s) was too large: the event %s has all but its columns %q, which it names in toolarge: %w", e.Subject, e.PartitionKey(), e.ID, left, reason))
	return r.publish(ctx, at, small)
}

// mostKept is the most bytes of a value that an event keeps which is too large.
const mostKept = 512

// slim returns the event without its large values, and their names, which stand in
// toolarge. The attributes stay, and so do the key and all that is small.
func slim(e *event.Event) (event.Event, []string, error) {
	var data map[string]json.RawMessage
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return event.Event{}, nil, fmt.Errorf("the event %s: %w", e.ID, err)
	}
	var left []string
	for _, part := range []string{"key", "old", "new"} {
		if data[part] == nil {
			continue
		}
		var row map[string]json.RawMessage
		if err := json.Unmarshal(data[part], &row); err != nil {
			return event.Event{}, nil, fmt.Errorf("the event %s: %w", e.ID, err)
		}
		for name, value := range row {
			if len(value) > mostKept {
				delete(row, name)
				left = append(left, name)
			}
		}
		whole, err := json.Marshal(row)
		if err != nil {
			return event.Event{}, nil, fmt.Errorf("the event %s: %w", e.ID, err)
		}
		data[part] = whole
	}
	slices.Sort(left)
	left = slices.Compact(left)
	names, err := json.Marshal(left)
	if err != nil {
		return event.Event{}, nil, err
	}
	data["toolarge"] = names
	small := *e
	small.Data, err = json.Marshal(data)
	return small, left, err
}
