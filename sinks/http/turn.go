package http

import (
	"context"
	"time"
)

// A turn lets one caller at a time get something that all of them need. Those
// who wait while it fails share the failure.
type turn struct {
	held    chan struct{}
	failure error
	failed  time.Time
}

func newTurn() turn { return turn{held: make(chan struct{}, 1)} }

// take returns nil once there is what is needed; get is called when there is
// not. Neither is called by two at once.
func (t *turn) take(ctx context.Context, there func() bool, get func(context.Context) error) error {
	asked := time.Now()
	select {
	case t.held <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-t.held }()
	switch {
	case there():
		return nil
	case t.failure != nil && t.failed.After(asked):
		return t.failure
	}
	err := get(ctx)
	if err == nil || ctx.Err() == nil { // else the others have time left to ask themselves
		t.failure, t.failed = err, time.Now()
	}
	return err
}
