package router

import (
	"context"
	"errors"
	"fmt"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

// errFiltered means that there is nothing to deliver.
var errFiltered = errors.New("the transform yields nothing")

// transform returns the event that an attempt delivers. A panic is a failed
// attempt, not a crash (invariant I7).
func (u *run) transform(ctx context.Context, t *Trigger, e *event.Event) (changed *event.Event, err error) {
	if t.Transform == nil {
		return e, nil
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("transform: it panicked: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	leave, err := u.options.Turns.Take(ctx)
	if err != nil {
		return nil, fmt.Errorf("transform: %w", err)
	}
	defer leave()
	changed, err = t.Transform.Apply(ctx, e)
	switch {
	case err == nil:
		return changed, keepHops(e, changed)
	case errors.Is(err, transform.ErrNothing):
		return nil, errFiltered
	}
	err = fmt.Errorf("transform: %w", err)
	if ctx.Err() != nil || errors.Is(err, transform.ErrSlow) {
		return nil, err // it may go another time
	}
	return nil, sinks.Permanent(err)
}

// keepHops keeps the count of replies, whatever a transform makes of it, so that
// a cycle of triggers ends.
func keepHops(from, to *event.Event) error {
	hops := sinks.Hops(from)
	if hops == 0 || sinks.Hops(to) == hops {
		return nil
	}
	return to.SetExtension(sinks.AttributeHops, hops)
}
