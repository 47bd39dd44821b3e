package pattern

import (
	"encoding/json"
	"errors"
	"strings"
)

// A tree is a JSON document taken apart for matching. Keys with dots have
// become objects within objects, and keys that come twice have become one
// object, or one kindMulti of all their values.
type tree struct {
	nodes []item
	// large holds the members of objects that have many.
	large map[memberKey]int32
	// arena is where texts stand that had to be decoded.
	arena []byte
}

// A memberKey is a key in an object.
type memberKey struct {
	object int32
	key    string
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
	t := &tree{nodes: make([]item, 0, 8+len(raw)/16)}
	s := scanner{text: string(raw), tree: t}
	if _, valid := s.document(everything); !valid {
		return nil, syntaxError(raw)
	}
	return t, nil
}

// syntaxError says what is wrong with raw, if it is not valid JSON.
func syntaxError(raw []byte) error {
	var ignored json.RawMessage
	return json.Unmarshal(raw, &ignored)
}

// reset empties the tree, and keeps no more memory than is often needed.
func (t *tree) reset() {
	t.nodes, t.arena = emptied(t.nodes), emptied(t.arena)
	if len(t.large) > maxKept {
		t.large = nil
	}
	clear(t.large)
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
	t.add(n, child)
}

// add makes child a member of the object n, which has none with its key.
func (t *tree) add(n, child int32) {
	t.link(n, child)
	switch count := t.nodes[n].count; {
	case count == many+1:
		t.index(n, n)
	case count > many:
		t.large[memberKey{n, t.nodes[child].key}] = child
	}
}

// index makes the members of the object from be looked up as those of n.
func (t *tree) index(n, from int32) {
	if t.large == nil {
		t.large = map[memberKey]int32{}
	}
	for c := t.nodes[n].first; c != 0; c = t.nodes[c].next {
		delete(t.large, memberKey{from, t.nodes[c].key})
		t.large[memberKey{n, t.nodes[c].key}] = c
	}
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
		if moved.kind == kindObject && moved.count > many {
			t.index(first, old)
		}
		t.nodes[old] = item{kind: kindMulti, key: moved.key, next: next}
		t.link(old, first)
	}
	t.link(old, child)
}

// member returns the member of the object n under key, or 0.
func (t *tree) member(n int32, key string) int32 {
	if t.nodes[n].count > many {
		return t.large[memberKey{n, key}]
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
