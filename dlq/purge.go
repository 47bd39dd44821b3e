package dlq

import (
	"context"
	"slices"
)

// A Purged says what a purge has done.
type Purged struct {
	// Letters is how many are gone.
	Letters int
	// Skipped counts by reason those that were left.
	Skipped map[string]int
}

// Purge deletes for ever the letters that the filter selects and whose
// deliveries are settled. The others are left. After an error it tells what was
// done before.
func (s *Store) Purge(ctx context.Context, f Filter) (Purged, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	done := Purged{Skipped: map[string]int{}}
	upto, err := s.last(ctx)
	if err != nil {
		return done, err
	}
	for after, more := uint64(0), upto > 0; more; {
		page, next, err := s.page(ctx, &f, after, upto, together)
		if err != nil {
			return done, err
		}
		if err := s.purge(ctx, page, &done); err != nil {
			return done, err
		}
		after, more = next, next != 0
	}
	return done, nil
}

func (s *Store) purge(ctx context.Context, letters []Summary, done *Purged) error {
	settled := s.settled(letters)
	gone := make([]taken, 0, len(letters))
	for i := range letters {
		switch letter := &letters[i]; {
		case letter.Problem != "":
			done.Skipped[SkipUnreadable]++
		case !settled[i]:
			done.Skipped[SkipUnsettled]++
		default:
			gone = append(gone, taken{Sequence: letter.Sequence, ID: letter.ID.String()})
		}
	}
	for some := range slices.Chunk(gone, maxBatch) {
		if err := s.deleteAll(ctx, some, false); err != nil {
			return err
		}
		done.Letters += len(some)
	}
	return nil
}
