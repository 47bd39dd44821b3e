package amqp

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/connect/amqpconn"
	"sluice/sources"
)

const (
	dialTimeout = 5 * time.Second
	firstRetry  = 250 * time.Millisecond
	maxRetry    = 5 * time.Second
	// stable is how long a session must have lived for the next pause to be short.
	stable = 30 * time.Second
	// grace is how long what is being published when the source is stopped may take.
	grace = 2 * time.Second
	// closeTimeout bounds the orderly end of a connection.
	closeTimeout = 3 * time.Second
	// countEvery is the time between two questions how long the queue is.
	countEvery = 10 * time.Second
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
	_ sources.Placed  = (*source)(nil)
)

// A source consumes one queue.
type source struct {
	cfg    Config
	env    sources.Env
	broker *amqpconn.Broker
	maker  *maker
	health health
	ready  atomic.Int64 // messages in the queue when it was asked last; -1 for unknown
	taken  atomic.Int64 // messages that are here and not published
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	broker, err := c.Broker()
	if err != nil {
		return nil, err
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	env.Logger = env.Logger.With(slog.String("queue", c.Queue))
	s := &source{cfg: *c, env: env, broker: broker, health: health{report: env.Report, logger: env.Logger}}
	s.maker = newMaker(&s.cfg, env.Logger, broker.Address(), broker.VHost(), env.Now)
	s.ready.Store(-1)
	return s, nil
}

// Placement is all routers where the broker itself gives messages to one consumer
// at a time, and takes another when that one has gone. Else several would mix the
// order.
func (s *source) Placement() sources.Placement {
	if s.cfg.Declare != nil && s.cfg.Declare.SingleActive && !s.cfg.Exclusive {
		return sources.OnAll
	}
	return sources.OnOne
}

// Lag returns how many messages wait in the queue and here.
func (s *source) Lag() (age time.Duration, items int64) {
	ready := s.ready.Load()
	if ready < 0 {
		return -1, -1
	}
	return -1, ready + s.taken.Load()
}

// Run publishes the queue's messages until ctx ends. Whatever ends a connection
// is reported as health, and another one is opened.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	pause := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		began := time.Now()
		err := s.session(ctx, out)
		s.ready.Store(-1)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // who ended ctx knows
		}
		s.health.set(brokerPart, err)
		if time.Since(began) > stable {
			pause.Reset()
		}
		sleep(ctx, pause.NextBackOff())
	}
}

// session opens a connection and publishes what it brings, until ctx ends or the
// connection or its consumer does.
func (s *source) session(ctx context.Context, out sources.Out) error {
	c, err := s.open(ctx)
	if err != nil {
		return err
	}
	s.health.set(brokerPart, nil)
	var workers sync.WaitGroup
	workers.Go(c.receive)
	workers.Go(c.count)
	err = c.publish(ctx, out)
	c.close()
	workers.Wait()
	s.taken.Store(0)
	s.health.set(busPart, nil)
	s.health.set(heldPart, nil)
	return err
}

func (s *source) dial(ctx context.Context, gate *amqpconn.Gate) (*consumer, error) {
	connection, err := s.broker.Dial(ctx, amqpconn.Options{
		Name:   "sluice source " + s.env.Name,
		Dialer: &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second},
		Gate:   gate,
	})
	if err != nil {
		return nil, err
	}
	return newConsumer(s, connection, gate), nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A part is what can be wrong with a source.
type part int

// The parts, the one that counts most first.
const (
	brokerPart part = iota
	busPart
	heldPart
	parts
)

// A health tells when what is wrong changes, and logs when it becomes bad or good.
// It may be used by many goroutines.
type health struct {
	report func(error)
	logger *slog.Logger

	mu       sync.Mutex
	wrong    [parts]error
	reported string
}

func (h *health) set(p part, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong[p] = err
	var worst error
	for _, err := range h.wrong {
		if err != nil {
			worst = err
			break
		}
	}
	text := ""
	if worst != nil {
		text = worst.Error()
	}
	if text == h.reported {
		return
	}
	switch {
	case h.reported == "":
		h.logger.Warn("the source is degraded", slog.String("error", text))
	case worst == nil:
		h.logger.Info("the source is well again")
	}
	h.reported = text
	h.report(worst)
}
