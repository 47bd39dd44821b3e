package file

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/fsnotify/fsnotify"

	"sluice/event"
	"sluice/sources"
)

const (
	// maxEvents and maxWeight (in bytes of content) bound what is published at once.
	maxEvents = 500
	maxWeight = 256 << 10
	// maxChanges is how many changes are kept until they are published.
	maxChanges = 20_000
	// walkShare is how many times as long as a walk the pause after it is at least.
	walkShare = 10
	// gather is how long notifications are gathered.
	gather = 20 * time.Millisecond

	firstRetry = 500 * time.Millisecond
	maxRetry   = 30 * time.Second
)

var (
	_ sources.Source  = (*source)(nil)
	_ sources.Lagging = (*source)(nil)
)

type source struct {
	cfg     Config
	env     sources.Env
	waiting atomic.Int64 // files that are not complete yet
}

// Lag returns how many files are not complete yet.
func (s *source) Lag() (age time.Duration, items int64) { return -1, s.waiting.Load() }

// A run is one life of a source. It belongs to one goroutine.
type run struct {
	*source
	memory    *memory
	folder    string // absolute
	watcher   *fsnotify.Watcher
	blind     bool // a folder cannot be watched, which was told
	unsettled map[string]unsettled
	walks     uint32
	pause     *backoff.ExponentialBackOff
	reported  string
}

// Run publishes what changes below the folder until ctx ends.
func (s *source) Run(ctx context.Context, out sources.Out) error {
	folder, err := filepath.Abs(string(s.cfg.Folder))
	if err != nil {
		return err
	}
	r := &run{source: s, folder: folder, pause: newBackoff()}
	if err := r.recall(ctx, out); err != nil {
		return ended(ctx, err)
	}
	if r.watcher, err = fsnotify.NewWatcher(); err != nil {
		s.env.Logger.Warn("the system does not notify of changes: the folder is walked at its interval", slog.Any("error", err))
		r.watcher = &fsnotify.Watcher{} // without channels
	} else {
		defer func() { _ = r.watcher.Close() }()
	}
	defer s.waiting.Store(0)
	return ended(ctx, r.loop(ctx))
}

// recall reads what is known, again and again while the bus is away.
func (r *run) recall(ctx context.Context, out sources.Out) error {
	start := r.env.Now() // not later, however long it takes
	return backoff.RetryNotify(func() (err error) {
		r.memory, err = recall(ctx, out, &r.cfg, start)
		if err != nil && !errors.Is(err, event.ErrUnavailable) && !errors.Is(err, event.ErrFull) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(newBackoff(), ctx), func(err error, _ time.Duration) { r.report(err) })
}

// ended turns the errors that come from the end of ctx into none.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // who ended ctx knows
	}
	return err
}

func newBackoff() *backoff.ExponentialBackOff {
	return backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
}

// loop walks at the interval, and soon after notifications.
func (r *run) loop(ctx context.Context) error {
	next := time.NewTimer(0)
	defer next.Stop()
	var earliest time.Time // of the next walk
	due := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.watcher.Errors: // such as an overflow
		case <-r.watcher.Events:
		case <-next.C:
			wait, err := r.look(ctx)
			if err != nil {
				return err
			}
			earliest, due = r.after(wait)
			next.Reset(time.Until(due))
			continue
		}
		soon := time.Now().Add(gather)
		if soon.Before(earliest) {
			soon = earliest
		}
		if soon.Before(due) {
			due = soon
			next.Reset(time.Until(due))
		}
	}
}

// A pace is how long a walk has taken, and when the next one is wanted.
type pace struct {
	took time.Duration
	next time.Duration
}

func (r *run) after(p pace) (earliest, due time.Time) {
	now := time.Now()
	earliest = now.Add(walkShare * p.took)
	due = now.Add(p.next)
	if due.Before(earliest) {
		due = earliest
	}
	return earliest, due
}

// look walks once. What the system refuses is reported and tried again.
func (r *run) look(ctx context.Context) (pace, error) {
	began := time.Now()
	w, err := r.walk(ctx)
	took := time.Since(began)
	if final := (*finalError)(nil); errors.As(err, &final) {
		return pace{}, final.err
	}
	if ctx.Err() != nil {
		return pace{}, ctx.Err()
	}
	if err != nil {
		r.report(err)
		return pace{took, min(r.pause.NextBackOff(), time.Duration(r.cfg.Interval))}, nil
	}
	r.report(w.problem)
	r.pause.Reset()
	next := time.Duration(r.cfg.Interval)
	if !w.due.IsZero() {
		next = min(next, max(w.due.Sub(r.env.Now()), gather))
	}
	return pace{took, next}, nil
}

// A finalError ends Run.
type finalError struct{ err error }

func (e *finalError) Error() string { return e.err.Error() }

func (r *run) walk(ctx context.Context) (*walk, error) {
	root, err := os.OpenRoot(r.folder)
	if err != nil {
		return nil, r.explain(err)
	}
	defer func() { _ = root.Close() }()
	r.walks++
	w := &walk{run: r, root: root, number: r.walks, now: r.env.Now(), unsettled: map[string]unsettled{}}
	err = w.folder(".", func() error {
		if err := ctx.Err(); err != nil || len(w.changes) < maxChanges {
			return err
		}
		return r.publish(ctx, w)
	})
	if err == nil {
		err = r.publish(ctx, w)
	}
	if err != nil {
		return nil, r.explain(err)
	}
	for shard := range shards {
		if err := r.publishShard(ctx, w, shard, w.gone(shard)); err != nil {
			return nil, r.explain(err)
		}
	}
	r.unsettled = w.unsettled
	r.waiting.Store(int64(len(w.unsettled)))
	return w, r.memory.finish(ctx)
}

func (r *run) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("folder %s does not exist: create it, or correct folder: %w", r.folder, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("folder %s cannot be read: let sluice's user read it: %w", r.folder, err)
	}
	return err
}

// watch has the system notify of what changes in a folder.
func (r *run) watch(dir string) {
	name := filepath.Join(r.folder, dir)
	if r.watcher.Events == nil {
		return
	}
	if err := r.watcher.Add(name); err != nil && !r.blind && !errors.Is(err, fs.ErrNotExist) {
		r.blind = true
		r.env.Logger.Warn("not every folder can be watched: changes there are found at the interval", slog.String("folder", name), slog.Any("error", err))
	}
}

// publish publishes what the walk has found so far.
func (r *run) publish(ctx context.Context, w *walk) error {
	var by [shards][]change
	for _, c := range w.changes {
		i := shardOf(c.path)
		by[i] = append(by[i], c)
	}
	w.changes = nil
	for shard, changes := range by {
		if err := r.publishShard(ctx, w, shard, changes); err != nil {
			return err
		}
	}
	return nil
}

// publishShard publishes changes in the order in which the files were modified.
func (r *run) publishShard(ctx context.Context, w *walk, shard int, changes []change) error {
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(cmp.Compare(a.state.modified, b.state.modified), cmp.Compare(a.path, b.path))
	})
	for len(changes) > 0 {
		n, weight := 0, int64(0)
		for n < min(len(changes), maxEvents) && (n == 0 || weight+r.weight(&changes[n]) <= maxWeight) {
			weight += r.weight(&changes[n])
			n++
		}
		if err := r.publishBatch(ctx, w, shard, changes[:n]); err != nil {
			return err
		}
		changes = changes[n:]
	}
	return nil
}

func (r *run) weight(c *change) int64 {
	if c.gone || c.state.size > int64(r.cfg.Content) {
		return 0
	}
	return c.state.size
}

func (r *run) publishBatch(ctx context.Context, w *walk, shard int, changes []change) error {
	made, events, err := r.events(w, changes, r.cfg.Content > 0)
	if err != nil {
		return err
	}
	err = r.memory.apply(ctx, shard, made, w.number, events)
	if errors.Is(err, event.ErrTooLarge) && r.cfg.Content > 0 {
		w.trouble(fmt.Errorf("an event with the content of a file is too large, and goes without: lower content: %w", err))
		if made, events, err = r.events(w, changes, false); err == nil {
			err = r.memory.apply(ctx, shard, made, w.number, events)
		}
	}
	if errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge) {
		return &finalError{err}
	}
	return err
}

// events returns the events of the changes that are some, and the changes without
// those of files that are not any more what they were.
func (r *run) events(w *walk, changes []change, withContent bool) (made []change, events []event.Event, err error) {
	for _, c := range changes {
		var inside []byte
		if withContent && !c.quiet && !c.gone && c.state.size <= int64(r.cfg.Content) {
			text, same, err := content(w.root, c.path, c.state)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.trouble(fmt.Errorf("%q cannot be read, and its event goes without content: let sluice's user read it: %w", c.path, err))
			} else if !same {
				w.due = w.now
				continue
			}
			inside = text
		}
		made = append(made, c)
		if c.quiet {
			continue
		}
		e, err := c.event(r.folder, inside)
		if err != nil {
			return nil, nil, err
		}
		events = append(events, e)
	}
	return made, events, nil
}

// report tells the health when it has changed, and logs when it has become bad or
// good.
func (r *run) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == r.reported {
		return
	}
	switch {
	case r.reported == "":
		r.env.Logger.Warn("the source is degraded", slog.String("error", text))
	case err == nil:
		r.env.Logger.Info("the source is well again")
	}
	r.reported = text
	r.env.Report(err)
}
