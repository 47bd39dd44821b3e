package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/connect/redisconn"
	"sluice/sources/upstream"
)

// A group reads a stream as one consumer of a group.
type group struct {
	*stream
	had     bool // there was a group in this run
	unacked []string
	claimed time.Time           // when what others have left was last asked for
	left    map[string]struct{} // entries that are too large, and stay pending
}

func (g *group) shard() string { return "group-" + hash(g.cfg.Group+"\x00"+g.key) }

func (g *group) read(ctx context.Context, well func()) error {
	if err := g.ensure(ctx); err != nil {
		return g.explain(err)
	}
	if err := g.acknowledge(ctx, nil); err != nil {
		return g.explain(err)
	}
	if err := g.own(ctx, well); err != nil {
		return g.explain(err)
	}
	for ctx.Err() == nil {
		err := g.claimDue(ctx)
		if err == nil {
			err = g.next(ctx)
		}
		if err == nil && g.due() {
			err = g.measure(ctx)
		}
		if err != nil {
			return g.explain(err)
		}
	}
	return nil
}

func (g *group) explain(err error) error {
	if redisconn.Code(err) != redisconn.CodeNoGroup {
		return err
	}
	if g.cfg.Create {
		return fmt.Errorf("the group %q is gone, as after FLUSHALL or when the stream was made anew: it is made again: %w", g.cfg.Group, err)
	}
	return fmt.Errorf("there is no group %q, or no such stream: make it by XGROUP CREATE %s %s 0 MKSTREAM, or write create: true: %w",
		g.cfg.Group, g.key, g.cfg.Group, err)
}

// ensure makes the group where it is missing. One that was there before, and the
// stream with it, begins with all that the stream holds: nothing of it was read.
func (g *group) ensure(ctx context.Context) error {
	if !g.cfg.Create {
		return nil
	}
	var known position
	found, err := g.load(ctx, g.part("bus"), g.shard(), &known)
	if err != nil {
		return err
	}
	start := "0"
	if !g.had && !found {
		switch g.cfg.Start {
		case StartAll:
		case StartNew:
			start = "$"
		default:
			start = g.cfg.Start
		}
	}
	err = g.writing.XGroupCreateMkStream(ctx, g.key, g.cfg.Group, start).Err()
	switch {
	case redisconn.Code(err) == redisconn.CodeBusyGroup:
	case err != nil:
		return err
	case g.had || found:
		g.logger(g.key).Warn("the consumer group was gone, and is made again: it begins with all that the stream holds",
			slog.String("group", g.cfg.Group))
	}
	g.had = true
	if found {
		return nil
	}
	return g.store(ctx, g.part("bus"), g.shard(), position{Group: true}, nil)
}

// own takes what was given to this consumer before and is not acknowledged.
func (g *group) own(ctx context.Context, well func()) error {
	for last := noID; ; {
		entries, err := g.entries(ctx, 7, parseStreams,
			"xreadgroup", "group", g.cfg.Group, g.cfg.Consumer, "count", g.pace.count, "streams", g.key, last)
		if err != nil {
			return err
		}
		well()
		if len(entries) == 0 {
			return nil
		}
		last = entries[len(entries)-1].id
		if err := g.take(ctx, entries); err != nil {
			return err
		}
	}
}

// next takes what is new.
func (g *group) next(ctx context.Context) error {
	entries, err := g.entries(ctx, 9, parseStreams,
		"xreadgroup", "group", g.cfg.Group, g.cfg.Consumer, "count", g.pace.count,
		"block", min(block, g.claimEvery()).Milliseconds(), "streams", g.key, ">")
	if err != nil {
		return err
	}
	return g.take(ctx, entries)
}

// claimEvery is how often others' entries are asked for.
func (g *group) claimEvery() time.Duration {
	if g.cfg.ClaimAfter == 0 {
		return block
	}
	return time.Duration(g.cfg.ClaimAfter) / 2
}

// claimDue takes what other consumers have kept for too long.
func (g *group) claimDue(ctx context.Context) error {
	if g.cfg.ClaimAfter == 0 || time.Since(g.claimed) < g.claimEvery() {
		return nil
	}
	count := 0
	for from := noID; ; {
		next, taken, err := g.claim(ctx, from)
		if err != nil {
			return err
		}
		count += taken
		if from = next; from == noID {
			break
		}
	}
	g.claimed = time.Now()
	if count > 0 {
		g.logger(g.key).Info("entries that another consumer had left were taken", slog.Int("entries", count))
	}
	return nil
}

// claim takes some of what others have kept, from an id on, and returns where to
// go on.
func (g *group) claim(ctx context.Context, from string) (next string, taken int, err error) {
	entries, err := g.entries(ctx, 1, func(answer any) (found []entry, err error) {
		next, found, err = parseClaimed(answer)
		return found, err
	}, "xautoclaim", g.key, g.cfg.Group, g.cfg.Consumer, time.Duration(g.cfg.ClaimAfter).Milliseconds(), from, "count", g.pace.count)
	if err != nil {
		return "", 0, err
	}
	entries = slices.DeleteFunc(entries, func(e entry) bool { _, is := g.left[e.id]; return is })
	if len(entries) == 0 {
		return next, 0, nil
	}
	return next, len(entries), g.take(ctx, entries)
}

// parseClaimed reads [next, [entry, …], …].
func parseClaimed(answer any) (next string, entries []entry, err error) {
	parts, ok := answer.([]any)
	if !ok || len(parts) < 2 {
		return "", nil, errAnswer
	}
	if next, ok = parts[0].(string); !ok || !entryID.MatchString(next) {
		return "", nil, errAnswer
	}
	entries, err = parseEntries(parts[1])
	return next, entries, err
}

// take publishes entries and acknowledges them. Those that were deleted are only
// acknowledged.
func (g *group) take(ctx context.Context, entries []entry) error {
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	var there []entry
	var done []string
	for _, e := range entries {
		if e.fields == nil {
			done = append(done, e.id)
		} else {
			there = append(there, e)
		}
	}
	if len(done) > 0 {
		g.logger(g.key).Warn("entries were deleted before they were published", slog.Int("entries", len(done)), slog.String("first", done[0]))
	}
	events := g.events(there)
	tooLarge, err := upstream.Divide(len(events), func(from, to int) error {
		return g.health.Until(long, g.part("bus"), func(ctx context.Context) error {
			return g.out.Publish(ctx, events[from:to]...)
		})
	})
	if err != nil {
		return err
	}
	for i := range there {
		if slices.Contains(tooLarge, i) {
			g.leave(there[i].id)
		} else {
			done = append(done, there[i].id)
		}
	}
	return g.acknowledge(long, done)
}

// acknowledge tells the server what is durable, with what it may not have heard
// before.
func (g *group) acknowledge(ctx context.Context, ids []string) error {
	g.unacked = append(g.unacked, ids...)
	if len(g.unacked) == 0 {
		return nil
	}
	if err := g.writing.XAck(ctx, g.key, g.cfg.Group, g.unacked...).Err(); err != nil {
		return err
	}
	for _, id := range g.unacked {
		delete(g.left, id)
	}
	g.unacked = nil
	g.tell()
	return nil
}

// leave notes an entry that is too large. It stays pending, and is tried again at
// the next start.
func (g *group) leave(id string) {
	if len(g.left) < maxLeft {
		g.left[id] = struct{}{}
	}
	g.tell()
}

func (g *group) tell() {
	if len(g.left) == 0 {
		g.health.Set(g.part("left"), nil)
		return
	}
	ids := slices.SortedFunc(maps.Keys(g.left), compare)
	g.health.Set(g.part("left"), fmt.Errorf("%q: entries are larger than bus.max_event and stay pending: raise that and start again, or acknowledge them (XACK): %s",
		g.key, some(ids)))
}

// measure asks what waits, and forgets of those that were left what is pending
// no more.
func (g *group) measure(ctx context.Context) error {
	for id := range g.left {
		pending, err := g.writing.XPendingExt(ctx, &redis.XPendingExtArgs{Stream: g.key, Group: g.cfg.Group, Start: id, End: id, Count: 1}).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		if len(pending) == 0 {
			delete(g.left, id)
		}
	}
	g.tell()
	groups, err := g.writing.XInfoGroups(ctx, g.key).Result()
	if err != nil {
		return err
	}
	for _, one := range groups {
		if one.Name == g.cfg.Group {
			return g.waiting(ctx, one.LastDeliveredID, one.Lag)
		}
	}
	return nil
}
