package amqp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"sluice/connect/amqpconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// dialTimeout bounds the reaching of one node.
const dialTimeout = 5 * time.Second

var errClosed = errors.New("the sink is closed")

// A link is the one connection of a sink. It is opened when a delivery first needs
// it, and again when one needs it after it has broken.
type link struct {
	connect func() (*wire, error)
	stop    func()        // breaks off a connect that is under way
	limit   *atomic.Int64 // the most bytes of a message, where the broker has told; else 0

	mu      sync.Mutex
	wire    *wire // the last one; nil before the first
	dialing *dialing
	closed  bool
}

// A dialing is one call of connect, for all that wait for it.
type dialing struct {
	done chan struct{}
	wire *wire
	err  error
}

func newLink(c *Config, env sinks.Env) (*link, error) {
	broker, err := c.Broker()
	if err != nil {
		return nil, err
	}
	options := amqpconn.Options{
		Name:   "sluice sink " + env.Name,
		Dialer: sinkhttp.NewGuard(cmp.Or(c.Egress, sinkhttp.Egress(env.Egress), sinkhttp.EgressAny)).Dialer(dialTimeout),
	}
	ctx, stop := context.WithCancel(context.Background())
	l := &link{stop: stop, limit: &atomic.Int64{}}
	l.connect = func() (*wire, error) {
		connection, err := broker.Dial(ctx, options)
		if err != nil {
			return nil, connectError(err)
		}
		return openWire(c, connection, l.limit)
	}
	return l, nil
}

// connectError says what to do about a connection that was not made.
func connectError(err error) error {
	if refused, ok := errors.AsType[*sinkhttp.RefusedError](err); ok {
		return sinks.Permanent(refused)
	}
	return fmt.Errorf("connecting: %w", err)
}

// get returns the connection, and opens it first when there is none that works.
// Those that wait meanwhile share what comes of it.
func (l *link) get(ctx context.Context) (*wire, error) {
	l.mu.Lock()
	switch {
	case l.closed:
		l.mu.Unlock()
		return nil, errClosed
	case l.wire != nil && l.wire.gone.Err() == nil:
		defer l.mu.Unlock()
		return l.wire, nil
	}
	d := l.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		l.dialing = d
		go l.dial(d, l.wire) //nolint:contextcheck // it serves others too, and ends with the sink
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.wire, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("not sent: while connecting: %w", ctx.Err())
	}
}

// dial opens a connection once nothing is left of the one before.
func (l *link) dial(d *dialing, before *wire) {
	if before != nil {
		before.close()
	}
	d.wire, d.err = l.connect()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wire, l.dialing = d.wire, nil
	close(d.done)
}

// close ends the connection.
func (l *link) close() {
	l.stop()
	l.mu.Lock()
	l.closed = true
	d := l.dialing
	l.mu.Unlock()
	if d != nil {
		<-d.done
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.wire != nil {
		l.wire.close()
	}
}
