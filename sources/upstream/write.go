package upstream

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/event"
)

const (
	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
)

// NewBackoff returns growing waits, from half a second to half a minute, without
// an end.
func NewBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0),
	)
}

// Sleep waits for d, or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// Until calls write until it succeeds, with growing waits, and shows meanwhile
// that part is not well. It returns ctx's error, event.ErrTooLarge or
// event.ErrFenced, which no repeat mends, wrapped.
func (h *Health) Until(ctx context.Context, part string, write func(context.Context) error) error {
	var failed bool
	err := backoff.RetryNotify(func() error {
		err := write(ctx)
		if errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrFenced) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(NewBackoff(), ctx), func(err error, _ time.Duration) {
		failed = true
		h.Set(part, err)
	})
	if failed && ctx.Err() == nil {
		h.Set(part, nil)
	}
	return err
}

// Grace returns a context that ends some time after ctx: for what was begun and
// is better ended in order.
func Grace(ctx context.Context, after time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		Sleep(longer, after)
		cancel()
	})
	return longer, func() { stop(); cancel() }
}

// Divide calls write for the things from 0 to n, and for ever smaller parts of
// them while it returns event.ErrTooLarge. It returns the places of those that
// are too large by themselves, in ascending order; write has succeeded for all
// others when err is nil.
func Divide(n int, write func(from, to int) error) (tooLarge []int, err error) {
	return divide(0, n, write)
}

func divide(from, to int, write func(from, to int) error) ([]int, error) {
	if from == to {
		return nil, nil
	}
	err := write(from, to)
	switch {
	case !errors.Is(err, event.ErrTooLarge):
		return nil, err
	case to-from == 1:
		return []int{from}, nil
	}
	middle := from + (to-from)/2
	left, err := divide(from, middle, write)
	if err != nil {
		return left, err
	}
	right, err := divide(middle, to, write)
	return append(left, right...), err
}
