package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// A gathering stores fenced writes, each all or nothing: those that come while
// a batch is under way share the next one, and one sync. When the server refuses
// a shared batch, for one stale fence or one duplicate, nothing of it is stored,
// and each write goes by itself: only the wrong one fails.
type gathering struct {
	*batcher

	mu      sync.Mutex
	waiting []*gathered
	leading bool           // somebody commits what waits
	crowd   bool           // the last lead has had a group of several
	leaders sync.WaitGroup // at most one
}

// A gathered write is its messages, with that of the fenced subject last.
type gathered struct {
	messages []*nats.Msg
	size     int
	done     chan struct{} // closed once outcome is set
	outcome  outcome
}

// store returns the sequence of the last message. When ctx ends first, the
// write may still be stored.
func (g *gathering) store(ctx context.Context, messages []*nats.Msg) (uint64, error) {
	w := &gathered{messages: messages, done: make(chan struct{})}
	for _, msg := range messages {
		w.size += messageSize(msg)
	}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	if !g.leading {
		g.leading = true
		g.leaders.Go(func() { g.lead(context.WithoutCancel(ctx)) })
	}
	g.mu.Unlock()
	select {
	case <-w.done:
		return w.outcome.sequence, w.outcome.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// lead commits groups until nothing waits.
func (g *gathering) lead(ctx context.Context) {
	g.gather()
	crowd := false
	for {
		group := g.take(crowd)
		if len(group) == 0 {
			return
		}
		crowd = crowd || len(group) > 1
		for i, o := range g.commit(ctx, group) {
			group[i].outcome = o
			close(group[i].done)
		}
	}
}

// gatherRounds bounds how often gather waits.
const gatherRounds = 4

// gather waits while more writes come, when several came together the last
// time: they were woken at the same moment, such as schedules, and would
// otherwise wait for a batch of the first one alone. A lone writer never waits.
func (g *gathering) gather() {
	for standing, round := 0, 0; round < gatherRounds; round++ {
		g.mu.Lock()
		now, crowd := len(g.waiting), g.crowd
		g.mu.Unlock()
		if !crowd || now == standing {
			return
		}
		standing = now
		time.Sleep(gatherFor)
	}
}

// take removes the next group from what waits: as many as a batch takes, and
// one at least. With none it ends the leadership; crowd says what it was like.
func (g *gathering) take(crowd bool) []*gathered {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, count, size := 0, 0, 0
	for ; n < len(g.waiting); n++ {
		next := g.waiting[n]
		if n > 0 && (count+len(next.messages) > g.most || size+next.size > maxGroupBytes) {
			break
		}
		count, size = count+len(next.messages), size+next.size
	}
	group := g.waiting[:n:n]
	if g.waiting = g.waiting[n:]; len(g.waiting) == 0 {
		g.waiting = nil
	}
	if g.leading = n > 0; !g.leading {
		g.crowd = crowd
	}
	return group
}

// commit stores the writes of a group, and returns the outcome of each.
func (g *gathering) commit(ctx context.Context, group []*gathered) []outcome {
	ctx, cancel := context.WithTimeout(ctx, 2*storeTimeout)
	defer cancel()
	if len(group) > 1 {
		last, err := g.storeBatch(ctx, together(group))
		if err == nil {
			return ends(last, group)
		}
		if codeOf(err) == 0 || errors.Is(storeError(err), event.ErrFull) {
			return failed(len(group), err)
		}
		g.log.LogAttrs(ctx, slog.LevelDebug, "batch refused: storing its writes one by one",
			slog.Int("writes", len(group)), slog.Any("error", err))
	}
	outcomes := make([]outcome, len(group))
	for i, w := range group {
		outcomes[i] = g.storeAlone(ctx, w.messages)
	}
	return outcomes
}

func together(group []*gathered) []*nats.Msg {
	var all []*nats.Msg
	for _, w := range group {
		all = append(all, w.messages...)
	}
	return all
}

// ends returns the sequence of the last message of each write of a batch that
// ends with last.
func ends(last uint64, group []*gathered) []outcome {
	outcomes := make([]outcome, len(group))
	for i := len(group) - 1; i >= 0; i-- {
		outcomes[i].sequence = last
		last -= uint64(len(group[i].messages))
	}
	return outcomes
}

// close waits until nothing is under way.
func (g *gathering) close(ctx context.Context) error {
	done := make(chan struct{})
	go func() { g.leaders.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: storing what waits took too long: %w", event.ErrUnavailable, ctx.Err())
	}
}
