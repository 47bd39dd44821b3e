// Package redisconn opens connections to Redis: those of sources and of sinks
// alike. It repeats no command by itself, and says in plain words what a server
// refuses.
package redisconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/config"
)

// DialTimeout bounds the opening of one connection.
const DialTimeout = 5 * time.Second

// poolSize is not reached: callers bound how many commands they have at once. The
// client takes it also for how many connections may fail before it tries by
// itself, in a goroutine that outlives it.
const poolSize = 4096

// Options say how connections are opened and used.
type Options struct {
	// Name is what the server's CLIENT LIST shows; without spaces.
	Name string
	// Dial opens a connection, without TLS.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Silence is how long a server may send nothing while a command waits.
	Silence time.Duration
	// MostReply is how many bytes one answer may have; 0 for no bound. What goes
	// over it breaks the connection with a *TooLongError.
	MostReply int64
}

// Open returns a client. It opens no connection. A client of one server, of a
// cluster or of what sentinels name, as c has it.
func Open(c *config.Redis, o Options) (redis.UniversalClient, error) {
	servers, err := c.Servers()
	if err != nil {
		return nil, err
	}
	dial := dialer{dial: o.Dial, most: o.MostReply}
	if servers.TLS {
		if dial.secure, err = c.TLS.Load(); err != nil {
			return nil, err
		}
	}
	all := &redis.UniversalOptions{
		Addrs: servers.Addresses, DB: servers.DB, Username: c.User, Password: c.Password.Reveal(),
		IsClusterMode: servers.Cluster, ClientName: o.Name, DisableIdentity: true,
		Dialer: dial.open, DialTimeout: DialTimeout, DialerRetries: 1,
		Protocol: 2, MaxRetries: -1, ContextTimeoutEnabled: true,
		ReadTimeout: o.Silence, WriteTimeout: o.Silence, PoolSize: poolSize, PipelinePoolSize: -1,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	logging.Disable() // what the client has to say are errors of its calls too
	if s := c.Sentinel; s != nil {
		all.MasterName, all.SentinelUsername, all.SentinelPassword = s.Master, s.User, s.Password.Reveal()
	}
	return redis.NewUniversalClient(all), nil
}

// A dialer opens connections. The client would do TLS by itself only if it
// dialed by itself.
type dialer struct {
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
	secure *tls.Config // nil for none
	most   int64
}

func (d dialer) open(ctx context.Context, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, DialTimeout)
	defer cancel()
	conn, err := d.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.secure != nil {
		if conn, err = d.handshake(ctx, conn, address); err != nil {
			return nil, err
		}
	}
	if d.most > 0 {
		conn = &bounded{Conn: conn, most: d.most}
	}
	return conn, nil
}

func (d dialer) handshake(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	secure := d.secure
	if secure.ServerName == "" {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		secure = secure.Clone()
		secure.ServerName = host
	}
	over := tls.Client(conn, secure)
	if err := over.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &handshakeError{err: err}
	}
	return over, nil
}

// A handshakeError is a connection that did not become one of TLS.
type handshakeError struct{ err error }

func (e *handshakeError) Error() string { return "TLS: " + e.err.Error() }
func (e *handshakeError) Unwrap() error { return e.err }

// A TooLongError is an answer of more bytes than the connection takes.
type TooLongError struct{ Most int64 }

func (e *TooLongError) Error() string {
	return fmt.Sprintf("the answer has more than %d bytes", e.Most)
}

// A bounded connection takes so many bytes for what was asked last, and no more:
// a server sends all of an answer, however long it is. One goroutine uses it at
// a time.
type bounded struct {
	net.Conn
	most, read int64
}

// Write begins a question anew.
func (b *bounded) Write(p []byte) (int, error) {
	b.read = 0
	return b.Conn.Write(p)
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	if b.read += int64(n); err == nil && b.read > b.most {
		return 0, &TooLongError{Most: b.most}
	}
	return n, err
}
