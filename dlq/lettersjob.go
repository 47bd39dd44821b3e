package dlq

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sluice/event"
)

// deleters is how many letters are deleted at a time.
const deleters = 16

// A letterKind replays letters.
type letterKind struct{ *Store }

// together is how many letters are looked at together at most: whether their
// deliveries are settled is asked for all of them at once.
const together = 1000

// collect reads letters until the batch is full, and tells whether there may
// be more.
func (k letterKind) collect(ctx context.Context, b *batch, size int) (more bool, err error) {
	for {
		page, next, err := k.page(ctx, &b.next.Filter, b.next.Handled, b.next.Last, size-len(b.entries))
		if err != nil {
			return false, err
		}
		for i, reason := range k.unfit(page) {
			if b.bytes >= maxBatchBytes {
				return true, nil
			}
			if err := k.add(ctx, b, &page[i], reason); err != nil {
				return false, err
			}
			b.next.Handled = page[i].Sequence
		}
		if next == 0 || len(b.entries) == size {
			return next != 0, nil
		}
	}
}

// unfit returns of each letter why it cannot be replayed, or "".
func (s *Store) unfit(letters []Summary) []string {
	settled := s.settled(letters)
	reasons := make([]string, len(letters))
	for i := range letters {
		switch letter := &letters[i]; {
		case letter.Problem != "":
			reasons[i] = SkipUnreadable
		case letter.Reason == ReasonUndecodable:
			reasons[i] = SkipUndecodable
		case !s.options.Known(letter.ID.Trigger):
			reasons[i] = SkipUnknown
		case !settled[i]:
			reasons[i] = SkipUnsettled
		}
	}
	return reasons
}

func (s *Store) settled(letters []Summary) []bool {
	ids := make([]string, len(letters))
	for i := range letters {
		ids[i] = letters[i].ID.String()
	}
	return s.options.Settled(ids...)
}

// add reads one letter and adds its entry to the batch, if it is fit.
func (k letterKind) add(ctx context.Context, b *batch, letter *Summary, unfit string) error {
	if unfit != "" {
		b.skip(unfit)
		return nil
	}
	msg, err := k.stream.GetMsg(ctx, letter.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		b.skip(SkipGone)
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the letter of %s: %w", letter.ID, translate(err))
	}
	whole, err := decode(letter.ID, msg.Header, msg.Data)
	switch {
	case err != nil:
		b.skip(SkipUnreadable)
	case whole.Event == nil:
		b.skip(SkipUndecodable)
	default:
		id := letter.ID.String()
		b.entries = append(b.entries, event.Directed{Trigger: letter.ID.Trigger, Origin: id, Event: *whole.Event})
		b.next.Taken = append(b.next.Taken, taken{Sequence: letter.Sequence, ID: id})
		b.bytes += len(msg.Data)
	}
	return nil
}

// settle deletes the letters whose entries are durable. What an earlier run has
// taken is deleted only where it still is what the record says.
func (k letterKind) settle(ctx context.Context, j *job) error {
	if j.deleted {
		return nil
	}
	if err := k.deleteAll(ctx, j.Taken, j.resumed); err != nil {
		return err
	}
	j.deleted = true
	return nil
}

// deleteAll deletes several letters at a time: each waits for the disk.
func (s *Store) deleteAll(ctx context.Context, all []taken, check bool) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(deleters)
	for _, t := range all {
		group.Go(func() error {
			if err := s.deleteOne(ctx, t, check); err != nil {
				return fmt.Errorf("deleting the letter of %s: %w", t.ID, translate(err))
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *Store) deleteOne(ctx context.Context, t taken, check bool) error {
	if check {
		same, err := s.isStill(ctx, t)
		if err != nil || !same {
			return err
		}
	}
	err := s.stream.DeleteMsg(ctx, t.Sequence)
	if err == nil {
		return nil
	}
	// The server has one error for all that may go wrong, also for no message.
	if same, readErr := s.isStill(ctx, t); readErr == nil && !same {
		return nil
	}
	return err
}

// isStill tells whether the letter of a delivery is at a position.
func (s *Store) isStill(ctx context.Context, t taken) (bool, error) {
	id, err := event.ParseDeliveryID(t.ID)
	if err != nil {
		return false, err
	}
	msg, err := s.stream.GetMsg(ctx, t.Sequence)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	return err == nil && msg.Subject == subject(s.options.Prefix, id), err
}
