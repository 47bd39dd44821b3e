package mqtt

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/sources"
)

const (
	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
	// stable is how long a connection must have lived for the next pause to be
	// short.
	stable = 10 * time.Second
	// resubscribe is the pause before a topic that was refused is asked for again.
	resubscribe = 30 * time.Second
	// grace is how long a publish that is under way may go on when the source is
	// stopped, so that what it stores can be acknowledged.
	grace = time.Second
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
	_ sources.Placed  = (*source)(nil)
)

type source struct {
	cfg     Config
	env     sources.Env
	options mqttconn.Options
	origin  string // the source of its events

	lag atomic.Pointer[lag]
}

// A lag is how many messages were taken and are not durable, and when the oldest
// of them came.
type lag struct {
	items  int64
	oldest time.Time
}

// Placement is on all routers when all topics are those of shared subscriptions
// and each router has a client id of its own; with another one the routers would
// end each other's connections.
func (s *source) Placement() sources.Placement {
	if s.cfg.ClientID != "" && s.cfg.allShared() {
		return sources.OnAll
	}
	return sources.OnOne
}

// Lag returns what the server has sent and is not durable. What waits at the
// server, it does not tell.
func (s *source) Lag() (age time.Duration, items int64) {
	l := s.lag.Load()
	if l == nil || l.items == 0 {
		return 0, 0
	}
	return max(s.env.Now().Sub(l.oldest), 0), l.items
}

// Run publishes what comes until ctx ends. What the server refuses is reported as
// health and tried again; an error is returned only when the cursor cannot be
// read or somebody else has moved it.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	h := &health{report: s.env.Report, logger: s.env.Logger}
	var m *memory
	err := persist(ctx, h, func() (err error) {
		m, err = s.recall(ctx, out)
		return err
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil //nolint:nilerr // who ended ctx knows
		}
		return err
	}
	r := newRun(s, out, m, h)
	link, stop := context.WithCancel(ctx)
	linked := make(chan struct{})
	go func() {
		defer close(linked)
		r.keepLinked(link, m.Topics)
	}()
	err = r.loop(ctx)
	stop()
	r.close()
	<-linked
	s.lag.Store(nil)
	return err
}

// persist calls write until the bus has taken what it writes, and returns only what
// another try cannot mend.
func persist(ctx context.Context, h *health, write func() error) error {
	err := backoff.RetryNotify(func() error {
		err := write()
		var invalid *event.InvalidError
		if errors.Is(err, event.ErrTooLarge) || errors.Is(err, event.ErrFenced) || errors.Is(err, errMemory) || errors.As(err, &invalid) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(newBackoff(), ctx), func(err error, _ time.Duration) { h.set(ofBus, err) })
	if err == nil {
		h.set(ofBus, nil)
	}
	return err
}

func newBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
}
