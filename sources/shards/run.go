package shards

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v4"

	"sluice/event"
	"sluice/sources"
)

const (
	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
	// soon is the time between two looks for new shards when one has just ended,
	// whose children may not be shown yet, and soonFor how long that goes on.
	soon    = time.Second
	soonFor = 15 * time.Second
)

// A run is one life of a follower. Its fields without a lock belong to loop.
type run struct {
	*Follower
	out    sources.Out
	health *health
	room   chan struct{} // of pages that are read and published at once
	ended  chan string   // shards that have been read to their end
	failed chan error
	look   chan struct{} // a reader asks for a look at the stream
	all    sync.WaitGroup

	life    uint32    // of the root
	since   time.Time // of the root
	resumed bool      // the root is of an earlier run

	root    root
	last    Description
	reading map[string]bool
	done    map[string]bool // read to their end, and not yet so in the root
	endedAt time.Time       // when the last one ended

	mu     sync.Mutex
	shown  Description // last, for readers
	looked uint64      // how many times
}

// Run publishes what is in the stream until ctx ends. An error is returned when
// the stream cannot be asked at the beginning, when it is another one than
// before, and when a cursor cannot be read or somebody else has moved it; what
// goes wrong with a shard, or passes, is reported and tried again.
func (f *Follower) Run(ctx context.Context, out sources.Out) error {
	defer f.options.Close()
	ctx, cancel := context.WithCancel(ctx)
	r := &run{
		Follower: f, out: out, health: newHealth(&f.options),
		room: make(chan struct{}, Readers), ended: make(chan string), failed: make(chan error), look: make(chan struct{}, 1),
		reading: map[string]bool{}, done: map[string]bool{},
	}
	err := r.open(ctx)
	if err == nil {
		err = r.loop(ctx)
	}
	if ctx.Err() != nil {
		err = nil
	}
	r.health.end()
	cancel()
	r.all.Wait()
	return err
}

// open finds out what is known of the stream, and whether it is still the same.
func (r *run) open(ctx context.Context) error {
	now := r.options.Now()
	d, err := r.options.Stream.Describe(ctx)
	if err != nil {
		return err
	}
	data, err := r.out.Cursor(ctx, rootShard)
	if err != nil {
		return err
	}
	switch {
	case len(data) == 0:
		since := now
		if r.options.Start == Timestamp {
			since = r.options.Since
		}
		return r.install(ctx, d, begin(d, r.options.Start, since, 0))
	case decode(data, &r.root) != nil:
		return damaged(rootShard, decode(data, &r.root))
	case r.root.Stream == d.ID:
		r.resumed = true
		r.take(r.root, d)
		return nil
	case r.options.Lost == Continue:
		r.options.Logger.Warn("the stream was made anew: what the old one had and was not read is lost",
			slog.String("before", r.root.Stream), slog.String("now", d.ID))
		return r.install(ctx, d, begin(d, Horizon, now, r.root.Life+1))
	}
	return r.another(d.ID)
}

func (r *run) another(id string) error {
	return fmt.Errorf("the stream was made anew: it is %q now and was %q; what the old one had and was not read is lost: write on_lost: continue to go on with the new one", id, r.root.Stream)
}

// install stores a root, and then works with it.
func (r *run) install(ctx context.Context, d Description, next root) error {
	if err := next.check(); err != nil {
		return err
	}
	data, err := encode(&next)
	if err != nil {
		return err
	}
	if len(data) > maxStored {
		return fmt.Errorf("the shards of the stream take %d bytes to name, at most %d", len(data), maxStored)
	}
	if err := r.persist(ctx, "", func() error { return r.out.PublishAt(ctx, rootShard, data) }); err != nil {
		return err
	}
	r.take(next, d)
	return nil
}

// take works with a root from now on. When and as which life it began changes
// only before there are readers.
func (r *run) take(next root, d Description) {
	r.root = next
	if len(r.reading) == 0 {
		r.life, r.since = next.Life, time.UnixMilli(next.Since)
	}
	r.seen(d)
}

func (r *run) seen(d Description) {
	r.last = d
	r.mu.Lock()
	defer r.mu.Unlock()
	r.shown = d
	r.looked++
}

// shows tells whether the stream had the shard when it was last looked at, and
// how many times it was.
func (r *run) shows(shard string) (there bool, looked uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.shown.Shards {
		there = there || r.shown.Shards[i].ID == shard
	}
	return there, r.looked
}

func (r *run) retention() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shown.Retention
}

// loop has all shards read that may be, until ctx ends.
func (r *run) loop(ctx context.Context) error {
	timer := time.NewTimer(r.options.Refresh)
	defer timer.Stop()
	for {
		r.start(ctx)
		select {
		case <-ctx.Done():
			return nil
		case err := <-r.failed:
			return err
		case shard := <-r.ended:
			delete(r.reading, shard)
			r.done[shard], r.endedAt = true, time.Now()
			timer.Reset(0)
		case <-r.look:
			timer.Reset(soon)
		case <-timer.C:
			if err := r.refresh(ctx); err != nil {
				return err
			}
			timer.Reset(r.wait())
		}
	}
}

// wait returns when to look for new shards again.
func (r *run) wait() time.Duration {
	if time.Since(r.endedAt) < soonFor {
		return min(soon, r.options.Refresh)
	}
	return r.options.Refresh
}

// refresh looks at the stream.
func (r *run) refresh(ctx context.Context) error {
	d, err := r.options.Stream.Describe(ctx)
	if err != nil {
		r.health.set("", err)
		return nil
	}
	r.health.set("", nil)
	if d.ID != r.root.Stream {
		return r.another(d.ID)
	}
	next, changed := r.root.update(d, r.done)
	if !changed {
		r.seen(d)
		return nil
	}
	if err := r.install(ctx, d, next); err != nil {
		return err
	}
	clear(r.done)
	return nil
}

// start has the shards read that may be and are not.
func (r *run) start(ctx context.Context) {
	for _, k := range r.root.ready(r.last, r.done) {
		if r.reading[k.ID] {
			continue
		}
		r.reading[k.ID] = true
		r.all.Go(func() { r.read(ctx, k) })
	}
}

// read reads one shard to its end, and says so.
func (r *run) read(ctx context.Context, k known) {
	defer r.lags.forget(k.ID)
	err := (&reader{run: r, known: k}).follow(ctx)
	r.health.set(k.ID, nil)
	switch {
	case ctx.Err() != nil:
	case err != nil:
		select {
		case r.failed <- fmt.Errorf("shard %s: %w", k.ID, err):
		case <-ctx.Done():
		}
	default:
		select {
		case r.ended <- k.ID:
		case <-ctx.Done():
		}
	}
}

// persist stores something, again and again while the bus is away. It returns
// only what another try cannot mend.
func (r *run) persist(ctx context.Context, shard string, write func() error) error {
	failed := false
	err := backoff.RetryNotify(func() error {
		err := write()
		if errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(newBackoff(firstRetry), ctx), func(err error, _ time.Duration) {
		failed = true
		r.health.set(shard, err)
	})
	if err == nil && failed {
		r.health.set(shard, nil)
	}
	return err
}

func newBackoff(first time.Duration) backoff.BackOff {
	return backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(first),
		backoff.WithMaxInterval(maxRetry),
		backoff.WithMaxElapsedTime(0),
	)
}

// sleep returns when d has passed, or ctx has ended.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
