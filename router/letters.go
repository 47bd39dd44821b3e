package router

import (
	"context"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/dlq"
	"sluice/event"
	"sluice/router/core"
	"sluice/router/ledger"
)

const (
	// letterBatch is how many letters are written from one look at the log.
	letterBatch = 64
	// letterWriters is how many are written at once.
	letterWriters = 16
)

// writeLetters writes the letters of dying deliveries, in ascending sweeps,
// until each is durable (invariant I3).
func (u *run) writeLetters(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-u.letters.signal:
		}
		todo := slices.Clone(u.letters.take())
		slices.SortFunc(todo, func(a, b core.WriteLetter) int {
			if a.Key.Less(b.Key) {
				return -1
			}
			return 1
		})
		for batch := range slices.Chunk(todo, letterBatch) {
			u.writeBatch(ctx, batch)
		}
	}
}

func (u *run) writeBatch(ctx context.Context, batch []core.WriteLetter) {
	bodies := map[uint64]*event.Entry{}
	u.persist(ctx, "letters", func() error {
		sequences := make([]uint64, 0, len(batch))
		for _, l := range batch {
			sequences = append(sequences, l.Key.Sequence)
		}
		entries, err := u.options.Log.Fetch(ctx, slices.Compact(sequences))
		for i := range entries {
			bodies[entries[i].Sequence] = &entries[i]
		}
		return err
	})
	var group errgroup.Group
	group.SetLimit(letterWriters)
	for _, l := range batch {
		group.Go(func() error {
			letter := u.letter(l, bodies[l.Key.Sequence])
			u.persist(ctx, "letters", func() error { return u.options.Letters.Put(ctx, letter) })
			if ctx.Err() == nil {
				u.inbox.put(core.LetterStored{Key: l.Key})
			}
			return nil
		})
	}
	_ = group.Wait() // none of them returns an error
}

// letter is the whole story of a delivery that has failed.
func (u *run) letter(l core.WriteLetter, entry *event.Entry) *dlq.Letter {
	letter := &dlq.Letter{
		ID:     event.DeliveryID{Incarnation: u.options.Incarnation, Sequence: l.Key.Sequence, Trigger: l.Name},
		Reason: l.Reason, DiedAt: u.clock.now(),
	}
	for _, a := range l.History {
		letter.Attempts = append(letter.Attempts, dlq.Attempt{
			Number: a.Number, Time: time.Unix(0, a.Time), Duration: time.Duration(a.Duration), Status: a.Status, Error: a.Error,
		})
		letter.Status, letter.Error = a.Status, a.Error
		letter.Made = max(letter.Made, a.Number)
	}
	if l.Reason == ledger.ReasonPoison {
		letter.Error = "the router crashed three times while it was under way"
	}
	if entry == nil {
		return letter
	}
	letter.Source, letter.Event, letter.AcceptedAt, letter.Origin = entry.Source, entry.Event, entry.Time, entry.Origin
	letter.Header, letter.Raw = entry.Header, entry.Raw
	if entry.Err != nil {
		letter.Reason = dlq.ReasonUndecodable
	}
	return letter
}
