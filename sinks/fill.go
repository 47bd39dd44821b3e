package sinks

import (
	"context"
	"errors"

	"sluice/event"
	"sluice/event/transform"
)

// Fill lets a sink evaluate its templates for an event, in its turn. What fails
// fails with every attempt, and its error is permanent, but for what has taken
// too long.
func Fill(ctx context.Context, turns *transform.Turns, e *event.Event, fill func(context.Context, *transform.Input) error) error {
	leave, err := turns.Take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	in, err := transform.NewInput(e)
	if err == nil {
		err = fill(ctx, in)
	}
	if err == nil || ctx.Err() != nil || errors.Is(err, transform.ErrSlow) {
		return err // it may go another time
	}
	return Permanent(err)
}
