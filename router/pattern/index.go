package pattern

import (
	"maps"
	"slices"
	"sync"

	"sluice/event"
)

// An Entry is a pattern in an Index.
type Entry struct {
	// ID is what Match returns. Of entries with the same ID the last counts.
	ID int
	// Sources are the names of the sluice sources that the pattern listens to;
	// none means all of them.
	Sources []string
	// Pattern is what events must match; nil matches all.
	Pattern *Pattern
}

// An Index finds the patterns that match an event. What that costs depends on
// the fields that patterns ask for, on what the event has there, and on how many
// match; those that do not match hardly count, and those on other sources not
// at all. It never changes, and may be used by many goroutines at the same time.
//
// Each branch of a pattern is kept by what it asks for: by the value of its most
// selective field, and as soon as many have that in common, by the next. All
// that an event leads to is asked itself, so the index says what the patterns
// say.
type Index struct {
	entries  *radix[Entry] // by id
	sources  *radix[group] // by name
	everyone *group        // those without sources
	lookups  *sync.Pool    // shared by all indexes that were made of one
}

// A group is what listens to the same source. It is never changed; one without
// entries is nil.
type group struct {
	first    *stage
	asked    *asked
	postings *radix[posting] // all of them
}

// NewIndex returns an index of the entries.
func NewIndex(entries []Entry) *Index { return (*Index)(nil).Update(entries) }

// Update returns an index of the entries, and of no others. It takes over from x,
// which may be nil and stays as it is, those that are the same: the work lies in
// the others.
func (x *Index) Update(entries []Entry) *Index {
	own := x.copy()
	gone := map[int]*Entry{}
	own.entries.each(func(e *Entry) { gone[e.ID] = e })
	for i := range entries {
		e := &entries[i]
		if old := gone[e.ID]; old == nil || !old.same(e) {
			own.put(e)
		}
		delete(gone, e.ID)
	}
	for _, id := range slices.Sorted(maps.Keys(gone)) {
		own.remove(gone[id])
	}
	return own
}

// With returns an index with one more entry, or another one in the place of that
// with the same ID. The work lies in this one, however many there are.
func (x *Index) With(e Entry) *Index {
	own := x.copy()
	own.put(&e)
	return own
}

// Without returns an index without an entry.
func (x *Index) Without(id int) *Index {
	own := x.copy()
	if old := own.entries.get(idKey(id)); old != nil {
		own.remove(old)
	}
	return own
}

func (x *Index) copy() *Index {
	if x == nil {
		return &Index{lookups: &sync.Pool{New: func() any { return &lookup{seen: map[*stage]struct{}{}} }}}
	}
	own := *x
	return &own
}

// same tells whether both match the same events.
func (e *Entry) same(other *Entry) bool {
	if !slices.Equal(e.Sources, other.Sources) || (e.Pattern == nil) != (other.Pattern == nil) {
		return false
	}
	return e.Pattern == nil || e.Pattern.fingerprint == other.Pattern.fingerprint
}

// put adds an entry to x, which nobody else may have yet.
func (x *Index) put(e *Entry) {
	if old := x.entries.get(idKey(e.ID)); old != nil {
		x.remove(old)
	}
	own := &Entry{ID: e.ID, Sources: slices.Clone(e.Sources), Pattern: e.Pattern}
	x.entries = x.entries.with(idKey(e.ID), func(*Entry) *Entry { return own })
	x.change(own, (*group).with)
}

// remove takes an entry away from x, which nobody else may have yet.
func (x *Index) remove(e *Entry) {
	x.entries = x.entries.with(idKey(e.ID), func(*Entry) *Entry { return nil })
	x.change(e, (*group).without)
}

// change changes the groups that an entry belongs to.
func (x *Index) change(e *Entry, by func(*group, *posting) *group) {
	all := postings(e)
	change := func(g *group) *group {
		for _, p := range all {
			g = by(g, p)
		}
		return g
	}
	if len(e.Sources) == 0 {
		x.everyone = change(x.everyone)
	}
	for i, source := range e.Sources {
		if !slices.Contains(e.Sources[:i], source) {
			x.sources = x.sources.with(source, change)
		}
	}
}

func (g *group) with(p *posting) *group {
	own := &group{}
	if g != nil {
		*own = *g
	}
	own.first = own.first.with(p, 0)
	own.asked = own.asked.change(p.branch, 1)
	own.postings = own.postings.with(p.key, func(*posting) *posting { return p })
	return own
}

func (g *group) without(p *posting) *group {
	own := *g
	own.first = own.first.without(p, 0)
	own.asked = own.asked.change(p.branch, -1)
	own.postings = own.postings.with(p.key, func(*posting) *posting { return nil })
	if own.postings == nil {
		return nil
	}
	return &own
}

// Match appends the ids of the entries that match the event from the sluice
// source, in ascending order.
func (x *Index) Match(source string, e *event.Event, dst []int) []int {
	groups := x.groups(source)
	if groups == [2]*group{} {
		return dst
	}
	l := x.lookup(groups)
	l.own.event = e
	l.doc = &l.own
	return x.finish(l, dst)
}

// MatchDoc is Match for a document.
func (x *Index) MatchDoc(source string, doc *Doc, dst []int) []int {
	groups := x.groups(source)
	if groups == [2]*group{} {
		return dst
	}
	l := x.lookup(groups)
	l.doc = doc
	return x.finish(l, dst)
}

// groups are those to which an event of the source goes; nil where there is none.
func (x *Index) groups(source string) [2]*group {
	return [2]*group{x.sources.get(source), x.everyone}
}

func (x *Index) lookup(groups [2]*group) *lookup {
	l, _ := x.lookups.Get().(*lookup)
	l.aim(groups)
	return l
}

// finish matches, and keeps what the lookup took for the next one.
func (x *Index) finish(l *lookup, dst []int) []int {
	dst = l.match(dst)
	l.reset()
	x.lookups.Put(l)
	return dst
}
