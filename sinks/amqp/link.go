package amqp

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"sluice/connect/amqpconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/internal/link"
)

// dialTimeout bounds the reaching of one node.
const dialTimeout = 5 * time.Second

// newLink returns the one connection of a sink. limit is the most bytes of a
// message, where the broker has told; else 0.
func newLink(c *Config, env sinks.Env, limit *atomic.Int64) (*link.Link[*wire], error) {
	broker, err := c.Broker()
	if err != nil {
		return nil, err
	}
	options := amqpconn.Options{
		Name:   "sluice sink " + env.Name,
		Dialer: c.Egress.Guard(env.Egress).Dialer(dialTimeout),
	}
	return link.New(func(ctx context.Context) (*wire, error) {
		connection, err := broker.Dial(ctx, options)
		if err != nil {
			return nil, connectError(err)
		}
		return openWire(c, connection, limit)
	}), nil
}

// connectError says what to do about a connection that was not made.
func connectError(err error) error {
	if refused, ok := errors.AsType[*sinkhttp.RefusedError](err); ok {
		return sinks.Permanent(refused)
	}
	return fmt.Errorf("connecting: %w", err)
}
