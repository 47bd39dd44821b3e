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

// collect reads letters until the batch is full, and tells whether there may
// be more.
func (k letterKind) collect(ctx context.Context, b *batch, size int) (more bool, err error) {
	var read error
	err = k.scan(ctx, &b.next.Filter, b.next.Handled, b.next.Last, func(letter Summary) bool {
		if len(b.entries) == size || b.bytes >= maxBatchBytes {
			more = true
			return false
		}
		if read = k.add(ctx, b, &letter); read != nil {
			return false
		}
		b.next.Handled = letter.Sequence
		return true
	})
	return more, errors.Join(err, read)
}

// unfit returns why a letter cannot be replayed, or "".
func (s *Store) unfit(letter *Summary) string {
	switch {
	case letter.Problem != "":
		return SkipUnreadable
	case letter.Reason == ReasonUndecodable:
		return SkipUndecodable
	case !s.options.Known(letter.ID.Trigger):
		return SkipUnknown
	case !s.options.Settled(letter.ID.String()):
		return SkipUnsettled
	}
	return ""
}

// add reads one letter and adds its entry to the batch.
func (k letterKind) add(ctx context.Context, b *batch, letter *Summary) error {
	if reason := k.unfit(letter); reason != "" {
		b.skip(reason)
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
