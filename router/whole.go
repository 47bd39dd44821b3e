package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/pattern"
	"sluice/sinks"
)

const (
	// wholeMost is how many bytes of data that is kept apart from its events are
	// held at once for attempts, and wholeShare how many of them by one trigger. A
	// single event that has more is held by itself.
	wholeMost  = event.MaxSize
	wholeShare = wholeMost / 2
	// wholeAgain is when a delivery is attempted again whose data could not be
	// had.
	wholeAgain = time.Second
)

// loader returns what patterns load data with.
func (r *Router) loader(ctx context.Context) pattern.Loader {
	return func(large *event.Large) ([]byte, error) { return r.options.Log.Body(ctx, large) }
}

// weigh returns how many bytes of data that is kept apart a delivery needs.
func weigh(s *core.Start) int64 {
	entry, _ := s.Body.(*event.Entry)
	if entry == nil || entry.Event == nil || entry.Event.Large == nil {
		return 0
	}
	return entry.Event.Large.Size
}

// fitting returns how many of the first n deliveries fit together into what one
// trigger may hold, one at least.
func fitting(waiting []gathered, n int) int {
	held := int64(0)
	for i := range n {
		if held += weigh(&waiting[i].Start); held > wholeShare && i > 0 {
			return i
		}
	}
	return n
}

// reserve waits until the data of an attempt may be held, first within the share
// of its trigger, then within what all may hold. A trigger whose sink hangs leaves
// half of it to the others; several such, or one with events of more than that,
// leave nothing until their attempts time out. It fails when ctx ends.
func (u *run) reserve(ctx context.Context, t *Trigger, starts []core.Start) (release func(), err error) {
	weight := int64(0)
	for i := range starts {
		weight += weigh(&starts[i])
	}
	if weight == 0 || t == nil {
		return func() {}, nil
	}
	share, all := min(weight, wholeShare), min(weight, wholeMost)
	if err := t.held.Acquire(ctx, share); err != nil {
		return nil, err
	}
	if err := u.held.Acquire(ctx, all); err != nil {
		t.held.Release(share)
		return nil, err
	}
	return func() { u.held.Release(all); t.held.Release(share) }, nil
}

// whole returns an event with its data. Data that is lost ends the delivery; when
// it cannot be had now, the delivery waits, and that is no attempt.
func (u *run) whole(ctx context.Context, e *event.Event) (*event.Event, error) {
	if e.Large == nil {
		return e, nil
	}
	data, err := u.options.Log.Body(ctx, e.Large)
	switch {
	case errors.Is(err, event.ErrLost):
		return nil, sinks.Permanent(err)
	case err != nil:
		return nil, &sinks.ThrottledError{Err: fmt.Errorf("the event's data could not be read: %w", err), After: wholeAgain}
	}
	full := *e
	full.Data, full.Large = data, nil
	return &full, nil
}
