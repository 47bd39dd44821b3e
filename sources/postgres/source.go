package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"sluice/connect/postgresconn"
	"sluice/event"
	"sluice/sources"
)

const (
	firstRetry = 250 * time.Millisecond
	maxRetry   = 15 * time.Second
	// stable is how long changes must have been read for the next pause to be short.
	stable = 30 * time.Second
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
)

type source struct {
	cfg Config
	env sources.Env

	lag    atomic.Int64 // bytes of WAL; -1 while it is not known
	oldest atomic.Int64 // the commit of the oldest transaction that is read and not published, in Unix microseconds; 0 for none
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the postgres source %q: %w", env.Name, err)
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	s := &source{cfg: c.named(env.Name), env: env}
	s.lag.Store(-1)
	return s, nil
}

// Lag returns the age of the oldest transaction that has been read and is not
// published, and how many bytes of WAL the server keeps for the source.
func (s *source) Lag() (age time.Duration, items int64) {
	items = s.lag.Load()
	switch oldest := s.oldest.Load(); {
	case oldest != 0:
		return max(0, s.env.Now().Sub(time.UnixMicro(oldest))), items
	case items == 0:
		return 0, 0
	}
	return -1, items
}

// Run publishes the changes of the tables until ctx ends. What the server refuses
// is reported as health and tried again; an error is returned only when the cursor
// cannot be used or somebody else has taken over.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	r := &run{source: s, out: out, health: health{report: s.env.Report, logger: s.env.Logger, now: s.env.Now}, spans: defaultSpans()}
	r.catalog = &catalog{connect: func(ctx context.Context) (*pgx.Conn, error) { return s.connect(ctx, nil) }}
	defer r.catalog.close(ctx)
	defer s.lag.Store(-1)
	defer s.oldest.Store(0)
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		began := time.Now()
		err := r.once(ctx)
		if ctx.Err() != nil {
			return nil //nolint:nilerr // who ended ctx knows
		}
		if final, _ := errors.AsType[*finalError](err); final != nil {
			return final.err
		}
		r.health.set(upstream, err)
		if time.Since(began) > stable {
			pause.Reset()
		}
		sleep(ctx, pause.NextBackOff())
	}
}

// A finalError is one that another try in this run cannot mend.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }
func (e *finalError) Unwrap() error { return e.err }

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// A run is one life of a source.
type run struct {
	*source
	out     sources.Out
	health  health
	catalog *catalog
	spans   spans

	server serverState
}

// spans are how often what is done that nothing else causes.
type spans struct {
	status time.Duration // the server is told what is durable
	idle   time.Duration // the cursor follows a log without changes of the tables
	watch  time.Duration // the slot is looked at
}

func defaultSpans() spans {
	return spans{status: 10 * time.Second, idle: 10 * time.Second, watch: 10 * time.Second}
}

// once connects, does what the cursor says comes next, and reads changes until
// something fails.
func (r *run) once(ctx context.Context) error {
	data, err := r.out.Cursor(ctx, shard)
	if err != nil {
		return fmt.Errorf("the cursor: %w", err)
	}
	c, err := decodeCursor(data)
	if err != nil {
		return &finalError{err}
	}
	conn, err := r.connect(ctx, map[string]string{"replication": "database"})
	if err != nil {
		return explainReplication(err)
	}
	defer closeConn(ctx, conn)
	if c, err = r.prepare(ctx, conn.PgConn(), c); err != nil {
		return err
	}
	if c.Phase == phaseSnapshot {
		return fmt.Errorf("the snapshot has ended in the phase %q", c.Phase)
	}
	return r.stream(ctx, conn, c)
}

// explainReplication says what may be done about a connection for replication
// that was not made.
func explainReplication(err error) error {
	if postgresconn.Code(err) == "42501" {
		return fmt.Errorf("the user may not replicate: ALTER ROLE its-name REPLICATION: %w", err)
	}
	return postgresconn.Explain(err)
}

// settings make the server write values as they are read here.
var settings = map[string]string{
	"datestyle": "ISO, YMD", "intervalstyle": "iso_8601", "timezone": "UTC", "bytea_output": "hex", "extra_float_digits": "1",
	"statement_timeout": "0", "idle_in_transaction_session_timeout": "0", "lock_timeout": "0", "synchronize_seqscans": "off",
}

func (s *source) connect(ctx context.Context, more map[string]string) (*pgx.Conn, error) {
	o := postgresconn.Options{Application: "sluice " + s.env.Name, Settings: map[string]string{}}
	maps.Copy(o.Settings, settings)
	maps.Copy(o.Settings, more)
	c, err := s.cfg.Config(o)
	if err != nil {
		return nil, err
	}
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	return pgx.ConnectConfig(ctx, c)
}

// ceSource is the attribute source of the events.
func (s *source) ceSource() string { return "postgres://" + url.PathEscape(s.cfg.Database()) }

// publish stores events and a cursor, again and again while the bus is away.
func (r *run) publish(ctx context.Context, c *cursor, events ...event.Event) error {
	data, err := c.encode()
	if err != nil {
		return &finalError{err}
	}
	err = backoff.RetryNotify(func() error {
		err := r.out.PublishAt(ctx, shard, data, events...)
		if errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(newBackoff(), ctx), func(err error, _ time.Duration) { r.health.set(bus, err) })
	if errors.Is(err, event.ErrFenced) {
		return &finalError{err}
	}
	if err == nil {
		r.health.set(bus, nil)
	}
	return err
}

func newBackoff() backoff.BackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
}

// What health is about, the most urgent first.
const (
	bus = iota
	upstream
	slot
	large
	aspects
)

// A health keeps what is wrong, and reports it when it changes. It may be used by
// many goroutines at once.
type health struct {
	report func(error)
	logger *slog.Logger
	now    func() time.Time

	mu       sync.Mutex
	wrong    [aspects]error
	until    time.Time // when what is large is told no more
	reported string
}

// set says that something is wrong, or well again. What is large is told for a
// while.
func (h *health) set(aspect int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wrong[aspect] = err
	if aspect == large {
		h.until = h.now().Add(largeFor)
	}
	h.tell()
}

// largeFor is how long it is told that an event was too large.
const largeFor = 10 * time.Minute

// age ends what is told for a while.
func (h *health) age() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.wrong[large] != nil && h.now().After(h.until) {
		h.wrong[large] = nil
		h.tell()
	}
}

func (h *health) tell() {
	err := errors.Join(h.wrong[:]...)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == h.reported {
		return
	}
	switch {
	case err == nil:
		h.logger.Info("the source is well again")
	case h.reported == "":
		h.logger.Warn("the source is degraded", slog.String("error", text))
	}
	h.reported = text
	h.report(err)
}

// watch looks at the slot from time to time until ctx ends.
func (r *run) watch(ctx context.Context, published *atomic.Uint64) {
	ticker := time.NewTicker(r.spans.watch)
	defer ticker.Stop()
	for {
		r.look(ctx, pglogrepl.LSN(published.Load()))
		r.health.age()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look tells how far the slot is behind. A server that does not answer is noticed
// elsewhere.
func (r *run) look(ctx context.Context, published pglogrepl.LSN) {
	s, err := r.catalog.slot(ctx, r.cfg.Slot)
	if err != nil {
		return
	}
	behind := int64(0)
	if s.now > published {
		behind = int64(s.now - published)
	}
	r.lag.Store(behind)
	switch {
	case s.walStatus == "lost":
		r.health.set(slot, r.lost("the server has thrown away what it kept for it (max_slot_wal_keep_size)"))
	case s.walStatus == "unreserved":
		r.health.set(slot, fmt.Errorf("the slot %q is about to be lost: it holds back %d bytes of WAL, more than the server keeps (max_slot_wal_keep_size)", r.cfg.Slot, behind))
	case behind > int64(r.cfg.WarnLag):
		r.health.set(slot, fmt.Errorf("the slot %q holds back %d bytes of WAL on the server's disk, more than warn_lag (%s): sluice or its bus is slower than the changes, or was away", r.cfg.Slot, behind, r.cfg.WarnLag))
	default:
		r.health.set(slot, nil)
	}
}
