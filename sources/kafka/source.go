package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"sluice/event"
	"sluice/sources"
)

// anew is the pause before a session begins again.
const anew = 250 * time.Millisecond

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
	_ sources.Placed  = (*source)(nil)
)

type source struct {
	cfg     Config
	env     sources.Env
	current atomic.Pointer[session] // nil while there is none
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the kafka source %q: %w", env.Name, err)
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return &source{cfg: *c, env: env}, nil
}

// Placement says that members of a group share the partitions: on all routers.
func (s *source) Placement() sources.Placement {
	if s.cfg.Group != "" {
		return sources.OnAll
	}
	return sources.OnOne
}

// Lag returns how many records of its partitions the source has not published,
// and the age of the oldest that it has fetched.
func (s *source) Lag() (age time.Duration, items int64) {
	if current := s.current.Load(); current != nil {
		return current.lag()
	}
	return -1, -1
}

// errAnew ends a session that is to begin again at the cursors.
var errAnew = errors.New("the session begins anew")

// Run publishes the records of the topics until ctx ends. It returns an error
// when the brokers refuse sluice, or cannot be reached at first, and when
// somebody else has taken over.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	h := &health{report: s.env.Report, log: s.env.Logger, now: s.env.Now, ills: map[string]ill{}}
	for {
		err := s.session(ctx, out, h)
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // who ended ctx knows
		case !errors.Is(err, errAnew):
			return err
		}
		s.env.Logger.Info("reading the partitions anew from their cursors", slog.Any("reason", err))
		if pause(ctx, anew) != nil {
			return nil //nolint:nilerr // who ended ctx knows
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// session lives through one life of the client.
func (s *source) session(ctx context.Context, out sources.Out, h *health) error {
	current, err := newSession(ctx, s, out, h)
	if err != nil {
		return err
	}
	defer current.close() //nolint:contextcheck // it outlives ctx, to say goodbye
	s.current.Store(current)
	defer s.current.Store(nil)
	err = current.run(ctx)
	if errors.Is(err, event.ErrFenced) {
		return err
	}
	return current.cluster.Explain(err)
}
