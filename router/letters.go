package router

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

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

// letterPace is how long letters wait that could not be written.
const letterPace = 500 * time.Millisecond

// writeLetters writes the letters of dying deliveries, and then the records for
// on_failure, in ascending sweeps, until each is durable (invariant I3). One that cannot be written waits, and
// holds up no other.
func (u *run) writeLetters(ctx context.Context) {
	var failed []core.WriteLetter
	var again <-chan time.Time
	for {
		var todo []core.WriteLetter
		select {
		case <-ctx.Done():
			return
		case <-u.letters.signal:
			todo = slices.Clone(u.letters.take())
		case <-again:
			todo, failed, again = failed, nil, nil
		}
		slices.SortFunc(todo, func(a, b core.WriteLetter) int { return cmp.Compare(a.Key.Sequence, b.Key.Sequence) })
		for batch := range slices.Chunk(todo, letterBatch) {
			failed = append(failed, u.writeBatch(ctx, batch)...)
		}
		switch {
		case len(failed) == 0:
			u.recovered("letters")
		case again == nil:
			again = time.After(letterPace)
		}
	}
}

// writeBatch writes letters and returns those that could not be written.
func (u *run) writeBatch(ctx context.Context, batch []core.WriteLetter) (failed []core.WriteLetter) {
	sequences := make([]uint64, 0, len(batch))
	for _, l := range batch {
		sequences = append(sequences, l.Key.Sequence)
	}
	entries, err := u.options.Log.Fetch(ctx, slices.Compact(sequences))
	if err != nil {
		if ctx.Err() == nil {
			u.heldUp("letters", err)
		}
		return batch
	}
	bodies := map[uint64]*event.Entry{}
	for _, e := range entries {
		bodies[e.Sequence] = e
	}
	written := make([]bool, len(batch))
	var group sync.WaitGroup
	room := make(chan struct{}, letterWriters)
	for i, l := range batch {
		room <- struct{}{}
		group.Go(func() {
			written[i] = u.writeLetter(ctx, l, bodies[l.Key.Sequence])
			<-room
		})
	}
	group.Wait()
	for i, l := range batch {
		if !written[i] {
			failed = append(failed, l)
		}
	}
	return failed
}

func (u *run) writeLetter(ctx context.Context, l core.WriteLetter, entry *event.Entry) bool {
	letter := u.letter(l, entry)
	err := u.options.Letters.Put(ctx, letter)
	if err == nil {
		err = guarded(func() error { return u.tellFailure(ctx, l, letter) })
	}
	if err != nil {
		if ctx.Err() == nil {
			u.heldUp("letters", err)
		}
		return false
	}
	u.inbox.put(core.LetterStored{Key: l.Key})
	return true
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
	letter.Source, letter.Event, letter.AcceptedAt = entry.Source, entry.Event, entry.Time
	if entry.Trigger != "" {
		letter.Origin = entry.Origin
	}
	letter.Header, letter.Raw = entry.Header, entry.Raw
	if entry.Err != nil {
		letter.Reason = dlq.ReasonUndecodable
	}
	return letter
}
