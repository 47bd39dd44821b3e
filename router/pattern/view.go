package pattern

import (
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice/event"
)

// A view is a document as an index sees it: a tree of what its patterns ask for
// of an event, or the whole tree of a document that was JSON. Nothing of an
// event is copied: it must not change meanwhile.
type view struct {
	doc    *Doc
	own    Doc    // where doc points to, if there is only an event
	wanted wanted // of the event
	tree   *tree  // that of doc, or pruned
	pruned tree
	data   dataState
	words  []byte // attributes that had to be written
}

// A dataState is what became of the data of an event.
type dataState uint8

const (
	dataUnread dataState = iota
	dataRead             // it is in the tree, if there is any
	dataBad              // it matches nothing
	dataLost             // it matches everything
)

// attributeNames are those of every event but data and data_base64.
var attributeNames = [...]string{"specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema"}

// open makes the tree, without the data of an event.
func (v *view) open() {
	if v.tree = v.doc.tree; v.tree != nil {
		return
	}
	v.tree = &v.pruned
	v.tree.grow(item{kind: kindObject})
	if v.wanted.members() <= len(attributeNames)+len(v.doc.event.Extensions) {
		v.wanted.each(v.addAttribute)
		return
	}
	for _, name := range attributeNames {
		v.addWanted(name)
	}
	for name := range v.doc.event.Extensions {
		v.addWanted(name)
	}
}

func (v *view) addWanted(name string) {
	if !v.wanted.below(name).none() {
		v.addAttribute(name)
	}
}

// addAttribute adds an attribute that the event has and the tree has not.
func (v *view) addAttribute(name string) {
	if isData(name) || v.tree.member(0, name) != 0 {
		return
	}
	if l, found := v.attribute(name); found {
		v.tree.add(0, v.tree.grow(item{kind: l.kind, key: name, leaf: l}))
	}
}

// attribute is that of the document, but written without garbage.
func (v *view) attribute(name string) (leaf, bool) {
	e, start := v.doc.event, len(v.words)
	if name == "time" && !e.Time.IsZero() {
		v.words = e.Time.AppendFormat(v.words, time.RFC3339Nano)
		return newLeaf(kindString, stringOf(v.words[start:])), true
	}
	if n, is := e.Extensions[name].(int32); is && !slices.Contains(attributeNames[:], name) {
		v.words = strconv.AppendInt(v.words, int64(n), 10)
		return newLeaf(kindNumber, stringOf(v.words[start:])), true
	}
	return v.doc.attribute(name)
}

// readData adds what is wanted of the data to the tree of an event.
func (v *view) readData() {
	e := v.doc.event
	if e == nil || v.data != dataUnread {
		return
	}
	data, base64 := v.wanted.below("data"), v.wanted.below("data_base64")
	v.data = dataRead
	if data.none() && base64.none() {
		return
	}
	raw, err := v.doc.read()
	switch {
	case errors.Is(err, event.ErrLost):
		v.data = dataLost
	case err != nil:
		v.data = dataBad
	case len(raw) == 0:
	case !event.IsJSON(e.DataContentType):
		v.readOpaque(data, base64)
	case !utf8.Valid(raw) || !v.scan(raw, data):
		v.data = dataBad
		v.readOpaque(wanted{}, base64)
	}
}

// scan reads data that should be JSON, and tells whether it is.
func (v *view) scan(raw []byte, data wanted) bool {
	s := scanner{text: stringOf(raw), tree: v.tree}
	n, valid := s.document(data)
	if valid && !data.none() {
		v.tree.nodes[n].key = "data"
		v.tree.add(0, n)
	}
	return valid
}

// readOpaque adds what the JSON format makes of data that is not JSON.
func (v *view) readOpaque(data, base64 wanted) {
	if !data.ends() && !base64.ends() {
		return // a value, at most, and nobody asks for it
	}
	p := v.doc.payload()
	if p.tree != nil && data.ends() {
		whole := p.tree.nodes[0]
		whole.key = "data"
		v.tree.add(0, v.tree.grow(whole))
	}
	if p.binary != "" && base64.ends() {
		n := v.tree.grow(item{key: "data_base64"})
		v.tree.scalar(n, kindString, p.binary)
		v.tree.add(0, n)
	}
}

// matches asks one branch, as Pattern.Matches does, but looks into the data of
// an event only when the attributes match.
func (v *view) matches(b *branch) bool {
	m := matcher{tree: v.tree, budget: matchBudget}
	if v.doc.event == nil {
		return m.node(b.root, 0, 0, none)
	}
	for _, kid := range b.root.kids {
		if !isData(kid.key) && !v.attributeMatches(&m, kid) {
			return false
		}
	}
	for _, kid := range b.root.kids {
		if isData(kid.key) && !v.dataMatches(&m, kid) {
			return false
		}
	}
	return true
}

func (v *view) attributeMatches(m *matcher, n *node) bool {
	c := v.tree.member(0, n.key)
	if c == 0 {
		return m.missing(n, 0, none)
	}
	return m.scalar(n, &v.tree.nodes[c].leaf, 0, none)
}

func (v *view) dataMatches(m *matcher, n *node) bool {
	v.readData()
	switch {
	case v.data == dataLost:
		return true
	case n.key != "data":
		return v.attributeMatches(m, n)
	case v.data == dataBad:
		return false
	}
	c := v.tree.member(0, n.key)
	if c == 0 {
		return m.missing(n, 0, none)
	}
	return m.node(n, c, 0, none)
}

func (v *view) reset() {
	v.doc, v.tree, v.wanted, v.data = nil, nil, wanted{}, dataUnread
	v.own.event = nil
	v.own.data.Store(nil)
	v.own.body.Store(nil)
	v.words = emptied(v.words)
	v.pruned.reset()
}
