package config

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// A builder makes our tree from the parser's: it follows aliases and merges,
// replaces variables, and notes duplicate keys.
type builder struct {
	c        *collector
	lookup   func(string) (string, bool)
	anchors  map[string]*Node
	open     map[string]bool // anchors whose value is being built
	merged   int             // fields that merges have looked at
	tooLarge bool
}

func (b *builder) node(n ast.Node, at *path) *Node {
	pos := at.pos
	if n != nil {
		pos = posOf(n, at.pos)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		return b.weigh(b.mapping(n.Values, !n.IsFlowStyle, pos, at))
	case *ast.MappingValueNode:
		return b.weigh(b.mapping([]*ast.MappingValueNode{n}, true, pos, at))
	case *ast.SequenceNode:
		return b.weigh(b.sequence(n, pos, at))
	case *ast.AnchorNode:
		return b.anchor(n, at)
	case *ast.AliasNode:
		return b.alias(n, pos, at)
	case *ast.TagNode:
		return b.tag(n, pos, at)
	case *ast.LiteralNode:
		return b.scalar(n.Value.Value, true, pos, at)
	case *ast.StringNode:
		quoted := n.Token.Type == token.SingleQuoteType || n.Token.Type == token.DoubleQuoteType
		return b.scalar(n.Value, quoted, pos, at)
	case *ast.NullNode:
		return b.null(n, pos, at)
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return b.scalar(n.GetToken().Value, false, pos, at)
	case nil, *ast.CommentGroupNode:
		return &Node{pos: pos, size: 1}
	default:
		return b.refuse(pos, at, "this cannot stand here")
	}
}

func (b *builder) refuse(pos Pos, at *path, message string) *Node {
	b.c.problem(pos, at, message)
	return &Node{pos: pos, size: 1, broken: true}
}

// null keeps what was written for nothing, so that it is shown so.
func (b *builder) null(n *ast.NullNode, pos Pos, at *path) *Node {
	if n.Token.Type == token.ImplicitNullType {
		return &Node{pos: at.pos, size: 1}
	}
	return &Node{pos: pos, text: n.Token.Value, raw: n.Token.Value, size: 1}
}

// weigh adds up a collection. What is too large is cut off, once and for all.
func (b *builder) weigh(n *Node) *Node {
	n.size = 1
	for _, f := range n.fields {
		n.size += f.value.size
	}
	for _, item := range n.items {
		n.size += item.size
	}
	if n.size > maxWeight {
		b.overflow(n.pos)
		return &Node{pos: n.pos, size: 1, broken: true}
	}
	return n
}

func (b *builder) overflow(pos Pos) {
	if !b.tooLarge {
		b.tooLarge = true
		b.c.problem(pos, nil, "the aliases and variables in this file make it too large")
	}
}

func (b *builder) sequence(n *ast.SequenceNode, pos Pos, at *path) *Node {
	out := &Node{kind: sequenceNode, pos: pos, block: !n.IsFlowStyle, items: make([]*Node, 0, len(n.Values))}
	for i, value := range n.Values {
		where := pos
		if value != nil {
			where = posOf(value, pos)
		}
		out.items = append(out.items, b.node(value, at.at(i, where)))
	}
	return out
}

func (b *builder) mapping(values []*ast.MappingValueNode, block bool, pos Pos, at *path) *Node {
	out := &Node{kind: mappingNode, pos: pos, block: block, fields: make([]field, 0, len(values))}
	lines := make(map[string]int, len(values))
	var merges []*Node
	for _, value := range values {
		if value.Key.IsMergeKey() {
			merges = append(merges, b.node(value.Value, at.sub("<<", posOf(value.Key, pos))))
			continue
		}
		where := posOf(value.Key, pos)
		key, ok := b.key(value.Key, where, at)
		if !ok {
			continue
		}
		child := b.node(value.Value, at.sub(key, where))
		if line, twice := lines[key]; twice {
			b.c.problem(where, at.sub(key, where), fmt.Sprintf("this key stands twice: first on line %d", line))
			continue
		}
		lines[key] = where.Line
		out.fields = append(out.fields, field{key: key, pos: where, value: child})
	}
	for _, merge := range merges {
		b.merge(out, merge, lines, at)
	}
	return out
}

// key returns the text of a key; variables are not replaced in keys.
func (b *builder) key(n ast.MapKeyNode, pos Pos, at *path) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	case *ast.MappingKeyNode:
		if inner, ok := n.Value.(ast.MapKeyNode); ok {
			return b.key(inner, pos, at)
		}
	case *ast.LiteralNode:
		return n.Value.Value, true
	}
	b.c.problem(pos, at, "a key is plain or quoted text")
	return "", false
}

// merge adds the fields of one or several mappings (<<: *a) that are not
// there yet.
func (b *builder) merge(into, from *Node, lines map[string]int, at *path) {
	switch {
	case b.merged > maxWeight:
		b.overflow(into.pos)
	case from.kind == mappingNode:
		b.merged += len(from.fields)
		for _, f := range from.fields {
			if _, there := lines[f.key]; !there {
				lines[f.key] = f.pos.Line
				into.fields = append(into.fields, f)
			}
		}
	case from.kind == sequenceNode:
		b.merged += len(from.items)
		for _, item := range from.items {
			b.merge(into, item, lines, at)
		}
	case !from.broken:
		b.c.problem(from.pos, at.sub("<<", from.pos), "expected an alias of a mapping, such as *defaults, found "+from.describe())
	}
}

func (b *builder) anchor(n *ast.AnchorNode, at *path) *Node {
	name := n.Name.GetToken().Value
	outer := b.open[name]
	b.open[name] = true
	value := b.node(n.Value, at)
	b.open[name] = outer
	b.anchors[name] = value
	return value
}

func (b *builder) alias(n *ast.AliasNode, pos Pos, at *path) *Node {
	name := n.Value.GetToken().Value
	value, known := b.anchors[name]
	switch {
	case b.open[name]:
		return b.refuse(pos, at, fmt.Sprintf("the alias *%s stands inside of its own anchor", printable(name)))
	case !known:
		names := make([]string, 0, len(b.anchors))
		for other := range b.anchors {
			names = append(names, other)
		}
		b.c.suggest(pos, at.String(), fmt.Sprintf("there is no anchor &%s above", printable(name)), b.c.nearest(name, names))
		return &Node{pos: pos, size: 1, broken: true}
	default:
		return value
	}
}

// tag follows the tags that only say what is so anyway; the others would need
// a meaning that no part of the file has.
func (b *builder) tag(n *ast.TagNode, pos Pos, at *path) *Node {
	switch n.Start.Value {
	case "!!str":
		value := b.node(n.Value, at)
		if value.kind == scalarNode {
			text := *value // it may be shared with an anchor
			text.quoted = true
			return &text
		}
		return b.refuse(pos, at, "!!str expects text, found "+value.describe())
	case "!!int", "!!float", "!!bool", "!!null", "!!map", "!!seq":
		return b.node(n.Value, at)
	default:
		return b.refuse(pos, at, fmt.Sprintf("the tag %s has no meaning here: remove it", quoteShort(n.Start.Value)))
	}
}

// mostInScalar bounds what is said of the variables of one scalar.
const mostInScalar = 10

func (b *builder) scalar(raw string, quoted bool, pos Pos, at *path) *Node {
	n := &Node{pos: pos, raw: raw, quoted: quoted}
	said := map[string]bool{}
	e := expander{
		lookup: b.lookup,
		problem: func(written, message string) {
			if !said[message] && len(said) < mostInScalar {
				b.c.problem(b.find(written, pos), at, message)
			}
			said[message] = true
			n.broken = true
		},
		value: func(written, value string) {
			b.c.values = append(b.c.values, variable{written, value})
		},
	}
	n.text, n.vars = e.expand(raw)
	n.size = 1 + min(len(n.text), math.MaxInt32)/32
	return n
}

// find returns where written stands at or after pos in its line, else pos.
func (b *builder) find(written string, pos Pos) Pos {
	if pos.Line < 1 || pos.Line > len(b.c.lines) || len(b.c.problems) >= mostProblems {
		return pos
	}
	line := []rune(b.c.lines[pos.Line-1])
	from := min(pos.Column-1, len(line))
	if before, _, ok := strings.Cut(string(line[from:]), written); ok {
		return Pos{pos.Line, from + utf8.RuneCountInString(before) + 1}
	}
	return pos
}
