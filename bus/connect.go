package bus

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// connect opens the connections of this process: one for everything, and on a
// cluster one for those who catch up with the log, which read as much as they can.
// What is new does not wait behind that. Readers of the embedded server have
// connections of their own anyway.
func (b *Bus) connect(ctx context.Context) (err error) {
	if b.conn, b.js, err = b.join(ctx, "sluice", b.line.broken); err != nil {
		return err
	}
	b.live, b.catchUp = lane{b.js, liveAhead}, lane{b.js, catchUpAhead}
	if b.server == nil {
		_, b.catchUp.js, err = b.join(ctx, "sluice-catch-up", func() {})
	}
	return err
}

// disconnect closes the connections that are open.
func (b *Bus) disconnect() {
	if b.conn != nil {
		b.conn.Close()
	}
	if b.catchUp.js != nil {
		b.catchUp.js.Conn().Close() // also when it is the same one
	}
}

// join opens a connection of a name, and calls broken whenever it breaks.
func (b *Bus) join(ctx context.Context, name string, broken func()) (*nats.Conn, jetstream.JetStream, error) {
	opts, err := b.connection(name, broken)
	if err != nil {
		return nil, nil, err
	}
	conn, err := b.dial(ctx, opts)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(conn,
		jetstream.WithPublishAsyncMaxPending(2*maxGroup),
		jetstream.WithPublishAsyncTimeout(storeTimeout),
		jetstream.WithDefaultTimeout(storeTimeout))
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("the bus: %w", err)
	}
	return conn, js, nil
}

func (b *Bus) connection(name string, broken func()) ([]nats.Option, error) {
	log := b.log.With(slog.String("connection", name))
	opts := []nats.Option{
		nats.Name(name),
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // credentials may be mended on the server
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectBufSize(-1), // what cannot be sent fails at once
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			broken()
			if err != nil {
				log.Warn("bus disconnected", slog.Any("error", err))
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			log.Info("bus connected again", slog.String("server", conn.ConnectedUrlRedacted()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			log.Warn("bus connection", slog.Any("error", err))
		}),
	}
	if b.server != nil {
		return append(opts, nats.InProcessServer(b.server)), nil
	}
	if b.options.TLS != nil {
		opts = append(opts, nats.Secure(b.options.TLS))
	}
	login, err := b.options.Login.Options()
	return append(opts, login...), err
}

// dial tries until a server answers, ConnectWithin is over, or trying again is
// of no use.
func (b *Bus) dial(ctx context.Context, opts []nats.Option) (conn *nats.Conn, err error) {
	err = b.patiently(ctx, func() (err error) {
		if conn, err = nats.Connect(b.options.URL, opts...); err != nil {
			return connectError(err)
		}
		return nil
	})
	return conn, err
}

// patiently calls try until it succeeds, or has failed for good, or
// ConnectWithin is over.
func (b *Bus) patiently(ctx context.Context, try func() error) error {
	pace := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(100*time.Millisecond), backoff.WithMaxInterval(time.Second),
		backoff.WithMaxElapsedTime(b.options.ConnectWithin),
	)
	said := false
	return backoff.RetryNotify(try, backoff.WithContext(pace, ctx), func(err error, _ time.Duration) {
		if !said {
			b.log.WarnContext(ctx, "the bus cannot be reached yet", slog.Any("error", err), slog.Duration("for", b.options.ConnectWithin))
			said = true
		}
	})
}

// connectError says what to do about a refused connection. What trying again
// will not mend is permanent.
func connectError(err error) error {
	var unknown x509.UnknownAuthorityError
	var other x509.HostnameError
	var alert tls.AlertError
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return backoff.Permanent(fmt.Errorf("the servers refuse who sluice says to be (bus.auth, or the user in bus.url): %w", err))
	case errors.As(err, &unknown), errors.As(err, &other), errors.As(err, &alert):
		return backoff.Permanent(fmt.Errorf("no TLS with the servers (bus.tls): %w", err))
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return backoff.Permanent(fmt.Errorf("the servers and bus.url do not agree on TLS: write tls:// for servers that speak it: %w", err))
	}
	return fmt.Errorf("%w: connecting: %w", event.ErrUnavailable, err)
}

// apiLevel is the level of the JetStream API that sluice needs: that of
// nats-server 2.12.
const apiLevel = 2

// examine asks the servers whether they have what sluice needs, and names what
// is missing.
func (b *Bus) examine(ctx context.Context) error {
	if b.server != nil {
		return nil
	}
	account, err := b.account(ctx)
	if err != nil {
		return err
	}
	server := fmt.Sprintf("nats-server %s at %s", b.conn.ConnectedServerVersion(), b.conn.ConnectedUrlRedacted())
	if account.API.Level < apiLevel {
		return fmt.Errorf("%s is too old: it has level %d of the JetStream API, and sluice needs %d for atomic batches, and for expectations in them: use 2.12 or later", server, account.API.Level, apiLevel)
	}
	if have, need := b.conn.MaxPayload(), int64(minPayload); have < need {
		return fmt.Errorf("%s takes messages of at most %d bytes, and sluice needs %d, which is their default: raise max_payload there", server, have, need)
	}
	b.log.InfoContext(ctx, "bus connected; what is acknowledged is on disk only where the servers have sync_interval: always, which cannot be seen from here",
		slog.String("server", b.conn.ConnectedUrlRedacted()), slog.String("version", b.conn.ConnectedServerVersion()), slog.Int("replicas", b.options.Replicas))
	return nil
}

// account asks for what the account may have. A cluster that is just starting
// does not answer at all.
func (b *Bus) account(ctx context.Context) (account *jetstream.AccountInfo, err error) {
	err = b.patiently(ctx, func() error {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		account, err = b.js.AccountInfo(ctx)
		switch {
		case errors.Is(err, jetstream.ErrJetStreamNotEnabled):
			return backoff.Permanent(fmt.Errorf("the servers at bus.url have no JetStream: enable it with a jetstream block: %w", err))
		case errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
			return backoff.Permanent(fmt.Errorf("JetStream is not enabled for the account of bus.auth: %w", err))
		case err != nil:
			return storeError(err)
		}
		return nil
	})
	return account, err
}

// answerTimeout is how long a request without consequences waits for its
// answer, before it is sent again.
const answerTimeout = 2 * time.Second

// The server's error codes that say why a stream cannot be made.
const (
	codeNoPeers        jetstream.ErrorCode = 10005
	codeNotClustered   jetstream.ErrorCode = 10074
	codeNoMemoryOrDisk jetstream.ErrorCode = 10028
	codeStreamsLimit   jetstream.ErrorCode = 10026
)

// explain names the setting that a stream could not be made for.
func (b *Bus) explain(err error) error {
	o := b.options
	switch codeOf(err) {
	case codeNotClustered:
		return fmt.Errorf("%w: bus.replicas is %d, and these servers are no cluster", err, o.Replicas)
	case codeNoPeers:
		return fmt.Errorf("%w: no %d servers can hold a stream: look at bus.replicas, bus.placement, and the disk space of the servers", err, o.Replicas)
	case codeResources, codeAccountResources, codeStorageResources, codeNoMemoryOrDisk, codeStreamsLimit:
		return fmt.Errorf("%w: sluice reserves %d bytes on %d servers: look at bus.max_bytes and bus.max_large, and the limits of the servers and the account", err, o.reserved(), o.Replicas)
	default:
		return err
	}
}

// reserved is how many bytes the streams may take together.
func (o Options) reserved() int64 {
	return o.MaxBytes + o.ObjectBytes + o.LedgerBytes + o.LetterBytes + o.StateBytes
}
