package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/connect/redisconn"
	"sluice/event"
	"sluice/sources"
)

// A stream is what the two ways of reading one have in common. One goroutine
// uses it.
type stream struct {
	*run
	key   string
	shape shape
	pace  pace
	asked time.Time // when the server was last asked what waits
}

func (s *stream) part(what string) string { return s.key + " " + what }

// entries asks for entries, and learns from the answer how many to ask for.
func (s *stream) entries(ctx context.Context, keyAt int8, parse func(any) ([]entry, error), words ...any) ([]entry, error) {
	answer, err := s.ask(ctx, s.reading, keyAt, words...)
	if _, tooLong := errors.AsType[*redisconn.TooLongError](err); tooLong {
		if !s.pace.shrink() {
			return nil, fmt.Errorf("an entry is larger than any event can be: see which by XINFO STREAM, and delete it (XDEL): %w", err)
		}
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	found, err := parse(answer)
	size := 0
	for i := range found {
		size += found[i].size()
	}
	s.pace.learn(len(found), size)
	return found, err
}

// events makes events of entries.
func (s *stream) events(entries []entry) []event.Event {
	events := make([]event.Event, len(entries))
	for i := range entries {
		var invalid error
		if events[i], invalid = s.shape.event(&entries[i]); invalid != nil {
			s.logger(s.key).Warn("an entry says that it is a CloudEvent, and is none: it becomes an ordinary event",
				slog.String("entry", entries[i].id), slog.String("error", invalid.Error()))
		}
	}
	return events
}

// lastID returns the highest id that the stream has given, and the highest of an
// entry that was deleted, where the server tells it. A stream that is not there
// has none.
func (s *stream) lastID(ctx context.Context) (last, deleted string, err error) {
	info, err := s.writing.XInfoStream(ctx, s.key).Result()
	if err != nil {
		if isNoKey(err) {
			return noID, noID, nil
		}
		return "", "", err
	}
	return info.LastGeneratedID, info.MaxDeletedEntryID, nil
}

// noID is before the id of every entry.
const noID = "0-0"

func isNoKey(err error) bool { return err.Error() == "ERR no such key" }

// due tells every few seconds that it is time to ask the server what waits.
func (s *stream) due() bool {
	if now := time.Now(); now.Sub(s.asked) >= lagEvery {
		s.asked = now
		return true
	}
	return false
}

// waiting notes how many entries wait, behind the one that was last taken.
func (s *stream) waiting(ctx context.Context, last string, items int64) error {
	next, err := s.writing.XRangeN(ctx, s.key, "("+last, "+", 1).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	l := lag{items: items}
	if len(next) > 0 {
		if ms, is := milliseconds(next[0].ID); is {
			l.oldest = time.UnixMilli(ms)
		}
		if items == 0 {
			l.items = 1
		}
	}
	s.lag.set(s.key, l)
	return nil
}

// A pace is how many entries to ask for: many small ones, and few large ones.
type pace struct{ count int }

const (
	firstCount = 64
	// wantBytes is what one answer may have.
	wantBytes = 8 << 20
)

func newPace() pace { return pace{count: firstCount} }

// learn takes note of an answer.
func (p *pace) learn(entries, size int) {
	switch {
	case size > wantBytes:
		p.count = max(1, entries*wantBytes/size)
	case entries >= p.count && size <= wantBytes/2:
		p.count = min(2*p.count, sources.MaxBatch)
	}
}

// shrink is for an answer that was too long. It returns false when there was
// nothing to shrink.
func (p *pace) shrink() bool {
	if p.count == 1 {
		return false
	}
	p.count = max(1, p.count/8)
	return true
}
