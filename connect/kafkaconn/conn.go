// Package kafkaconn connects to the brokers of a Kafka cluster: those of sources
// and those of sinks alike.
package kafkaconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/config"
)

// dialTimeout bounds the opening of a connection to one broker.
const dialTimeout = 5 * time.Second

// A Cluster says how the brokers of a cluster are reached, as the file says it.
type Cluster struct {
	// Brokers are some of the cluster's brokers, as host:port; the others are
	// learned from them.
	Brokers []string
	// SASL says who sluice is; nil for nobody.
	SASL *SASL
	// TLS says whom to trust; nil for connections without TLS.
	TLS *config.TLS

	failed         atomic.Pointer[error] // of the last dial; nil when it has worked
	authenticating atomic.Bool           // the last authentication has not come to its end
}

// A Dialer opens connections.
type Dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// Validate returns everything that is wrong, each problem with its key.
func (c *Cluster) Validate() error {
	problems := []error{validateBrokers(c.Brokers)}
	if c.SASL != nil {
		problems = append(problems, c.SASL.validate())
	}
	if c.TLS != nil {
		_, err := c.TLS.Load()
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}

func validateBrokers(brokers []string) error {
	if len(brokers) == 0 {
		return config.Invalid("brokers", "it is missing; write some of the cluster's brokers, such as [127.0.0.1:9092]")
	}
	for i, broker := range brokers {
		host, port, err := net.SplitHostPort(broker)
		number, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || host == "" || portErr != nil || number == 0 || strings.ContainsAny(broker, "/@ \t\r\n") {
			return config.Invalid(fmt.Sprintf("brokers[%d]", i), "%q is no broker: write host:port, such as 127.0.0.1:9092, and sasl or tls beside it", broker)
		}
	}
	return nil
}

// Options returns what the client library needs to reach the cluster. What the
// library says is logged at debug level.
func (c *Cluster) Options(name string, dialer Dialer, logger *slog.Logger) ([]kgo.Opt, error) {
	dial, err := c.dial(dialer)
	if err != nil {
		return nil, err
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID("sluice-" + name),
		kgo.SoftwareNameAndVersion("sluice", "1"),
		kgo.DisableClientMetrics(),
		kgo.Dialer(c.noting(dial)),
		kgo.WithLogger(logs{logger}),
	}
	if c.SASL != nil {
		options = append(options, kgo.SASL(&watched{Mechanism: c.SASL.mechanism(dialer), pending: &c.authenticating}))
	}
	return options, nil
}

// A dialing opens a connection to a broker.
type dialing = func(ctx context.Context, network, address string) (net.Conn, error)

// noting remembers why a connection was not opened: the library tries again until
// the time of a request is over, and then knows only that.
func (c *Cluster) noting(dial dialing) dialing {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			c.failed.Store(nil)
		} else if !errors.Is(err, context.Canceled) {
			c.failed.Store(&err)
		}
		return conn, err
	}
}

// Failure returns why the last connection to a broker is of no use; nil when it is.
func (c *Cluster) Failure() error {
	if failed := c.failed.Load(); failed != nil {
		return fmt.Errorf("no connection to a broker: %w", *failed)
	}
	if c.authenticating.Load() {
		return errSASL
	}
	return nil
}

func (c *Cluster) dial(dialer Dialer) (dialing, error) {
	plain := func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return dialer.DialContext(ctx, network, address)
	}
	if c.TLS == nil {
		return plain, nil
	}
	trust, err := c.TLS.Load()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := plain(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return handshake(ctx, conn, trust, address)
	}, nil
}

func handshake(ctx context.Context, conn net.Conn, trust *tls.Config, address string) (net.Conn, error) {
	if trust.ServerName == "" {
		trust = trust.Clone()
		trust.ServerName, _, _ = net.SplitHostPort(address)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	secure := tls.Client(conn, trust)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close() // the error of the handshake says more
		return nil, &TLSError{Broker: address, Err: err}
	}
	return secure, nil
}

// logs gives the client library's log to slog. What matters of it is told by
// errors too: nothing is above debug level.
type logs struct{ logger *slog.Logger }

// Level tells the library what to log at all.
func (l logs) Level() kgo.LogLevel {
	if l.logger.Enabled(context.Background(), slog.LevelDebug) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelNone
}

// Log takes one message with its facts by turns: name, value.
func (l logs) Log(_ kgo.LogLevel, message string, facts ...any) {
	l.logger.LogAttrs(context.Background(), slog.LevelDebug, "kafka client", slog.String("says", message), slog.Any("facts", facts))
}
