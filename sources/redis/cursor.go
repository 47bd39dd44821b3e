package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"sluice/event"
	"sluice/sources/upstream"
)

// maxLeft is how many entries that are too large are remembered.
const maxLeft = 100

// A cursor reads a stream from where the last events were stored.
type cursor struct {
	*stream
	position position
	loaded   bool
}

func (c *cursor) shard() string { return "stream-" + hash(c.key) }

func (c *cursor) read(ctx context.Context, well func()) error {
	if !c.loaded {
		if err := c.begin(ctx); err != nil {
			return err
		}
		c.loaded = true
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	well()
	if err := c.again(ctx); err != nil {
		return err
	}
	for ctx.Err() == nil {
		entries, err := c.entries(ctx, 6, parseStreams,
			"xread", "count", c.pace.count, "block", block.Milliseconds(), "streams", c.key, c.position.Last)
		if err == nil {
			err = c.take(ctx, entries)
		}
		if err == nil && c.due() {
			err = c.measure(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// begin finds out where to read from.
func (c *cursor) begin(ctx context.Context) error {
	found, err := c.load(ctx, c.part("bus"), c.shard(), &c.position)
	if err != nil || found {
		return err
	}
	c.position.Last = noID
	switch c.cfg.Start {
	case StartAll:
	case StartNew:
		if c.position.Last, _, err = c.lastID(ctx); err != nil {
			return err
		}
	default:
		c.position.Last = c.cfg.Start
	}
	return c.store(ctx, c.part("bus"), c.shard(), c.position, nil)
}

// check looks whether the stream is still the one that was read.
func (c *cursor) check(ctx context.Context) error {
	last, deleted, err := c.lastID(ctx)
	if err != nil {
		return err
	}
	if compare(deleted, c.position.Last) > 0 {
		c.logger(c.key).Warn("entries of the stream were deleted or trimmed, some of them perhaps before they were read",
			slog.String("read_up_to", c.position.Last), slog.String("deleted_up_to", deleted))
	}
	back := rewound(c.position.Last, last)
	if back == c.position.Last {
		return nil
	}
	c.logger(c.key).Warn("the stream was made anew, or its server has lost the end of it",
		slog.String("read_up_to", c.position.Last), slog.String("stream_ends_at", last), slog.String("reading_from", back))
	c.position.Last = back
	return c.store(ctx, c.part("bus"), c.shard(), c.position, nil)
}

// rewound returns where to read on in a stream whose highest id is last, when it
// was read up to read. A stream whose ids are times and that is behind that has
// lost its end: what is there was read. Other ids are given by whoever adds
// entries: there the stream is another one. A start in the future, which is none
// that was read, is left alone as long as the stream is empty.
func rewound(read, last string) string {
	if last == noID || compare(last, read) >= 0 {
		return read
	}
	if _, real := milliseconds(last); real {
		return last
	}
	return noID
}

// take publishes entries, in their order, with the position behind them.
func (c *cursor) take(ctx context.Context, entries []entry) error {
	if len(entries) == 0 {
		return nil
	}
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	events := c.events(entries)
	_, err := upstream.Divide(len(events), func(from, to int) error {
		next := c.position
		next.Last = entries[to-1].id
		err := c.store(long, c.part("bus"), c.shard(), next, events[from:to])
		switch {
		case err == nil:
			c.position = next
		case errors.Is(err, event.ErrTooLarge) && to-from == 1:
			return c.leave(long, entries[from].id)
		}
		return err
	})
	return err
}

// leave passes by an entry that is too large, and remembers it: with a larger
// bus.max_event it is published at the next start.
func (c *cursor) leave(ctx context.Context, id string) error {
	if len(c.position.Left) == maxLeft {
		return fmt.Errorf("more than %d entries are larger than bus.max_event: raise that, or delete them (XDEL): %s", maxLeft, some(c.position.Left))
	}
	next := c.position
	next.Left = append(slices.Clone(c.position.Left), id)
	next.Last = id
	if err := c.store(ctx, c.part("bus"), c.shard(), next, nil); err != nil {
		return err
	}
	c.position = next
	c.tell()
	return nil
}

// tell reports what is left.
func (c *cursor) tell() {
	if len(c.position.Left) == 0 {
		c.health.Set(c.part("left"), nil)
		return
	}
	c.health.Set(c.part("left"), fmt.Errorf("%q: entries are larger than bus.max_event and were passed by: raise that and start again, or delete them (XDEL): %s",
		c.key, some(c.position.Left)))
}

// some names a few ids.
func some(ids []string) string {
	const few = 5
	text := strings.Join(ids[:min(few, len(ids))], ", ")
	if len(ids) > few {
		text += fmt.Sprintf(" and %d more", len(ids)-few)
	}
	return text
}

// again publishes what was left, as far as it is there and can be published now.
func (c *cursor) again(ctx context.Context) error {
	for _, id := range c.position.Left {
		entries, err := c.entries(ctx, 1, parseEntries, "xrange", c.key, id, id)
		if err != nil {
			return err
		}
		next := c.position
		next.Left = slices.DeleteFunc(slices.Clone(c.position.Left), func(one string) bool { return one == id })
		err = c.store(ctx, c.part("bus"), c.shard(), next, c.events(entries))
		if errors.Is(err, event.ErrTooLarge) {
			continue
		}
		if err != nil {
			return err
		}
		c.position = next
	}
	c.tell()
	return nil
}

// measure asks what waits, and looks at the stream as check does.
func (c *cursor) measure(ctx context.Context) error {
	if err := c.check(ctx); err != nil {
		return err
	}
	total, err := c.writing.XLen(ctx, c.key).Result()
	if err != nil {
		return err
	}
	items := int64(-1)
	if total == 0 {
		items = 0
	}
	return c.waiting(ctx, c.position.Last, items)
}
