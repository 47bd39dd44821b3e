package pattern

// matchBudget bounds the steps of one match. Only patterns that ask for absent
// fields within lists can need many; past the bound they do not match.
const matchBudget = 1 << 20

// Matches tells whether the pattern matches the document.
func (p *Pattern) Matches(doc *Doc) bool {
	for _, b := range p.branches {
		if b.matches(doc) {
			return true
		}
	}
	return false
}

func (b *branch) matches(doc *Doc) bool {
	m := matcher{budget: matchBudget}
	if doc.event == nil {
		m.tree = doc.tree
		return m.node(b.root, 0, 0, none)
	}
	for _, kid := range b.root.kids {
		if !m.attribute(kid, doc) {
			return false
		}
	}
	return true
}

// attribute matches the fields at or below one name of the top of an event.
func (m *matcher) attribute(n *node, doc *Doc) bool {
	if n.key == "data" || n.key == "data_base64" && doc.payload().lost {
		p := doc.payload()
		m.tree = p.tree
		switch {
		case p.lost:
			return true
		case p.err != nil:
			return false
		case p.tree == nil:
			return m.missing(n, 0, none)
		}
		return m.node(n, 0, 0, none)
	}
	l, found := doc.attribute(n.key)
	if !found {
		return m.missing(n, 0, none)
	}
	return m.scalar(n, &l, 0, none)
}

// none is no rank.
const none = -1

// A matcher looks for the fields of one branch in one tree.
//
// Its methods take a node of the branch and the value that was found at its
// path. Fields with a rank below from are settled already. The field with the
// rank must, if it lies below the node, has to be found, rather than be absent;
// all others that are not settled come after it.
type matcher struct {
	tree   *tree
	budget int
}

// node matches the fields at and below n against item i.
func (m *matcher) node(n *node, i int32, from, must int) bool {
	if m.budget--; m.budget < 0 {
		return false
	}
	it := &m.tree.nodes[i]
	switch it.kind {
	case kindObject:
		return m.absent(n.field, from, must) && m.kids(n, i, from, must)
	case kindArray:
		if n.field != nil && len(n.kids) > 0 {
			return m.exact(n, i, from, must)
		}
		return m.leaves(n.field, i, from, must) && m.elements(n, i, from, must)
	case kindMulti:
		return m.exact(n, i, from, must)
	default:
		return m.scalar(n, &it.leaf, from, must)
	}
}

func (m *matcher) scalar(n *node, l *leaf, from, must int) bool {
	if n.field != nil && n.field.rank >= from && !n.field.holds(l) {
		return false
	}
	return m.below(n, from, must)
}

// missing is for a path that leads nowhere in the event.
func (m *matcher) missing(n *node, from, must int) bool {
	return m.absent(n.field, from, must) && m.below(n, from, must)
}

// below tells whether all fields below n match by being absent.
func (m *matcher) below(n *node, from, must int) bool {
	for _, f := range n.fields {
		if !m.absent(f, from, must) {
			return false
		}
	}
	return true
}

func (m *matcher) absent(f *field, from, must int) bool {
	return f == nil || f.rank < from || f.absent && f.rank != must
}

// kids matches the fields below n in the object i.
func (m *matcher) kids(n *node, i int32, from, must int) bool {
	for _, kid := range n.kids {
		c := m.tree.member(i, kid.key)
		switch {
		case c == 0 && !m.missing(kid, from, must):
			return false
		case c != 0 && !m.node(kid, c, from, must):
			return false
		}
	}
	return true
}

// leaves matches the field whose path ends at the list i against the values in
// it and in the lists in it.
func (m *matcher) leaves(f *field, i int32, from, must int) bool {
	if f == nil || f.rank < from {
		return true
	}
	if m.holds(f, i) {
		return true
	}
	return m.absent(f, from, must) && !m.present(nil, i)
}

func (m *matcher) holds(f *field, i int32) bool {
	for c := m.tree.nodes[i].first; c != 0; c = m.tree.nodes[c].next {
		m.budget--
		it := &m.tree.nodes[c]
		switch it.kind {
		case kindArray:
			if m.holds(f, c) {
				return true
			}
		case kindObject, kindMulti:
		default:
			if f.holds(&it.leaf) {
				return true
			}
		}
	}
	return false
}

// elements matches the fields below n in the list i. All that are found must be
// found in the same element. The first of them, in the order of their paths,
// chooses it: the fields before must be absent from the whole list, the fields
// after from that element only.
func (m *matcher) elements(n *node, i int32, from, must int) bool {
	if !n.absent {
		return len(n.fields) == 0 || m.element(n, i, from, must)
	}
	for _, f := range n.fields {
		if f.rank < from {
			continue
		}
		if m.element(n, i, f.rank, f.rank) {
			return true
		}
		if f.rank == must || !f.absent || m.present(f.steps[n.depth:], i) {
			return false
		}
	}
	return true
}

// element matches the fields below n in one element of the list i.
func (m *matcher) element(n *node, i int32, from, must int) bool {
	for c := m.tree.nodes[i].first; c != 0; c = m.tree.nodes[c].next {
		if m.budget--; m.budget < 0 {
			return false
		}
		switch m.tree.nodes[c].kind {
		case kindObject:
			if m.kids(n, c, from, must) {
				return true
			}
		case kindArray:
			if m.element(n, c, from, must) {
				return true
			}
		default:
		}
	}
	return false
}

// present tells whether the steps lead from item i to a leaf.
func (m *matcher) present(steps []string, i int32) bool {
	m.budget--
	it := &m.tree.nodes[i]
	switch it.kind {
	case kindObject:
		if len(steps) == 0 {
			return false
		}
		c := m.tree.member(i, steps[0])
		return c != 0 && m.present(steps[1:], c)
	case kindArray, kindMulti:
		for c := it.first; c != 0; c = m.tree.nodes[c].next {
			if m.present(steps, c) {
				return true
			}
		}
		return false
	default:
		return len(steps) == 0
	}
}
