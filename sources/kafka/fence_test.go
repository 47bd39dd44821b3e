package kafka

import (
	"context"
	"sync"
	"testing"

	"sluice/event"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

// A lagging Out is a member's whose machine stands still: a publish that was given
// up is written nevertheless, later.
type lagging struct {
	sources.Out

	let     chan struct{} // closed when what was given up may be written
	written sync.WaitGroup
	mu      sync.Mutex
	errs    []error
}

func (l *lagging) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if len(events) == 0 {
		return l.Out.PublishAt(ctx, shard, cursor)
	}
	<-ctx.Done()
	l.written.Go(func() {
		<-l.let
		err := l.Out.PublishAt(context.WithoutCancel(ctx), shard, cursor, events...)
		l.mu.Lock()
		defer l.mu.Unlock()
		l.errs = append(l.errs, err)
	})
	return ctx.Err()
}

// What a member that has lost its partitions writes late is refused, when the new
// owner has written first.
func TestLateWriteIsRefused(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	cfg.Group = "sluice"
	out := sourcetest.NewOut()
	late := &lagging{Out: out, let: make(chan struct{})}
	first := run(t, cfg, late)
	stable(t, c, 1)
	produce(t, c, records(0, 40)...)
	sourcetest.Eventually(t, "polled", func() bool { _, items := lagOf(first); return items == 40 })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	now := out.Restart()
	run(t, cfg, now)
	wantEach(t, now, 40)
	close(late.let)
	late.written.Wait()
	for _, err := range late.errs {
		if err == nil {
			t.Error("a late write was taken")
		}
	}
	if len(late.errs) == 0 {
		t.Error("nothing was written late")
	}
	wantEach(t, now, 40)
	if repeats := now.Repeats(); len(repeats) > 0 {
		t.Errorf("%d events were published again", len(repeats))
	}
}

// An early Out is a new owner's that is slow: before its first write of a shard,
// whoever had the partition before writes once more.
type early struct {
	sources.Out

	before func(shard string)
	mu     sync.Mutex
	seen   map[string]bool
}

func (e *early) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	e.mu.Lock()
	again := e.seen[shard]
	e.seen[shard] = true
	e.mu.Unlock()
	if !again {
		e.before(shard)
	}
	return e.Out.PublishAt(ctx, shard, cursor, events...)
}

// When the late write comes first, after the new owner has read the cursor, the new
// owner leaves out what is published already.
func TestNewOwnerLeavesOutWhatIsThere(t *testing.T) {
	c := newCluster(t)
	cfg := newConfig(c)
	cfg.Group = "sluice"
	out := sourcetest.NewOut()
	late := &lagging{Out: out, let: make(chan struct{})}
	first := run(t, cfg, late)
	stable(t, c, 1)
	produce(t, c, records(0, 40)...)
	sourcetest.Eventually(t, "polled", func() bool { _, items := lagOf(first); return items == 40 })
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	now := out.Restart()
	run(t, cfg, &early{Out: now, seen: map[string]bool{}, before: func(string) {
		select {
		case <-late.let:
		default:
			close(late.let)
		}
		late.written.Wait()
	}})
	produce(t, c, records(40, 40)...)
	wantEach(t, now, 80)
	if repeats := now.Repeats(); len(repeats) > 0 {
		t.Errorf("%d events were published again", len(repeats))
	}
	late.mu.Lock()
	defer late.mu.Unlock()
	taken := 0
	for _, err := range late.errs {
		if err == nil {
			taken++
		}
	}
	if taken == 0 {
		t.Error("no late write was taken")
	}
}
