package pattern

import (
	"cmp"
	"math"
)

// A spans keeps stages of an index by stretches of the number line: a search tree
// by their lower ends that knows the highest upper end below each place, so that
// finding those that hold a number takes no longer for the others. Ranks that
// are drawn from the stretches keep it balanced (a treap). It is never changed,
// as a radix; the empty one is nil.
type spans struct {
	span        span
	stage       *stage
	rank        uint64
	highest     float64
	left, right *spans
}

// with returns spans in which the stage of s is what change makes of it, which
// is given nil when there is none, and returns nil to remove it.
func (t *spans) with(s *span, change func(*stage) *stage) *spans {
	if t == nil {
		n := change(nil)
		if n == nil {
			return nil
		}
		return (&spans{span: *s, stage: n, rank: s.rank()}).measured()
	}
	own := *t
	switch c := s.compare(&t.span); {
	case c < 0:
		own.left = t.left.with(s, change)
	case c > 0:
		own.right = t.right.with(s, change)
	default:
		if own.stage = change(t.stage); own.stage == nil {
			return mergeSpans(t.left, t.right)
		}
	}
	return own.balanced()
}

// balanced puts the higher rank on top; only one of those below can be higher.
func (t *spans) balanced() *spans {
	if t.left != nil && t.left.rank > t.rank {
		top := *t.left
		t.left = top.right
		top.right = t.measured()
		return top.measured()
	}
	if t.right != nil && t.right.rank > t.rank {
		top := *t.right
		t.right = top.left
		top.left = t.measured()
		return top.measured()
	}
	return t.measured()
}

// mergeSpans makes one tree of two; all of the first lies before all of the second.
func mergeSpans(a, b *spans) *spans {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.rank > b.rank:
		own := *a
		own.right = mergeSpans(a.right, b)
		return own.measured()
	}
	own := *b
	own.left = mergeSpans(a, b.left)
	return own.measured()
}

// measured sets the highest end, and returns t.
func (t *spans) measured() *spans {
	t.highest = t.span.upper()
	if t.left != nil {
		t.highest = max(t.highest, t.left.highest)
	}
	if t.right != nil {
		t.highest = max(t.highest, t.right.highest)
	}
	return t
}

// holding calls yield with the stages of all stretches that hold the number.
func (t *spans) holding(number float64, yield func(*stage)) {
	if t == nil || t.highest < number {
		return
	}
	t.left.holding(number, yield)
	if t.span.contains(number) {
		yield(t.stage)
	}
	if t.span.lower() <= number {
		t.right.holding(number, yield)
	}
}

func (s *span) lower() float64 {
	if !s.hasLow {
		return math.Inf(-1)
	}
	return s.low
}

func (s *span) upper() float64 {
	if !s.hasHigh {
		return math.Inf(1)
	}
	return s.high
}

func (s *span) compare(other *span) int {
	return cmp.Or(
		cmp.Compare(s.lower(), other.lower()), compareBools(s.openLow, other.openLow),
		cmp.Compare(s.upper(), other.upper()), compareBools(s.openHigh, other.openHigh),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// rank mixes the bits of both ends (the finalizer of SplitMix64).
func (s *span) rank() uint64 {
	x := math.Float64bits(s.lower())*0x9e3779b97f4a7c15 + math.Float64bits(s.upper())
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
