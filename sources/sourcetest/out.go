// Package sourcetest holds what every source is tested with: Out, a recorder
// of what a source publishes that can be made to fail, and Exercise, the suite
// that every source passes.
package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/event"
	"sluice/sources"
)

var _ sources.Out = (*Out)(nil)

// Patience is how long the Wait methods wait before they fail the test; less
// when the test's own deadline is near.
const Patience = 20 * time.Second

// within returns limit, or half of the time that the test has left.
func within(tb testing.TB, limit time.Duration) time.Duration {
	tb.Helper()
	if limited, ok := tb.(interface{ Deadline() (time.Time, bool) }); ok {
		if deadline, set := limited.Deadline(); set {
			return min(limit, time.Until(deadline)/2)
		}
	}
	return limit
}

// MaxCursor is the largest cursor that PublishAt takes, in bytes.
const MaxCursor = 512 << 10

var shardName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// An Out records what one source publishes, as the bus would keep it: an event
// whose source and id are already there is not stored again, an event or a
// cursor that breaks the contract is refused, and a cursor that somebody else
// has moved fences. It may be used by many goroutines at once.
//
// The methods of [sources.Out] are for the source; the others are for the test.
type Out struct {
	store *store

	mu    sync.Mutex
	known map[string]uint64 // the revision of each shard as last read or written
}

// A store is what survives a restart of the source.
type store struct {
	mu       sync.Mutex
	changed  chan struct{} // closed and replaced whenever something changes
	events   []event.Event
	repeats  []event.Event
	refused  []event.Event
	refusals int
	seen     map[[2]string]bool
	cursors  map[string]cursor

	fail     error // what publishes return
	failures int   // how many of them still fail; -1 for all
	keeps    bool  // store before failing
	blocked  chan struct{}
	waiting  int // publishes that are blocked
}

type cursor struct {
	data     []byte
	revision uint64
}

// NewOut returns an Out that holds nothing.
func NewOut() *Out {
	return &Out{
		store: &store{
			changed: make(chan struct{}),
			seen:    map[[2]string]bool{},
			cursors: map[string]cursor{},
		},
		known: map[string]uint64{},
	}
}

// Restart returns an Out with the same events, cursors and failures, as a
// source gets it after a restart of the program. When it moves a cursor, the
// old Out is fenced.
func (o *Out) Restart() *Out {
	return &Out{store: o.store, known: map[string]uint64{}}
}

// Publish stores the events, but those that are already there.
func (o *Out) Publish(ctx context.Context, events ...event.Event) error {
	return o.publish(ctx, events, func() error { return nil })
}

// PublishAt stores the events and the cursor, or nothing.
func (o *Out) PublishAt(ctx context.Context, shard string, data []byte, events ...event.Event) error {
	switch {
	case !shardName.MatchString(shard):
		return fmt.Errorf("shard %q: write letters, digits, - and _", shard)
	case len(events) > sources.MaxBatch:
		return fmt.Errorf("%d events in one PublishAt: at most %d", len(events), sources.MaxBatch)
	case len(data) > MaxCursor:
		return fmt.Errorf("a cursor of %d bytes: at most %d", len(data), MaxCursor)
	}
	return o.publish(ctx, events, func() error { return o.move(shard, data) })
}

// Cursor returns what the last PublishAt of the shard has stored, or nil.
func (o *Out) Cursor(ctx context.Context, shard string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !shardName.MatchString(shard) {
		return nil, fmt.Errorf("shard %q: write letters, digits, - and _", shard)
	}
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	stored := o.store.cursors[shard]
	o.mu.Lock()
	o.known[shard] = stored.revision
	o.mu.Unlock()
	return bytes.Clone(stored.data), nil
}

func (o *Out) publish(ctx context.Context, events []event.Event, move func() error) error {
	if err := o.store.unblocked(ctx); err != nil {
		return err
	}
	for i := range events {
		if err := events[i].Validate(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
	}
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	defer o.store.signal()
	failure := o.store.failure()
	if failure != nil && !o.store.keeps {
		return o.store.refuse(events, failure)
	}
	if err := move(); err != nil {
		return o.store.refuse(events, err)
	}
	o.store.add(events)
	return failure
}

// move sets the cursor of a shard, unless somebody else has moved it. The
// store is locked.
func (o *Out) move(shard string, data []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	stored := o.store.cursors[shard]
	if known, any := o.known[shard]; any && known != stored.revision {
		return fmt.Errorf("shard %s: %w", shard, event.ErrFenced)
	}
	stored = cursor{data: bytes.Clone(data), revision: stored.revision + 1}
	o.store.cursors[shard] = stored
	o.known[shard] = stored.revision
	return nil
}

// unblocked waits while publishing is blocked.
func (s *store) unblocked(ctx context.Context) error {
	for {
		s.mu.Lock()
		blocked := s.blocked
		s.mu.Unlock()
		if err := ctx.Err(); err != nil || blocked == nil {
			return err
		}
		s.count(1)
		select {
		case <-ctx.Done():
		case <-blocked:
		}
		s.count(-1)
	}
}

func (s *store) count(blocked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += blocked
	s.signal()
}

func (s *store) add(events []event.Event) {
	for _, e := range events {
		key := [2]string{e.Source, e.ID}
		if s.seen[key] {
			s.repeats = append(s.repeats, e)
			continue
		}
		s.seen[key] = true
		s.events = append(s.events, e)
	}
}

func (s *store) refuse(events []event.Event, err error) error {
	s.refused = append(s.refused, events...)
	s.refusals++
	return err
}

func (s *store) failure() error {
	if s.failures == 0 {
		return nil
	}
	if s.failures > 0 {
		s.failures--
	}
	return s.fail
}

func (s *store) signal() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// Events returns the stored events in their order, each once.
func (o *Out) Events() []event.Event { return o.store.list(&o.store.events) }

// Repeats returns the events that were published again after they had been
// stored.
func (o *Out) Repeats() []event.Event { return o.store.list(&o.store.repeats) }

// Refused returns the events of all publishes that have failed without storing
// them, in their order.
func (o *Out) Refused() []event.Event { return o.store.list(&o.store.refused) }

func (s *store) list(of *[]event.Event) []event.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(*of)
}

// FailWith makes every publish return err and store nothing, until it is
// called with nil. Use event.ErrUnavailable, event.ErrFull or event.ErrTooLarge
// for what the bus says.
func (o *Out) FailWith(err error) { o.store.failNext(-1, err, false) }

// FailNext makes the next n publishes return err and store nothing.
func (o *Out) FailNext(n int, err error) { o.store.failNext(n, err, false) }

// LoseAnswers makes the next n publishes store their events and cursor and
// return err nevertheless, as when the bus goes away before it has answered.
func (o *Out) LoseAnswers(n int, err error) { o.store.failNext(n, err, true) }

func (s *store) failNext(n int, err error, keeps bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.failures, s.keeps = err, n, keeps
	if err == nil {
		s.failures = 0
	}
	s.signal()
}

// Block makes publishes wait until the returned function is called, or their
// context ends. It may be called more than once.
func (o *Out) Block() (unblock func()) {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	blocked := make(chan struct{})
	o.store.blocked = blocked
	return sync.OnceFunc(func() {
		o.store.mu.Lock()
		defer o.store.mu.Unlock()
		if o.store.blocked == blocked {
			o.store.blocked = nil
		}
		close(blocked)
	})
}

// Fence moves the shard's cursor as somebody else would: the next PublishAt
// that has not read it again returns event.ErrFenced.
func (o *Out) Fence(shard string) {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	stored := o.store.cursors[shard]
	stored.revision++
	o.store.cursors[shard] = stored
}

// SetCursor sets a shard's cursor, as an earlier run would have left it. An
// Out that has read or written it before is fenced.
func (o *Out) SetCursor(shard string, data []byte) {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	o.store.cursors[shard] = cursor{data: bytes.Clone(data), revision: o.store.cursors[shard].revision + 1}
	o.store.signal()
}

// StoredCursor returns a shard's cursor without counting as a read.
func (o *Out) StoredCursor(shard string) []byte {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	return bytes.Clone(o.store.cursors[shard].data)
}

// Shards returns the names of the shards that have a cursor, sorted.
func (o *Out) Shards() []string {
	o.store.mu.Lock()
	defer o.store.mu.Unlock()
	names := make([]string, 0, len(o.store.cursors))
	for name := range o.store.cursors {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Wait returns the stored events as soon as there are n or more.
func (o *Out) Wait(tb testing.TB, n int) []event.Event {
	tb.Helper()
	if !o.store.wait(within(tb, Patience), func() bool { return len(o.store.events) >= n }) {
		tb.Fatalf("%d events stored, want %d", len(o.Events()), n)
	}
	return o.Events()
}

// WaitFailed waits until n or more publishes have failed without storing.
func (o *Out) WaitFailed(tb testing.TB, n int) {
	tb.Helper()
	if !o.store.wait(within(tb, Patience), func() bool { return o.store.refusals >= n }) {
		tb.Fatalf("fewer than %d publishes have failed", n)
	}
}

// WaitBlocked waits until n or more publishes are held up by Block.
func (o *Out) WaitBlocked(tb testing.TB, n int) {
	tb.Helper()
	if !o.store.wait(within(tb, Patience), func() bool { return o.store.waiting >= n }) {
		tb.Fatalf("fewer than %d publishes are blocked", n)
	}
}

// WaitCursor returns the shard's cursor as soon as accept says that it is the
// one that is waited for.
func (o *Out) WaitCursor(tb testing.TB, shard string, accept func(data []byte) bool) []byte {
	tb.Helper()
	if !o.store.wait(within(tb, Patience), func() bool { return accept(o.store.cursors[shard].data) }) {
		tb.Fatalf("the cursor of shard %s is still %q", shard, o.StoredCursor(shard))
	}
	return o.StoredCursor(shard)
}

// wait blocks until done, called with the lock held, says so.
func (s *store) wait(patience time.Duration, done func() bool) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		s.mu.Lock()
		ok, changed := done(), s.changed
		s.mu.Unlock()
		if ok {
			return true
		}
		select {
		case <-changed:
		case <-deadline.C:
			return false
		}
	}
}
