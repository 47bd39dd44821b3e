package config

import (
	"encoding/json"
	"strconv"
	"strings"
)

// A Node is a value of the file together with its places, variables expanded
// and aliases followed. A field of type *Node in a section takes any value; its
// zero value, nil, has none.
type Node struct {
	kind   nodeKind
	pos    Pos
	block  bool   // a collection written over lines, not in brackets
	text   string // of a scalar, expanded
	raw    string // of a scalar, as it was written
	quoted bool   // a scalar that is text whatever it looks like
	vars   bool   // the scalar holds a variable
	broken bool   // the value could not be found out: a problem says why
	fields []field
	items  []*Node
	size   int // how much the value weighs with all aliases followed
}

type nodeKind int

const (
	scalarNode nodeKind = iota
	mappingNode
	sequenceNode
)

type field struct {
	key   string
	pos   Pos
	value *Node
}

// A NodeUnmarshaler is a type in a section that decodes itself. Its error may
// be several, joined, each made by Invalid with a key below the node.
type NodeUnmarshaler interface{ UnmarshalNode(n *Node) error }

// Value returns the node as a JSON value: map[string]any, []any, string,
// json.Number, bool or nil. A scalar that holds a variable is text.
func (n *Node) Value() any {
	switch {
	case n == nil:
		return nil
	case n.kind == mappingNode:
		object := make(map[string]any, len(n.fields))
		for _, f := range n.fields {
			object[f.key] = f.value.Value()
		}
		return object
	case n.kind == sequenceNode:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			list[i] = item.Value()
		}
		return list
	default:
		return n.scalar()
	}
}

// MarshalJSON encodes the node's value.
func (n *Node) MarshalJSON() ([]byte, error) { return json.Marshal(n.Value()) }

// Pos returns where the value stands.
func (n *Node) Pos() Pos {
	if n == nil {
		return Pos{}
	}
	return n.pos
}

// At returns where the key (a string) or item (an int) stands that path leads
// to. Where the path leads nowhere it is the place of the last step that does.
func (n *Node) At(path ...any) Pos {
	if n == nil {
		return Pos{}
	}
	pos := n.pos
	for _, step := range path {
		next, at := n.child(step)
		if next == nil {
			break
		}
		n, pos = next, at
	}
	return pos
}

func (n *Node) child(step any) (*Node, Pos) {
	switch step := step.(type) {
	case string:
		if f := n.field(step); f != nil {
			return f.value, f.pos
		}
	case int:
		if step >= 0 && step < len(n.items) {
			return n.items[step], n.items[step].pos
		}
	}
	return nil, Pos{}
}

func (n *Node) field(key string) *field {
	for i := range n.fields {
		if n.fields[i].key == key {
			return &n.fields[i]
		}
	}
	return nil
}

// atKey is At for a key as Invalid takes it: a.b[2].c. Keys that hold dots are
// found too. Where not even the first step leads anywhere the place is start.
func (n *Node) atKey(key string, start Pos) (pos Pos, found *Node) {
	pos = start
	for key != "" && n != nil {
		next, at, rest := n.step(key)
		if next == nil {
			return pos, nil
		}
		n, pos, key = next, at, strings.TrimPrefix(rest, ".")
	}
	return pos, n
}

func (n *Node) step(key string) (next *Node, pos Pos, rest string) {
	if number, after, ok := strings.Cut(strings.TrimPrefix(key, "["), "]"); ok && strings.HasPrefix(key, "[") {
		if i, err := strconv.Atoi(number); err == nil {
			next, pos = n.child(i)
			return next, pos, after
		}
	}
	longest := -1
	for _, f := range n.fields {
		after, ok := strings.CutPrefix(key, f.key)
		if ok && len(f.key) > longest && (after == "" || after[0] == '.' || after[0] == '[') {
			next, pos, rest, longest = f.value, f.pos, after, len(f.key)
		}
	}
	return next, pos, rest
}

// isNull tells whether nothing, or null, was written.
func (n *Node) isNull() bool {
	return n.kind == scalarNode && !n.quoted && !n.vars && isNullText(n.text)
}

// describe says in words what the value is, as it was written.
func (n *Node) describe() string {
	switch {
	case n.kind == mappingNode:
		return "a mapping"
	case n.kind == sequenceNode:
		return "a list"
	case n.isNull():
		return "nothing"
	case n.vars:
		return quoteShort(n.raw)
	}
	plain := Node{text: n.text}
	_, isText := plain.scalar().(string)
	switch {
	case isText:
		return quoteShort(n.raw)
	case n.quoted:
		return "the text " + quoteShort(n.raw)
	default:
		return n.raw
	}
}

// quoteShort quotes text and leaves out the end of a long one.
func quoteShort(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "…"
	}
	return strconv.Quote(text)
}

// A path is how a value is reached from the top of the file.
type path struct {
	up    *path
	key   string
	index int // used when key is empty and it is not the top
	item  bool
	pos   Pos // of the key or item
}

func (p *path) sub(key string, pos Pos) *path { return &path{up: p, key: key, pos: pos} }
func (p *path) at(index int, pos Pos) *path {
	return &path{up: p, index: index, item: true, pos: pos}
}

// String returns the path as messages show it: triggers.resize.on[1].
func (p *path) String() string {
	if p == nil || p.up == nil {
		return ""
	}
	before := p.up.String()
	switch {
	case p.item:
		return before + "[" + strconv.Itoa(p.index) + "]"
	case before == "":
		return showKey(p.key)
	default:
		return before + "." + showKey(p.key)
	}
}

// showKey quotes a key that could be mistaken for something else.
func showKey(key string) string {
	plain := func(r rune) bool {
		return r == '_' || r == '-' || r == '$' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
	if key != "" && strings.IndexFunc(key, func(r rune) bool { return !plain(r) }) < 0 && len(key) <= 64 {
		return key
	}
	return quoteShort(key)
}
