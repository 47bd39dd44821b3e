package pattern

import "slices"

// A membership says in which elements of which lists a leaf is: for each list,
// the element.
type membership []struct{ list, element int32 }

// join adds the elements of other, unless they contradict those of m.
func (m membership) join(other membership) (membership, bool) {
	joined := slices.Clip(m)
	for _, o := range other {
		same, known := false, false
		for _, own := range m {
			if own.list == o.list {
				same, known = own.element == o.element, true
			}
		}
		if known && !same {
			return nil, false
		}
		if !known {
			joined = append(joined, o)
		}
	}
	return joined, true
}

// A candidate is a leaf at the path of a field.
type candidate struct {
	leaf *leaf
	in   membership
}

// exact matches the fields at and below n against item i by trying all choices
// of leaves, in the order of the fields. It is for what has no simple order: a
// key that comes more than once, and fields of which one lies below another.
func (m *matcher) exact(n *node, i int32, from, must int) bool {
	var fields []*field
	if n.field != nil && n.field.rank >= from {
		fields = append(fields, n.field)
	}
	for _, f := range n.fields {
		if f.rank >= from {
			fields = append(fields, f)
		}
	}
	candidates := make([][]candidate, len(fields))
	for k, f := range fields {
		candidates[k] = m.collect(nil, f.steps[n.depth:], i, nil)
	}
	return m.choose(fields, candidates, nil, must)
}

// choose chooses a leaf for the first field, or that it is absent.
func (m *matcher) choose(fields []*field, candidates [][]candidate, chosen membership, must int) bool {
	if len(fields) == 0 {
		return true
	}
	f, present := fields[0], false
	for _, c := range candidates[0] {
		if m.budget--; m.budget < 0 {
			return false
		}
		joined, ok := chosen.join(c.in)
		if !ok {
			continue
		}
		present = true
		if f.holds(c.leaf) && m.choose(fields[1:], candidates[1:], joined, must) {
			return true
		}
	}
	return !present && f.absent && f.rank != must && m.choose(fields[1:], candidates[1:], chosen, must)
}

// collect finds the leaves to which steps lead from item i.
func (m *matcher) collect(found []candidate, steps []string, i int32, in membership) []candidate {
	if m.budget--; m.budget < 0 {
		return found
	}
	it := &m.tree.nodes[i]
	switch it.kind {
	case kindObject:
		if len(steps) > 0 {
			if c := m.tree.member(i, steps[0]); c != 0 {
				found = m.collect(found, steps[1:], c, in)
			}
		}
	case kindMulti:
		for c := it.first; c != 0; c = m.tree.nodes[c].next {
			found = m.collect(found, steps, c, in)
		}
	case kindArray:
		for c := it.first; c != 0; c = m.tree.nodes[c].next {
			inside := in
			if kind := m.tree.nodes[c].kind; kind == kindObject || kind == kindArray {
				inside = append(slices.Clip(in), struct{ list, element int32 }{i, c})
			}
			found = m.collect(found, steps, c, inside)
		}
	default:
		if len(steps) == 0 {
			found = append(found, candidate{&it.leaf, in})
		}
	}
	return found
}
