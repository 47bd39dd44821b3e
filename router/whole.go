package router

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/semaphore"

	"sluice/event"
	"sluice/router/core"
	"sluice/router/pattern"
	"sluice/sinks"
)

// Data that is kept apart from its events is held while it is delivered, and
// that is bounded. Attempts with up to modest bytes and those with more have
// their own bounds: no large file keeps small ones waiting. One trigger may hold
// a part of each, so that one whose sink hangs leaves room for the others: of
// the larger, room for the largest event that there is.
const (
	modest                  = 16 << 20
	modestMost, modestShare = 128 << 20, 32 << 20
	bulkyMost, bulkyShare   = 2 * event.MaxSize, event.MaxSize
	// wholeAgain is when a delivery is attempted again whose data could not be
	// had.
	wholeAgain = time.Second
)

// A hold bounds the bytes of data that attempts hold.
type hold struct{ modest, bulky *semaphore.Weighted }

func newHold(modest, bulky int64) hold {
	return hold{modest: semaphore.NewWeighted(modest), bulky: semaphore.NewWeighted(bulky)}
}

// of returns what bounds attempts of a weight.
func (h hold) of(weight int64) *semaphore.Weighted {
	if weight > modest {
		return h.bulky
	}
	return h.modest
}

// loader returns what patterns load data with.
func (r *Router) loader(ctx context.Context) pattern.Loader {
	return func(large *event.Large) ([]byte, error) { return r.options.Log.Body(ctx, large) }
}

// weigh returns how many bytes of data that is kept apart a delivery needs.
func weigh(s *core.Start) int64 {
	entry, _ := s.Body.(*event.Entry)
	if entry == nil || entry.Event == nil || entry.Event.Large == nil {
		return 0
	}
	return entry.Event.Large.Size
}

// reserve waits until the data of an attempt may be held: within the share of its
// trigger first, so that a trigger which waits for itself is in nobody's way. It
// fails when ctx ends.
func (u *run) reserve(ctx context.Context, t *Trigger, starts []core.Start) (release func(), err error) {
	weight := int64(0)
	for i := range starts {
		weight += weigh(&starts[i])
	}
	if weight == 0 || t == nil {
		return func() {}, nil
	}
	share, all := t.held.of(weight), u.held.of(weight)
	if err := share.Acquire(ctx, weight); err != nil {
		return nil, err
	}
	if err := all.Acquire(ctx, weight); err != nil {
		share.Release(weight)
		return nil, err
	}
	u.metrics.hold(weight)
	return func() { u.metrics.hold(-weight); all.Release(weight); share.Release(weight) }, nil
}

// whole returns an event with its data. Data that is lost ends the delivery; when
// it cannot be had now, the delivery waits, and that is no attempt.
func (u *run) whole(ctx context.Context, e *event.Event) (*event.Event, error) {
	if e.Large == nil {
		return e, nil
	}
	var data []byte
	err := guarded(func() (err error) {
		data, err = u.options.Log.Body(ctx, e.Large)
		return err
	})
	switch {
	case errors.Is(err, event.ErrLost):
		return nil, sinks.Permanent(err)
	case err != nil:
		return nil, &sinks.ThrottledError{Err: fmt.Errorf("the event's data could not be read: %w", err), After: wholeAgain}
	}
	full := *e
	full.Data, full.Large = data, nil
	return &full, nil
}
