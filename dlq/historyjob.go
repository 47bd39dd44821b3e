package dlq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"

	"sluice/event"
)

// A historyKind replays events of the log.
type historyKind struct{ *Store }

const (
	// historyBatch is the most events of one batch: nothing is to be deleted for
	// each, so that there may be more of them than letters.
	historyBatch = 500
	// maxScan is about how many positions one step looks at: where little is
	// selected, the position is stored this often all the same.
	maxScan = 4096
)

// A stopError cancels a replay that cannot go on by itself.
type stopError struct{ reason string }

func (e *stopError) Error() string { return e.reason }

// settle has nothing to do: events stay where they are.
func (historyKind) settle(context.Context, *job) error { return nil }

// collect reads the log until the batch is full.
func (k historyKind) collect(ctx context.Context, b *batch, size int) (more bool, err error) {
	if k.options.History == nil {
		return false, errNoHistory
	}
	first, _, err := k.options.History.Bounds(ctx)
	if err != nil {
		return false, err
	}
	if first > b.next.Handled+1 && b.next.Handled < b.next.Last {
		return false, &stopError{reason: fmt.Sprintf("history before sequence %d, of which it needed some, has gone", first)}
	}
	return k.read(ctx, b, size, func(trigger string, e *event.Entry) {
		origin := event.EntryID{Incarnation: k.options.Incarnation, Sequence: e.Sequence}
		b.entries = append(b.entries, event.Directed{Trigger: trigger, Origin: origin.String(), Event: *e.Event})
	})
}

// read goes on through the log from where the batch stands, and gives what the
// job selects to add: up to size entries, and about maxBatchBytes. It looks at
// maxScan positions at most, and tells whether there are more.
func (k historyKind) read(ctx context.Context, b *batch, size int, add func(trigger string, e *event.Entry)) (more bool, err error) {
	selection, err := k.options.Select(b.next.History)
	if err != nil {
		return false, err
	}
	begun := b.next.Handled
	end := min(b.next.Last, begun+maxScan)
	for found := 0; b.next.Handled < end && found < size && b.bytes < maxBatchBytes; {
		stretch, err := k.stretch(ctx, b.next.Handled+1, size-found, maxBatchBytes-b.bytes)
		if err != nil {
			if b.next.Handled > begun {
				return true, nil //nolint:nilerr // it comes again where it is the first thing
			}
			return false, err
		}
		for _, e := range stretch.Entries {
			taken, err := k.takes(ctx, b, selection, e)
			if err != nil {
				return false, err
			}
			if taken {
				found++
				b.bytes += e.Size
				add(selection.Trigger, e)
			}
		}
		b.next.Handled = min(stretch.To, b.next.Last)
	}
	return b.next.Handled < b.next.Last, nil
}

// stretch reads what comes next, which is there: the log goes on behind it.
func (s *Store) stretch(ctx context.Context, from uint64, limit, maxBytes int) (event.Batch, error) {
	stretch, err := s.options.History.Range(ctx, from, limit, maxBytes)
	if stretch.To >= from {
		return stretch, nil
	}
	return stretch, errors.Join(err, fmt.Errorf("the log does not go on at sequence %d", from))
}

// takes tells whether a job selects an entry. What it would and cannot is
// counted as skipped.
func (k historyKind) takes(ctx context.Context, b *batch, selection *Selection, e *event.Entry) (bool, error) {
	f := b.next.History
	switch {
	case e.Sequence > b.next.Last, e.Trigger != "", f.Source != "" && f.Source != e.Source, !slices.Contains(selection.Sources, e.Source):
		return false, nil
	case e.Event == nil:
		b.skip(SkipUndecodable)
		return false, nil
	case !f.ofType(e.Event):
		return false, nil
	}
	taken, err := k.ask(ctx, selection, e)
	switch {
	case errors.Is(err, event.ErrLost):
		b.skip(SkipLost)
		return false, nil
	case errors.Is(err, errDefect):
		b.skip(SkipUnreadable)
		return false, nil
	case err != nil:
		return false, fmt.Errorf("looking at the event at sequence %d: %w", e.Sequence, err)
	}
	return taken, nil
}

var errDefect = errors.New("a defect of sluice")

// ask asks the selection. One event over which our own code panics holds up no
// other (invariant I7).
func (k historyKind) ask(ctx context.Context, selection *Selection, e *event.Entry) (taken bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			k.options.Logger.Error("matching an event has panicked", slog.Uint64("sequence", e.Sequence), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
			err = errDefect
		}
	}()
	return selection.Takes(ctx, e)
}
