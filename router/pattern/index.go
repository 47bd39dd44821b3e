package pattern

import (
	"cmp"
	"slices"

	"sluice/event"
)

// An Entry is a pattern in an Index.
type Entry struct {
	// ID is what Match returns.
	ID int
	// Sources are the names of the sluice sources that the pattern listens to;
	// none means all of them.
	Sources []string
	// Pattern is what events must match; nil matches all.
	Pattern *Pattern
}

// An Index finds the patterns that match an event. It never changes, and may be
// used by many goroutines at the same time.
type Index struct {
	bySource map[string][]Entry
	everyone []Entry // those without sources
}

// NewIndex returns an index of the entries. Patterns on other sources than that
// of an event cost nothing.
func NewIndex(entries []Entry) *Index {
	x := &Index{bySource: map[string][]Entry{}}
	sorted := slices.Clone(entries)
	slices.SortStableFunc(sorted, func(a, b Entry) int { return cmp.Compare(a.ID, b.ID) })
	for _, e := range sorted {
		for _, source := range e.Sources {
			x.bySource[source] = nil
		}
	}
	for _, e := range sorted {
		if len(e.Sources) == 0 {
			x.everyone = append(x.everyone, e)
		}
		for source := range x.bySource {
			if len(e.Sources) == 0 || slices.Contains(e.Sources, source) {
				x.bySource[source] = append(x.bySource[source], e)
			}
		}
	}
	return x
}

// Match appends the ids of the entries that match the event from the sluice
// source, in ascending order.
func (x *Index) Match(source string, e *event.Event, dst []int) []int {
	doc := Doc{event: e}
	return x.MatchDoc(source, &doc, dst)
}

// MatchDoc is Match for a document.
func (x *Index) MatchDoc(source string, doc *Doc, dst []int) []int {
	entries, found := x.bySource[source]
	if !found {
		entries = x.everyone
	}
	if len(entries) == 0 {
		return dst
	}
	for i := range entries {
		if p := entries[i].Pattern; p == nil || p.Matches(doc) {
			dst = append(dst, entries[i].ID)
		}
	}
	return dst
}
