package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/config"
	"sluice/connect/natsconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/internal/link"
)

// dialTimeout bounds the opening of a connection to one server.
const dialTimeout = 5 * time.Second

// guarded lets the egress guard check the address of each connection, also of
// servers that a cluster has named.
type guarded func(network, address string) (net.Conn, error)

// Dial is for nats.CustomDialer.
func (g guarded) Dial(network, address string) (net.Conn, error) { return g(network, address) }

func newLink(c *Config, env sinks.Env) (*link.Link[*wire], error) {
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
	dialer := c.Egress.Guard(env.Egress).Dialer(dialTimeout)
	options = append(options,
		nats.Name("sluice "+env.Name), nats.Timeout(dialTimeout), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250*time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent fails at once
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			env.Logger.Warn("connection of a nats sink", slog.String("sink", env.Name), slog.Any("error", err))
		}),
	)
	return link.New(func(ctx context.Context) (*wire, error) {
		dial := guarded(func(network, address string) (net.Conn, error) { return dialer.DialContext(ctx, network, address) })
		return openWire(c.URL, append(slices.Clone(options), nats.SetCustomDialer(dial)))
	}), nil
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
