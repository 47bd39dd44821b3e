package nats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/config"
	"sluice/connect/natsconn"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/upstream"
)

const (
	dialTimeout = 5 * time.Second
	// grace is how long what was begun may take after the end: it would be done
	// once more otherwise.
	grace = time.Second
	// maxBytes is how much of messages is published together, and how much of them
	// waits in memory beside.
	maxBytes = 8 << 20
	// gather is how long to wait for another message that is on its way.
	gather = 500 * time.Microsecond
	// heartbeat is how often the server tells that it is there.
	heartbeat = 2 * time.Second
	// stable is how long a reader must have worked for the next pause to be short.
	stable = time.Minute
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
	_ sources.Placed  = (*source)(nil)
)

type source struct {
	cfg Config
	env sources.Env

	mu      sync.Mutex
	waiting int64     // messages behind the last one; -1 when it is not known
	last    time.Time // when the last one was stored
	running bool
}

// Placement is on all routers for those who share a queue group or a durable
// consumer, and on one for others.
func (s *source) Placement() sources.Placement {
	if s.cfg.Queue != "" || s.cfg.Consumer != "" {
		return sources.OnAll
	}
	return sources.OnOne
}

// Lag returns how many messages of the stream wait, and how old the last one is
// that was published, when there are any; core subjects keep none.
func (s *source) Lag() (age time.Duration, items int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.running || s.cfg.Stream == "":
		return -1, -1
	case s.waiting <= 0:
		return 0, s.waiting
	}
	return max(s.env.Now().Sub(s.last), 0), s.waiting
}

func (s *source) setLag(waiting int64, last time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting, s.last, s.running = waiting, last, true
}

// A run is one life of a source.
type run struct {
	*source
	out    sources.Out
	health *upstream.Health
	conn   *nats.Conn
	js     jetstream.JetStream
	slow   atomic.Int64 // when messages were dropped last, in nanoseconds; 0 for never
}

// Run publishes until ctx ends. It returns an error when the servers cannot be
// reached at its start, and when somebody else has taken over; what comes later
// is reported as health and tried again.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	r := &run{source: s, out: out, health: upstream.NewHealth(&s.env)}
	err := r.connect(ctx)
	if err == nil {
		defer r.conn.Close()
		err = r.read(ctx)
	}
	s.mu.Lock()
	s.running = false
	s.mu.Unlock()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // who ended ctx knows
	}
	return err
}

func (r *run) read(ctx context.Context) error {
	switch {
	case r.cfg.Stream == "":
		return r.core(ctx)
	case r.cfg.Consumer != "":
		d := &durable{run: r, left: map[uint64]struct{}{}}
		return r.keep(ctx, d.read)
	}
	c := &cursor{run: r}
	return r.keep(ctx, c.read)
}

// keep has one reader read, with growing pauses when it fails.
func (r *run) keep(ctx context.Context, read func(ctx context.Context, well func()) error) error {
	pause := upstream.NewBackoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := read(ctx, func() { r.health.Set("stream", nil) })
		switch {
		case ctx.Err() != nil:
			continue
		case final(err):
			return err
		}
		r.health.Set("stream", fmt.Errorf("stream %q: %w", r.cfg.Stream, explain(err)))
		if time.Since(began) > stable {
			pause.Reset()
		}
		upstream.Sleep(ctx, pause.NextBackOff())
	}
	return nil
}

// final tells whether reading on is of no use.
func final(err error) bool {
	_, newer := errors.AsType[*newerError](err)
	return newer || errors.Is(err, event.ErrFenced)
}

// dialer opens connections until ctx ends.
type dialer func(network, address string) (net.Conn, error)

// Dial is for nats.CustomDialer.
func (d dialer) Dial(network, address string) (net.Conn, error) { return d(network, address) }

func (r *run) connect(ctx context.Context) error {
	login := natsconn.From(&r.cfg.Auth)
	options, err := login.Options()
	if err != nil {
		return config.Invalid("auth", "%v", err)
	}
	if r.cfg.TLS != (config.TLS{}) {
		trust, err := r.cfg.TLS.Load()
		if err != nil {
			return err
		}
		options = append(options, nats.Secure(trust))
	}
	dial := net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	options = append(options,
		nats.Name("sluice "+r.env.Name), nats.Timeout(dialTimeout), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectWait(250*time.Millisecond),
		nats.SetCustomDialer(dialer(func(network, address string) (net.Conn, error) { return dial.DialContext(ctx, network, address) })),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if ctx.Err() == nil {
				r.health.Set("connection", fmt.Errorf("the connection is broken, and is being opened again: %w", errOr(err)))
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { r.health.Set("connection", nil) }),
		nats.ErrorHandler(r.failed),
	)
	if r.conn, err = nats.Connect(r.cfg.URL, options...); err != nil {
		return explain(err)
	}
	r.js, err = jetstream.New(r.conn)
	return err
}

var errNoReason = errors.New("the server has closed it")

func errOr(err error) error {
	if err == nil {
		return errNoReason
	}
	return err
}

// failed takes what the client finds in the background.
func (r *run) failed(_ *nats.Conn, s *nats.Subscription, err error) {
	switch {
	case errors.Is(err, nats.ErrSlowConsumer) && s != nil && r.cfg.Stream == "":
		dropped, _ := s.Dropped()
		r.slow.Store(time.Now().UnixNano())
		r.health.Set("slow", fmt.Errorf("messages come faster than they become durable, and are lost: %d of %q until now: read them from a stream", dropped, s.Subject))
	case errors.Is(err, nats.ErrPermissionViolation):
		r.health.Set("permission", fmt.Errorf("the servers do not allow it to this user: %w", err))
	default:
		r.env.Logger.Warn("connection of a nats source", slog.Any("error", err))
	}
}

// explain adds to err what the user can do about it.
func explain(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked):
		return fmt.Errorf("the servers refuse who sluice says to be (auth, or the user in url): %w", err)
	case errors.Is(err, nats.ErrSecureConnRequired), errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("the servers and url do not agree on TLS: write tls:// for servers that speak it: %w", err)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("no server answers: check url, and that the server runs: %w", err)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("there is no stream of this name: create it, or correct stream: %w", err)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("the servers have no JetStream, or none for this account: leave stream out to take core subjects: %w", err)
	case errors.Is(err, jetstream.ErrNotPullConsumer):
		return fmt.Errorf("the consumer pushes its messages: write another one in consumer, which is made: %w", err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("JetStream does not answer: %w", err)
	}
	return err
}

// events makes events of messages.
func (r *run) events(messages []message) []event.Event {
	events := make([]event.Event, len(messages))
	for i := range messages {
		var invalid error
		if events[i], invalid = messages[i].event(r.cfg.CloudEvents); invalid != nil {
			r.env.Logger.Warn("a message says that it is a CloudEvent, and is none: it becomes an ordinary event",
				slog.String("subject", messages[i].subject), slog.String("error", invalid.Error()))
		}
	}
	return events
}
