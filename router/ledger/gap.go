package ledger

import "slices"

// A Gap is a time in which no router ran. It makes nothing older: a machine that
// was off, or whose clock has jumped while it was, has tried nothing meanwhile.
type Gap struct {
	_   struct{} `cbor:",toarray"`
	At  int64    // Unix nanoseconds of the last record before it
	For int64    // nanoseconds
}

const (
	// minGap is the shortest time that is worth a note, in nanoseconds.
	minGap = 1e9
	// maxGaps is how many are kept. Beyond it the oldest two become one, which is
	// rather too long for what began between them.
	maxGaps = 64
)

// Resume notes that no router ran from the last record until now. It belongs
// before the first snapshot of a new claim. What nothing refers to any more is
// forgotten.
func (s *State) Resume(now int64) {
	if s.Time == 0 {
		return // there was none
	}
	if gap := now - s.Time; gap >= minGap {
		s.Gaps = append(s.Gaps, Gap{At: s.Time, For: gap})
	}
	oldest := s.oldest(now)
	s.Gaps = slices.DeleteFunc(s.Gaps, func(g Gap) bool { return g.At < oldest })
	if len(s.Gaps) > maxGaps {
		s.Gaps[1].For += s.Gaps[0].For
		s.Gaps = slices.Delete(s.Gaps, 0, 1)
	}
}

// oldest returns when the first of what may become too old began.
func (s *State) oldest(now int64) int64 {
	for _, w := range s.Waiting {
		if first := w.First(); first != 0 {
			now = min(now, first)
		}
	}
	for _, t := range s.Triggers {
		if t.Removed != 0 {
			now = min(now, t.Removed)
		}
	}
	return now
}

// Idle returns for how long no router ran after a time.
func (s *State) Idle(since int64) (idle int64) {
	for _, g := range s.Gaps {
		if g.At >= since {
			idle += g.For
		}
	}
	return idle
}

// First returns when the first attempt began; 0 when none has ended.
func (w *Waiting) First() int64 {
	if len(w.History) == 0 {
		return 0
	}
	return w.History[0].Time - w.History[0].Duration
}
