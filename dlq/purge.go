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
	var settled []taken
	err := s.scan(ctx, &f, 0, 0, func(letter Summary) bool {
		id := letter.ID.String()
		switch {
		case letter.Problem != "":
			done.Skipped[SkipUnreadable]++
		case !s.options.Settled(id):
			done.Skipped[SkipUnsettled]++
		default:
			settled = append(settled, taken{Sequence: letter.Sequence, ID: id})
		}
		return true
	})
	if err != nil {
		return done, err
	}
	for chunk := range slices.Chunk(settled, maxBatch) {
		if err := s.deleteAll(ctx, chunk, false); err != nil {
			return done, err
		}
		done.Letters += len(chunk)
	}
	return done, nil
}
