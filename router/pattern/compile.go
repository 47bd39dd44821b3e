package pattern

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The bounds on what becomes of a pattern; they are those of the reference.
const (
	maxBranches = 1000 // combinations of "$or"
	maxFields   = 256  // fields in each of them
)

// orName is the key that holds alternatives.
const orName = "$or"

// A Pattern is a compiled event pattern. It never changes, and may be used by
// many goroutines at the same time.
type Pattern struct {
	branches    []*branch
	needsData   bool
	fingerprint string
}

// A branch is one way in which a pattern matches: all its fields must. A
// pattern without "$or" has one.
type branch struct {
	fields []*field // by path
	root   *node
	data   bool // a field lies at or below data
}

// A field is a path into the event and the ways in which it matches.
type field struct {
	path    string   // the steps joined with dots
	steps   []string // keys
	where   []any    // the path in the pattern
	clauses []clause
	rank    int  // its place in the branch
	absent  bool // it matches if there is no such field
	exact   map[string]struct{}
	// canonical is what the field asks for, written in one way only.
	canonical string
}

// A node is a step of the paths of a branch; its fields begin with the path to
// it.
type node struct {
	key    string
	depth  int // number of keys above and including it
	field  *field
	kids   []*node
	fields []*field // those below it, by path
	absent bool     // one of them, or its own, matches by being absent
}

// Compile reads a pattern from JSON. Its error is an *Error.
func Compile(raw []byte) (*Pattern, error) {
	v, err := readValue(raw)
	if err == nil {
		var p *Pattern
		if p, err = compile(&v, false); err == nil {
			return p, nil
		}
	}
	if problem, ok := errors.AsType[*Error](err); ok {
		problem.locate(raw)
	}
	return nil, err
}

// FromValue makes a pattern of what a YAML or JSON decoder gives for one:
// map[string]any, []any, string, bool, nil, json.Number, integers and floats.
// Its error is an *Error, without line and column.
func FromValue(v any) (*Pattern, error) {
	converted, err := convert(v, nil)
	if err != nil {
		return nil, err
	}
	return compile(&converted, true)
}

// NeedsData tells whether the pattern looks into the data of events. One that
// does not matches without the data being parsed.
func (p *Pattern) NeedsData() bool { return p.needsData }

// Fingerprint identifies what the pattern asks for: two patterns with the same
// fingerprint match the same events. It stays the same over versions unless the
// meaning of the pattern changes.
func (p *Pattern) Fingerprint() string { return p.fingerprint }

// compile reads "$or" as the operator; if the pattern is no good so, as an
// ordinary field, which is what it was before there was the operator.
func compile(v *value, unordered bool) (*Pattern, error) {
	if v.kind != kindObject {
		return nil, &Error{offset: v.offset, message: "a pattern must be an object, not " + v.describe()}
	}
	c := &compiler{unordered: unordered, or: true}
	err := c.object(v)
	if err != nil && c.sawOr && !c.complex {
		plain := &compiler{unordered: unordered}
		if plain.object(v) == nil {
			c, err = plain, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return c.pattern()
}

// A compiler collects the branches of a pattern.
type compiler struct {
	branches  [][]*field
	path      []any // in the pattern
	keys      []string
	or        bool // "$or" is the operator
	inOr      int
	sawOr     bool
	complex   bool // a limit was passed
	unordered bool // a field may not be written twice
}

func (c *compiler) fail(offset int, format string, args ...any) error {
	return &Error{path: slices.Clone(c.path), offset: offset, message: fmt.Sprintf(format, args...)}
}

func (c *compiler) object(v *value) error {
	if len(v.members) == 0 {
		return c.fail(v.offset, "an empty object matches nothing; write the fields to match, or leave it out")
	}
	for i := range v.members {
		m := &v.members[i]
		c.path = append(c.path, m.key)
		err := c.member(m)
		if err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	return nil
}

func (c *compiler) member(m *member) error {
	if m.key == orName {
		c.sawOr = true
		if c.or {
			return c.alternatives(&m.value)
		}
	}
	if c.inOr > 0 && slices.Contains(reserved, m.key) {
		return c.fail(m.offset, "%q is an operator; in a \"$or\" only fields may stand here: {\"field\": [{%[1]q: …}]}", m.key)
	}
	steps := strings.Split(m.key, ".")
	c.keys = append(c.keys, steps...)
	defer func() { c.keys = c.keys[:len(c.keys)-len(steps)] }()
	switch m.value.kind {
	case kindObject:
		return c.object(&m.value)
	case kindArray:
		return c.leaf(&m.value)
	default:
		hint := ""
		if m.value.kind != kindNull {
			hint = fmt.Sprintf("; to match it, write [%s]", m.value.plain())
		}
		return c.fail(m.value.offset, "%q must be an object or a list, not %s%s", m.key, m.value.describe(), hint)
	}
}

// plain writes a scalar as JSON.
func (v *value) plain() string {
	if v.kind == kindString {
		return jsonString(shorten(v.text))
	}
	return shorten(v.text)
}

// alternatives multiplies the branches by the objects of a "$or".
func (c *compiler) alternatives(v *value) error {
	if v.kind != kindArray {
		return c.fail(v.offset, "\"$or\" must be a list of two or more objects, not %s", v.describe())
	}
	c.inOr++
	defer func() { c.inOr-- }()
	before := c.branches
	var all [][]*field
	for i := range v.items {
		item := &v.items[i]
		c.path = append(c.path, i)
		if item.kind != kindObject {
			return c.fail(item.offset, "\"$or\" must be a list of objects, not of %s", item.describe())
		}
		c.branches = fork(before)
		if err := c.object(item); err != nil {
			return err
		}
		if all = append(all, c.branches...); len(all) > maxBranches {
			c.complex = true
			return c.fail(item.offset, "the \"$or\" lists make more than %d combinations; use fewer of them, or more triggers", maxBranches)
		}
		c.path = c.path[:len(c.path)-1]
	}
	if len(v.items) < 2 {
		return c.fail(v.offset, "\"$or\" needs two objects or more, found %d", len(v.items))
	}
	c.branches = all
	return nil
}

func fork(branches [][]*field) [][]*field {
	if len(branches) == 0 {
		return [][]*field{nil}
	}
	forked := make([][]*field, len(branches))
	for i, b := range branches {
		forked[i] = slices.Clone(b)
	}
	return forked
}

// leaf reads a field.
func (c *compiler) leaf(v *value) error {
	if len(v.items) == 0 {
		return c.fail(v.offset, "an empty list matches nothing; write at least one value, or leave the field out")
	}
	f := &field{path: strings.Join(c.keys, "."), steps: slices.Clone(c.keys), where: slices.Clone(c.path)}
	for i := range v.items {
		c.path = append(c.path, i)
		clause, err := c.clause(&v.items[i])
		if err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
		f.clauses = append(f.clauses, clause)
		f.absent = f.absent || clause.op == opAbsent
	}
	f.index()
	f.canonical = f.describe()
	return c.ask(f, v.offset)
}

// ask adds a field to every branch. Written twice, the last one counts.
func (c *compiler) ask(f *field, offset int) error {
	if len(c.branches) == 0 {
		c.branches = [][]*field{nil}
	}
	for i, b := range c.branches {
		at := slices.IndexFunc(b, func(other *field) bool { return other.path == f.path })
		switch {
		case at >= 0 && c.unordered:
			return c.fail(offset, "the field %s is asked for twice, here and at %s; ask for it once", f.path, pathString(b[at].where))
		case at >= 0:
			b[at] = f
		case len(b) == maxFields:
			c.complex = true
			return c.fail(offset, "the pattern asks for more than %d fields; ask for fewer", maxFields)
		default:
			c.branches[i] = append(b, f)
		}
	}
	return nil
}

// index makes long lists of strings quick to look up.
func (f *field) index() {
	texts := map[string]struct{}{}
	for i := range f.clauses {
		if c := &f.clauses[i]; c.op == opString && !c.negate && !c.operands[0].address.IsValid() {
			texts[c.operands[0].text] = struct{}{}
		}
	}
	if len(texts) > 8 {
		f.exact = texts
	}
}

// holds tells whether one of the clauses matches the leaf.
func (f *field) holds(l *leaf) bool {
	if f.exact != nil && l.kind == kindString {
		if _, found := f.exact[l.text]; found {
			return true
		}
	}
	for i := range f.clauses {
		c := &f.clauses[i]
		if f.exact != nil && c.op == opString && !c.negate && !c.operands[0].address.IsValid() {
			continue
		}
		if c.matches(l) {
			return true
		}
	}
	return false
}

// pattern puts the branches into their final form.
func (c *compiler) pattern() (*Pattern, error) {
	p := &Pattern{}
	for _, fields := range c.branches {
		b := newBranch(fields)
		p.branches = append(p.branches, b)
		p.needsData = p.needsData || b.data
	}
	if err := p.checkWildcards(); err != nil {
		return nil, err
	}
	p.fingerprint = fingerprint(p.branches)
	return p, nil
}

func newBranch(fields []*field) *branch {
	b := &branch{root: &node{}}
	for _, f := range fields {
		own := *f
		b.fields = append(b.fields, &own)
	}
	slices.SortFunc(b.fields, func(x, y *field) int { return cmp.Compare(x.path, y.path) })
	for rank, f := range b.fields {
		f.rank = rank
		b.root.add(f)
		b.data = b.data || f.steps[0] == "data" || f.steps[0] == "data_base64"
	}
	return b
}

func (n *node) add(f *field) {
	n.absent = n.absent || f.absent
	if n.depth == len(f.steps) {
		n.field = f
		return
	}
	n.fields = append(n.fields, f)
	key := f.steps[n.depth]
	i := slices.IndexFunc(n.kids, func(kid *node) bool { return kid.key == key })
	if i < 0 {
		i = len(n.kids)
		n.kids = append(n.kids, &node{key: key, depth: n.depth + 1})
	}
	n.kids[i].add(f)
}
