package pattern

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// A posting is a branch in an index. All of one branch have the same key.
type posting struct {
	id     int // of the entry
	number int // of the branch in its pattern
	key    string
	branch *branch // nil matches everything
	asks   []ask
}

// postings are one for each branch of an entry.
func postings(e *Entry) []*posting {
	if e.Pattern == nil {
		return []*posting{newPosting(e.ID, 0, nil)}
	}
	all := make([]*posting, len(e.Pattern.branches))
	for i, b := range e.Pattern.branches {
		all[i] = newPosting(e.ID, i, b)
		all[i].asks = b.asks()
	}
	return all
}

func newPosting(id, number int, b *branch) *posting {
	return &posting{id: id, number: number, key: idKey(id) + string(binary.BigEndian.AppendUint32(nil, uint32(number))), branch: b}
}

// idKey is what an entry is kept by.
func idKey(id int) string { return string(binary.BigEndian.AppendUint64(nil, uint64(id))) }

func (p *posting) compare(other *posting) int {
	return cmp.Or(cmp.Compare(p.id, other.id), cmp.Compare(p.number, other.number))
}

// maxFew is how many branches are tried one after another.
const maxFew = 8

// A stage of an index holds branches. More than a few stand below it by what
// each of them asks for next, so that an event reaches those of them only whose
// condition it meets. It is never changed; one without branches is nil.
type stage struct {
	few      []*posting
	parted   bool            // the branches stand below
	done     *radix[posting] // those that ask for nothing more
	asked    *spot           // by what they ask for
	absences *radix[absence] // those that ask for nothing to be there, by path
	data     bool            // what they ask for may lie below data
}

// An absence is what is reached when there may be no value at a path.
type absence struct {
	field *field
	stage *stage
}

// A spot is a path into events, with what is asked for there. The spot of the
// empty path is the event.
type spot struct {
	key    string
	values *values // nil if nothing is
	kids   *radix[spot]
	count  int // of the kids
}

// values are the stages that the values at a path lead to, by how they are found.
type values struct {
	texts [textForms]*radix[stage]
	spans *spans
	tests *radix[test]
	all   *stage
}

// A test is a stage behind a clause that must be asked.
type test struct {
	clause *clause
	stage  *stage
}

// with returns the stage with one more branch, whose asks before level lead to
// it.
func (s *stage) with(p *posting, level int) *stage {
	own := &stage{}
	if s != nil {
		*own = *s
	}
	if !own.parted && len(own.few) < maxFew {
		own.few = append(slices.Clip(own.few), p)
		return own
	}
	if !own.parted {
		for _, other := range own.few {
			own.put(other, level, true)
		}
		own.few, own.parted = nil, true
	}
	own.put(p, level, true)
	return own
}

// without returns the stage without a branch that is in it.
func (s *stage) without(p *posting, level int) *stage {
	if s == nil {
		return nil
	}
	own := *s
	if own.parted {
		own.put(p, level, false)
	} else {
		own.few = slices.DeleteFunc(slices.Clone(own.few), func(other *posting) bool { return other.key == p.key })
	}
	if len(own.few) == 0 && own.done == nil && own.asked == nil && own.absences == nil {
		return nil
	}
	return &own
}

// put adds a branch below s, or takes it away. It changes s, which nobody else
// may have yet.
func (s *stage) put(p *posting, level int, add bool) {
	if level == len(p.asks) {
		s.done = s.done.with(p.key, func(*posting) *posting {
			if add {
				return p
			}
			return nil
		})
		return
	}
	change := func(below *stage) *stage {
		if add {
			return below.with(p, level+1)
		}
		return below.without(p, level+1)
	}
	a := &p.asks[level]
	s.data = s.data || isData(a.field.steps[0])
	for i := range a.keys {
		if k := &a.keys[i]; k.form == formAbsent {
			s.absences = s.absences.with(a.field.path, func(old *absence) *absence { return old.with(a.field, change) })
		} else {
			s.asked = s.asked.with(a.field.steps, func(old *values) *values { return old.with(k, change) })
		}
	}
}

func (a *absence) with(f *field, change func(*stage) *stage) *absence {
	var old *stage
	if a != nil {
		old = a.stage
	}
	if n := change(old); n != nil {
		return &absence{field: f, stage: n}
	}
	return nil
}

// with returns the spot with other values where the steps lead from it.
func (p *spot) with(steps []string, change func(*values) *values) *spot {
	own := &spot{}
	if p != nil {
		*own = *p
	}
	if len(steps) == 0 {
		own.values = change(own.values)
	} else {
		own.kids = own.kids.with(steps[0], func(old *spot) *spot {
			kid := old.with(steps[1:], change)
			if kid != nil {
				kid.key = steps[0]
			}
			own.count += present(kid) - present(old)
			return kid
		})
	}
	if own.values == nil && own.kids == nil {
		return nil
	}
	return own
}

// present is 1 if p is there, else 0.
func present[T any](p *T) int {
	if p == nil {
		return 0
	}
	return 1
}

// with returns the values with another stage behind a key.
func (v *values) with(k *key, change func(*stage) *stage) *values {
	own := &values{}
	if v != nil {
		*own = *v
	}
	switch k.form {
	case formSpan:
		own.spans = own.spans.with(&k.span, change)
	case formTest:
		own.tests = own.tests.with(k.text, func(old *test) *test { return old.with(k.clause, change) })
	case formAny:
		own.all = change(own.all)
	default:
		own.texts[k.form] = own.texts[k.form].with(k.text, change)
	}
	if *own == (values{}) {
		return nil
	}
	return own
}

func (t *test) with(c *clause, change func(*stage) *stage) *test {
	var old *stage
	if t != nil {
		c, old = t.clause, t.stage
	}
	if n := change(old); n != nil {
		return &test{clause: c, stage: n}
	}
	return nil
}
