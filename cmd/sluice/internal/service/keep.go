package service

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// The waits before something that has failed is run again.
const (
	firstWait  = 500 * time.Millisecond
	longestRun = time.Minute // after which the waits begin anew
	longest    = 30 * time.Second
)

// errEnded means that something returned that was to run on.
var errEnded = errors.New("it has ended by itself")

// A panicError is a panic that was caught.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("it has panicked: %v", e.value) }

// guarded runs run and turns a panic into an error.
func guarded(ctx context.Context, run func(context.Context) error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = &panicError{value: value, stack: debug.Stack()}
		}
	}()
	return run(ctx)
}

// keep runs run again and again until ctx ends, with waits that grow while it
// fails early. Each failure, with the wait that follows, is given to failed.
func keep(ctx context.Context, run func(context.Context) error, failed func(err error, wait time.Duration)) {
	waits := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstWait), backoff.WithMaxInterval(longest), backoff.WithMaxElapsedTime(0),
	)
	for {
		began := time.Now()
		err := guarded(ctx, run)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			err = errEnded
		}
		if time.Since(began) >= longestRun {
			waits.Reset()
		}
		wait := waits.NextBackOff()
		failed(err, wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}
