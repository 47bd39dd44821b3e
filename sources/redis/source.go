package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"sluice/connect/redisconn"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/upstream"
)

const (
	// block is how long the server waits for something new.
	block = 5 * time.Second
	// silence is how long it may send nothing beyond that.
	silence = 10 * time.Second
	// grace is how long what was begun may take after the end: it would be done
	// once more otherwise.
	grace = time.Second
	// mostReply bounds what one answer may have, in bytes: more than the largest
	// event.
	mostReply = 80 << 20
	// stable is how long a reader must have worked for the next pause to be short.
	stable = time.Minute
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
)

type source struct {
	cfg Config
	env sources.Env
	lag lags
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the redis source %q: %w", env.Name, err)
	}
	return &source{cfg: *c, env: env}, nil
}

// Lag returns the age of the oldest entry that waits, and how many there are, as
// far as the server can tell.
func (s *source) Lag() (age time.Duration, items int64) { return s.lag.sum(s.env.Now()) }

// A run is one life of a source.
type run struct {
	*source
	out    sources.Out
	health *upstream.Health
	// reading waits for what is new, and is closed to end the waiting. writing
	// acknowledges what is durable, also when the end has come.
	reading, writing redis.UniversalClient
}

// A reader reads one stream or list, until ctx ends or something fails. It calls
// well once it has been answered.
type reader interface {
	read(ctx context.Context, well func()) error
}

// Run publishes until ctx ends. What the servers refuse is reported as health and
// tried again; an error is returned only when somebody else has taken over, or a
// newer sluice has been here.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	r := &run{source: s, out: out, health: upstream.NewHealth(&s.env)}
	defer s.lag.clear()
	if err := r.open(); err != nil {
		return err
	}
	defer r.close()
	workers, working := errgroup.WithContext(ctx)
	defer context.AfterFunc(working, func() { _ = r.reading.Close() })()
	for name, reader := range r.readers() {
		workers.Go(func() error { return r.keep(working, name, reader) })
	}
	if err := workers.Wait(); ctx.Err() == nil {
		return err
	}
	return nil
}

func (r *run) open() (err error) {
	dialer := &net.Dialer{Timeout: redisconn.DialTimeout, KeepAlive: 30 * time.Second}
	o := redisconn.Options{
		Name: "sluice-" + r.env.Name, Dial: dialer.DialContext, Silence: block + silence,
		MostReply: mostReply,
	}
	if r.reading, err = redisconn.Open(&r.cfg.Redis, o); err != nil {
		return err
	}
	o.Silence, o.MostReply = silence, 0
	r.writing, err = redisconn.Open(&r.cfg.Redis, o)
	return err
}

func (r *run) close() {
	_ = r.reading.Close()
	_ = r.writing.Close()
}

// readers returns who reads what, by the key.
func (r *run) readers() map[string]reader {
	if r.cfg.List != "" {
		return map[string]reader{r.cfg.List: newList(r)}
	}
	all := make(map[string]reader, len(r.cfg.Streams))
	for _, key := range r.cfg.Streams {
		s := &stream{
			run: r, key: key, pace: newPace(),
			shape: shape{stream: key, key: r.cfg.Key, cloudEvents: r.cfg.CloudEvents},
		}
		if r.cfg.Group != "" {
			all[key] = &group{stream: s, left: map[string]struct{}{}}
		} else {
			all[key] = &cursor{stream: s}
		}
	}
	return all
}

// keep has one reader read, with growing pauses when it fails.
func (r *run) keep(ctx context.Context, key string, reader reader) error {
	pause := upstream.NewBackoff()
	for ctx.Err() == nil {
		began := time.Now()
		err := reader.read(ctx, func() { r.health.Set(key, nil) })
		switch {
		case ctx.Err() != nil:
			continue
		case final(err):
			return fmt.Errorf("%q: %w", key, err)
		}
		r.health.Set(key, fmt.Errorf("%q: %w", key, redisconn.Explain(err)))
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

// ask sends a command whose first key is at a place among its words.
func (r *run) ask(ctx context.Context, client redis.UniversalClient, keyAt int8, words ...any) (any, error) {
	command := redis.NewCmd(ctx, words...)
	command.SetFirstKeyPos(keyAt)
	if err := client.Process(ctx, command); err != nil {
		if errors.Is(err, redis.Nil) {
			return nil, nil //nolint:nilnil // nothing is an answer
		}
		return nil, err
	}
	return command.Val(), nil
}

// load returns what a cursor holds; false for nothing.
func (r *run) load(ctx context.Context, part, shard string, into *position) (found bool, err error) {
	var data []byte
	err = r.health.Until(ctx, part, func(ctx context.Context) (err error) {
		data, err = r.out.Cursor(ctx, shard)
		return err
	})
	if err != nil || data == nil {
		return false, err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return false, fmt.Errorf("the cursor %s cannot be read: %w", shard, err)
	}
	if into.Version > positionVersion {
		return false, &newerError{version: into.Version}
	}
	return true, nil
}

// store makes events and a cursor durable.
func (r *run) store(ctx context.Context, part, shard string, p position, events []event.Event) error {
	p.Version = positionVersion
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return r.health.Until(ctx, part, func(ctx context.Context) error {
		return r.out.PublishAt(ctx, shard, data, events...)
	})
}

// A position is what a cursor holds.
type position struct {
	Version int `json:"v"`
	// Last is the id of the last entry that was published.
	Last string `json:"last,omitempty"`
	// Left are the ids of entries before it that were too large.
	Left []string `json:"left,omitempty"`
	// Group says that there was a consumer group.
	Group bool `json:"group,omitempty"`
}

const positionVersion = 1

// A newerError is a cursor that a newer sluice has written.
type newerError struct{ version int }

func (e *newerError) Error() string {
	return fmt.Sprintf("its cursor has version %d, of a newer sluice; this one reads up to %d", e.version, positionVersion)
}

func (r *run) logger(key string) *slog.Logger {
	return r.env.Logger.With(slog.String("key", key))
}
