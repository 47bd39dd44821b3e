package pattern

import "slices"

// maxKept bounds what a lookup keeps for the next one, in entries of each list.
const maxKept = 1 << 14

// A lookup finds the entries of an index that match one document. It goes
// through the stages along what the document has, which leads it to few
// branches, and asks those. After reset it may be used again.
type lookup struct {
	view
	groups [2]*group

	pending []*stage
	seen    map[*stage]struct{}
	found   []*posting
	folded  []byte
	bits    []byte
}

// aim says in which groups to look; either may be nil.
func (l *lookup) aim(groups [2]*group) {
	l.groups = groups
	if groups[0] != nil {
		l.wanted.a = groups[0].asked
	}
	if groups[1] != nil {
		l.wanted.b = groups[1].asked
	}
}

// match appends the ids of the entries of both groups that match.
func (l *lookup) match(dst []int) []int {
	l.open()
	for _, g := range l.groups {
		if g != nil {
			l.push(g.first, false)
		}
	}
	for len(l.pending) > 0 {
		last := len(l.pending) - 1
		s := l.pending[last]
		l.pending[last], l.pending = nil, l.pending[:last]
		l.visit(s)
	}
	if l.data == dataLost {
		l.everything()
	}
	slices.SortFunc(l.found, (*posting).compare)
	return l.confirm(dst)
}

// everything finds all branches, since lost data may have had anything in it.
func (l *lookup) everything() {
	l.found = l.found[:0]
	for _, g := range l.groups {
		if g != nil {
			g.postings.each(l.find)
		}
	}
}

func (l *lookup) find(p *posting) { l.found = append(l.found, p) }

// confirm appends the ids of those among the found that do match.
func (l *lookup) confirm(dst []int) []int {
	matched := false
	for i, p := range l.found {
		if i > 0 && l.found[i-1].id == p.id {
			if matched || l.found[i-1].number == p.number {
				continue
			}
		}
		if matched = p.branch == nil || l.matches(p.branch); matched {
			dst = append(dst, p.id)
		}
	}
	return dst
}

// push has a stage visited: once only, if it may be reached repeatedly.
func (l *lookup) push(s *stage, repeatedly bool) {
	if s == nil {
		return
	}
	if repeatedly {
		if _, known := l.seen[s]; known {
			return
		}
		l.seen[s] = struct{}{}
	}
	l.pending = append(l.pending, s)
}

// visit finds the branches of a stage, and goes on to those below that the
// document leads to.
func (l *lookup) visit(s *stage) {
	l.found = append(l.found, s.few...)
	s.done.each(l.find)
	if s.data {
		l.readData()
	}
	s.absences.each(l.absence)
	if s.asked != nil {
		l.walk(s.asked, 0, false)
	}
}

// absence goes on to what asks for nothing to be at a path, unless there is a
// value outside of lists, which nothing can overlook.
func (l *lookup) absence(a *absence) {
	i := int32(0)
	for _, step := range a.field.steps {
		if l.tree.nodes[i].kind != kindObject {
			i = 0
			break
		}
		if i = l.tree.member(i, step); i == 0 {
			break
		}
	}
	if i == 0 || l.tree.nodes[i].kind >= kindArray {
		l.push(a.stage, false)
	}
}

// walk goes on to what asks for the values at or below item i, which is at a
// spot; repeatedly tells whether there may be others at the same spot.
func (l *lookup) walk(p *spot, i int32, repeatedly bool) {
	it := &l.tree.nodes[i]
	switch it.kind {
	case kindObject:
		l.members(p, i, repeatedly)
	case kindArray, kindMulti:
		for c := it.first; c != 0; c = l.tree.nodes[c].next {
			l.walk(p, c, true)
		}
	default:
		if p.values != nil {
			l.value(p.values, &it.leaf, repeatedly)
		}
	}
}

// members goes through the spots below, or through the members of the object,
// whichever are fewer.
func (l *lookup) members(p *spot, i int32, repeatedly bool) {
	if p.count <= int(l.tree.nodes[i].count) {
		p.kids.each(func(kid *spot) {
			if c := l.tree.member(i, kid.key); c != 0 {
				l.walk(kid, c, repeatedly)
			}
		})
		return
	}
	for c := l.tree.nodes[i].first; c != 0; c = l.tree.nodes[c].next {
		if kid := p.kids.get(l.tree.nodes[c].key); kid != nil {
			l.walk(kid, c, repeatedly)
		}
	}
}

// value goes on to what asks for such a value.
func (l *lookup) value(v *values, of *leaf, repeatedly bool) {
	l.push(v.all, repeatedly)
	v.tests.each(func(t *test) {
		if t.clause.matches(of) {
			l.push(t.stage, repeatedly)
		}
	})
	switch of.kind {
	case kindString:
		l.text(v, of.text, repeatedly)
	case kindNumber:
		if of.exact {
			v.spans.holding(of.number, func(s *stage) { l.push(s, repeatedly) })
			return
		}
		fallthrough
	default:
		l.push(v.texts[formWord].get(of.text), repeatedly)
	}
}

// text goes on to what asks for such a string.
func (l *lookup) text(v *values, text string, repeatedly bool) {
	l.push(v.texts[formExact].get(text), repeatedly)
	l.beginnings(v.texts[formPrefix], text, repeatedly)
	l.endings(v.texts[formSuffix], text, repeatedly)
	if within := v.texts[formWithin]; within != nil {
		for start := range len(text) {
			l.beginnings(within, text[start:], true)
		}
	}
	if v.texts[formFold] != nil || v.texts[formFoldPrefix] != nil || v.texts[formFoldSuffix] != nil {
		l.folded = appendFolded(l.folded[:0], text)
		folded := stringOf(l.folded)
		l.push(v.texts[formFold].get(folded), repeatedly)
		l.beginnings(v.texts[formFoldPrefix], folded, repeatedly)
		l.endings(v.texts[formFoldSuffix], folded, repeatedly)
	}
	if blocks := v.texts[formAddress]; blocks != nil {
		if address, ok := parseAddress(text); ok {
			l.bits = appendBits(l.bits[:0], whole(address))
			l.beginnings(blocks, stringOf(l.bits), repeatedly)
		}
	}
}

// beginnings goes on to the texts with which text begins.
func (l *lookup) beginnings(r *radix[stage], text string, repeatedly bool) {
	for r != nil {
		l.push(r.value, repeatedly)
		r, text = r.step(text)
	}
}

// endings goes on to the texts with which text ends.
func (l *lookup) endings(r *radix[stage], text string, repeatedly bool) {
	for r != nil {
		l.push(r.value, repeatedly)
		r, text = r.stepBack(text)
	}
}

// reset forgets the document, and keeps no more memory than is often needed.
func (l *lookup) reset() {
	l.view.reset()
	l.groups = [2]*group{}
	l.pending, l.found = emptied(l.pending), emptied(l.found)
	l.folded, l.bits = emptied(l.folded), emptied(l.bits)
	if len(l.seen) > maxKept {
		l.seen = map[*stage]struct{}{}
	}
	clear(l.seen)
}

// emptied is a list without entries, which may use the memory of old.
func emptied[T any](old []T) []T {
	if cap(old) > maxKept {
		return nil
	}
	clear(old)
	return old[:0]
}
