package pattern

import (
	"slices"
	"strconv"
	"strings"
)

// A Field is where a value stands in an event, step by step: an attribute or
// extension, or data and what is below it. A dot in a step is a step, as in
// patterns.
type Field []string

// NoValue stands for a field that an event does not have. No value is written so.
const NoValue = "none"

// AppendValue appends the value of a field: equal values are written the same,
// and others are not. It is NoValue when there is none, also because the data
// cannot be looked into; LoadError must be asked afterwards. The document must be
// one of FromEvent or FromStored.
func (d *Doc) AppendValue(dst []byte, f Field) []byte {
	if f[0] != "data" {
		l, found := d.attribute(f[0])
		if !found || len(f) > 1 {
			return append(dst, NoValue...)
		}
		return l.append(dst)
	}
	p := d.payload()
	switch {
	case p.err == nil && p.tree != nil:
		return p.tree.appendBelow(dst, 0, f[1:])
	case p.err == nil && p.binary != "" && len(f) == 1:
		return strconv.AppendQuote(dst, p.binary)
	}
	return append(dst, NoValue...)
}

// appendBelow appends the value that the steps lead to from item i.
func (t *tree) appendBelow(dst []byte, i int32, steps []string) []byte {
	for _, step := range steps {
		for key := range strings.SplitSeq(step, ".") {
			if t.nodes[i].kind == kindObject {
				i = t.member(i, key)
			} else {
				i = 0
			}
			if i == 0 {
				return append(dst, NoValue...)
			}
		}
	}
	return t.append(dst, i)
}

// append appends item i.
func (t *tree) append(dst []byte, i int32) []byte {
	switch it := &t.nodes[i]; it.kind {
	case kindObject:
		return t.appendObject(dst, i)
	case kindArray:
		return t.appendList(append(dst, '['), i, ']')
	case kindMulti:
		return t.appendList(append(dst, '<'), i, '>')
	default:
		return it.leaf.append(dst)
	}
}

func (t *tree) appendList(dst []byte, i int32, end byte) []byte {
	for c := t.nodes[i].first; c != 0; c = t.nodes[c].next {
		dst = append(t.append(dst, c), ',')
	}
	return append(dst, end)
}

// appendObject appends the members of an object in the order of their keys.
func (t *tree) appendObject(dst []byte, i int32) []byte {
	var members []int32
	for c := t.nodes[i].first; c != 0; c = t.nodes[c].next {
		members = append(members, c)
	}
	slices.SortFunc(members, func(a, b int32) int { return strings.Compare(t.nodes[a].key, t.nodes[b].key) })
	dst = append(dst, '{')
	for _, c := range members {
		dst = append(strconv.AppendQuote(dst, t.nodes[c].key), ':')
		dst = append(t.append(dst, c), ',')
	}
	return append(dst, '}')
}

// append appends a value: texts in quotes, numbers by what they are worth.
func (l *leaf) append(dst []byte) []byte {
	switch {
	case l.kind == kindString:
		return strconv.AppendQuote(dst, l.text)
	case l.kind == kindNumber && l.exact && l.number == 0:
		return append(dst, '0') // also for -0
	case l.kind == kindNumber && l.exact:
		return strconv.AppendFloat(dst, l.number, 'g', -1, 64)
	default:
		return append(dst, l.text...)
	}
}
