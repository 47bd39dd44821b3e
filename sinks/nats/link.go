package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/config"
	"sluice/connect/natsconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// dialTimeout bounds the opening of a connection to one server.
const dialTimeout = 5 * time.Second

var errClosed = errors.New("the sink is closed")

// A link is the one connection of a sink. It is opened when a delivery first
// needs it, and opens itself again when it breaks, until it is closed.
type link struct {
	connect func() (*wire, error)
	stop    func() // breaks off a connect that is under way

	mu      sync.Mutex
	wire    *wire // nil until there is one
	dialing *dialing
	closed  bool
}

// A dialing is one call of connect, for all that wait for it.
type dialing struct {
	done chan struct{}
	wire *wire
	err  error
}

// guarded lets the egress guard check the address of each connection, also of
// servers that a cluster has named.
type guarded func(network, address string) (net.Conn, error)

// Dial is for nats.CustomDialer.
func (g guarded) Dial(network, address string) (net.Conn, error) { return g(network, address) }

func newLink(c *Config, env sinks.Env) (*link, error) {
	login := natsconn.From(&c.Auth)
	options, err := login.Options()
	if err != nil {
		return nil, config.Invalid("auth", "%v", err)
	}
	if c.TLS != (config.TLS{}) {
		trust, err := c.TLS.Load()
		if err != nil {
			return nil, err
		}
		options = append(options, nats.Secure(trust))
	}
	dialer := sinkhttp.NewGuard(cmp.Or(c.Egress, sinkhttp.Egress(env.Egress), sinkhttp.EgressAny)).Dialer(dialTimeout)
	ctx, stop := context.WithCancel(context.Background())
	options = append(options,
		nats.Name("sluice "+env.Name), nats.Timeout(dialTimeout), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent fails at once
		nats.SetCustomDialer(guarded(func(network, address string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		})),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			env.Logger.Warn("connection of a nats sink", slog.String("sink", env.Name), slog.Any("error", err))
		}),
	)
	return &link{connect: func() (*wire, error) { return openWire(c.URL, options) }, stop: stop}, nil
}

// get returns the connection, and opens it first when there is none. Those that
// wait meanwhile share what comes of it.
func (l *link) get(ctx context.Context) (*wire, error) {
	l.mu.Lock()
	if l.closed || l.wire != nil {
		defer l.mu.Unlock()
		if l.closed {
			return nil, errClosed
		}
		return l.wire, nil
	}
	d := l.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		l.dialing = d
		go l.dial(d) //nolint:contextcheck // it serves others too, and ends with the sink
	}
	l.mu.Unlock()
	select {
	case <-d.done:
		return d.wire, d.err
	case <-ctx.Done():
		return nil, fmt.Errorf("while connecting: %w", ctx.Err())
	}
}

func (l *link) dial(d *dialing) {
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
		l.wire.conn.Close()
	}
}

// connectError says what to do about a connection that was not made.
func connectError(err error) error {
	var refused *sinkhttp.RefusedError
	switch {
	case errors.As(err, &refused):
		return sinks.Permanent(refused)
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the servers refuse who sluice says to be (auth, or the user in url): %w", err)
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("the servers and url do not agree on TLS: write tls:// for servers that speak it: %w", err)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("no server answers: connection refused: %w", err)
	}
	return fmt.Errorf("connecting: %w", err)
}
