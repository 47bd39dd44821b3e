package pattern

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode/utf8"
)

// A tree is a JSON document taken apart for matching. Keys with dots have
// become objects within objects, and keys that come twice have become one
// object, or one kindMulti of all their values.
type tree struct {
	nodes []item
	// large holds the members of objects that have many, by key.
	large map[int32]map[string]int32
}

// An item is a value in a tree. Members of objects and entries of lists are
// linked; 0 is the end, because item 0 is the root.
type item struct {
	kind        kind
	first, last int32
	next        int32
	count       int32
	key         string
	leaf        leaf
}

// many is from how many members on an object is looked up by a map.
const many = 16

// parseTree takes raw apart. The error is that of encoding/json.
func parseTree(raw []byte) (*tree, error) {
	if !json.Valid(raw) {
		return nil, syntaxError(raw)
	}
	b := builder{text: string(raw), tree: &tree{}}
	b.tree.nodes = make([]item, 0, 8+len(raw)/16)
	b.value("")
	return b.tree, nil
}

// syntaxError says what is wrong with raw, if it is not valid JSON.
func syntaxError(raw []byte) error {
	var ignored json.RawMessage
	return json.Unmarshal(raw, &ignored)
}

// A builder walks through text that is known to be valid JSON.
type builder struct {
	text string
	at   int
	tree *tree
}

func (b *builder) space() {
	for b.at < len(b.text) {
		switch b.text[b.at] {
		case ' ', '\t', '\r', '\n', ',', ':':
			b.at++
		default:
			return
		}
	}
}

func (b *builder) value(key string) int32 {
	b.space()
	n := b.tree.grow(item{key: key})
	switch b.text[b.at] {
	case '{':
		b.tree.nodes[n].kind = kindObject
		b.members(n)
	case '[':
		b.tree.nodes[n].kind = kindArray
		b.items(n)
	case '"':
		b.tree.scalar(n, kindString, b.string())
	case 't', 'f':
		b.tree.scalar(n, kindBool, b.word())
	case 'n':
		b.tree.scalar(n, kindNull, b.word())
	default:
		b.tree.scalar(n, kindNumber, b.word())
	}
	return n
}

func (b *builder) members(n int32) {
	b.at++
	for {
		b.space()
		if b.text[b.at] == '}' {
			b.at++
			return
		}
		key := b.string()
		b.tree.put(n, b.value(key))
	}
}

func (b *builder) items(n int32) {
	b.at++
	for {
		b.space()
		if b.text[b.at] == ']' {
			b.at++
			return
		}
		b.tree.link(n, b.value(""))
	}
}

// word reads a number or one of true, false and null.
func (b *builder) word() string {
	start := b.at
	for ; b.at < len(b.text); b.at++ {
		switch b.text[b.at] {
		case ' ', '\t', '\r', '\n', ',', ']', '}':
			return b.text[start:b.at]
		}
	}
	return b.text[start:]
}

// string reads a string; what is not valid in it becomes U+FFFD.
func (b *builder) string() string {
	start := b.at
	escaped := false
	for b.at++; b.text[b.at] != '"'; b.at++ {
		if b.text[b.at] == '\\' {
			escaped = true
			b.at++
		}
	}
	b.at++
	quoted := b.text[start:b.at]
	if !escaped && utf8.ValidString(quoted) {
		return quoted[1 : len(quoted)-1]
	}
	var text string
	if err := json.Unmarshal([]byte(quoted), &text); err != nil {
		return quoted[1 : len(quoted)-1] // not reached: the text is valid
	}
	return text
}

func (t *tree) grow(i item) int32 {
	t.nodes = append(t.nodes, i)
	return int32(len(t.nodes) - 1)
}

func (t *tree) scalar(n int32, kind kind, text string) {
	t.nodes[n].kind = kind
	t.nodes[n].leaf = newLeaf(kind, text)
}

// link appends child to the list, object or multi n.
func (t *tree) link(n, child int32) {
	parent := &t.nodes[n]
	if parent.first == 0 {
		parent.first = child
	} else {
		t.nodes[parent.last].next = child
	}
	parent.last = child
	parent.count++
}

// put makes child a member of the object n, under its key.
func (t *tree) put(n, child int32) {
	if head, rest, dotted := strings.Cut(t.nodes[child].key, "."); dotted {
		t.nodes[child].key = rest
		outer := t.grow(item{kind: kindObject, key: head})
		t.put(outer, child)
		child = outer
	}
	if old := t.member(n, t.nodes[child].key); old != 0 {
		t.merge(old, child)
		return
	}
	t.link(n, child)
	if t.nodes[n].count <= many {
		return
	}
	if t.large == nil {
		t.large = map[int32]map[string]int32{}
	}
	if t.large[n] == nil {
		t.large[n] = make(map[string]int32, 4*many)
		for c := t.nodes[n].first; c != 0; c = t.nodes[c].next {
			t.large[n][t.nodes[c].key] = c
		}
	}
	t.large[n][t.nodes[child].key] = child
}

// merge adds the value of child to that of old, which has the same key.
func (t *tree) merge(old, child int32) {
	if t.nodes[old].kind == kindObject && t.nodes[child].kind == kindObject {
		for c := t.nodes[child].first; c != 0; {
			next := t.nodes[c].next
			t.nodes[c].next = 0
			t.put(old, c)
			c = next
		}
		return
	}
	if t.nodes[old].kind != kindMulti {
		moved, next := t.nodes[old], t.nodes[old].next
		moved.next = 0
		first := t.grow(moved)
		if index, found := t.large[old]; found {
			t.large[first] = index
			delete(t.large, old)
		}
		t.nodes[old] = item{kind: kindMulti, key: moved.key, next: next}
		t.link(old, first)
	}
	t.link(old, child)
}

// member returns the member of the object n under key, or 0.
func (t *tree) member(n int32, key string) int32 {
	if t.nodes[n].count > many {
		return t.large[n][key]
	}
	for c := t.nodes[n].first; c != 0; c = t.nodes[c].next {
		if t.nodes[c].key == key {
			return c
		}
	}
	return 0
}

func syntaxOffset(err error) (int, bool) {
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return 0, false
	}
	return int(syntax.Offset), true
}
