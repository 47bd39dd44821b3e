package pattern

import (
	"encoding/json"
	"fmt"
	"strings"
)

// An Explanation says field by field why a pattern matches a document or not.
type Explanation struct {
	Match bool `json:"match"`
	// Alternatives are the combinations of "$or", one of which must match; a
	// pattern without it has one.
	Alternatives []Alternative `json:"alternatives"`
}

// An Alternative is a combination of fields, all of which must match.
type Alternative struct {
	Match  bool           `json:"match"`
	Fields []FieldVerdict `json:"fields"`
	Note   string         `json:"note,omitempty"`
}

// A FieldVerdict is about one field.
type FieldVerdict struct {
	Path  string `json:"path"`
	Match bool   `json:"match"`
	// Asked are the entries of the field's list, of which one must match.
	Asked []json.RawMessage `json:"asked"`
	// Found are the values of the field in the event, ten at most.
	Found []json.RawMessage `json:"found"`
	Note  string            `json:"note,omitempty"`
}

const maxFound = 10

// Explain says which clause refused the document.
func (p *Pattern) Explain(doc *Doc) Explanation {
	e := Explanation{Match: p.Matches(doc)}
	for _, b := range p.branches {
		e.Alternatives = append(e.Alternatives, b.explain(doc))
	}
	return e
}

func (b *branch) explain(doc *Doc) Alternative {
	a := Alternative{Match: b.matches(doc)}
	all := true
	for _, f := range b.fields {
		verdict := f.explain(doc)
		all = all && verdict.Match
		a.Fields = append(a.Fields, verdict)
	}
	if all && !a.Match {
		a.Note = "each field matches, but not all within the same element of a list"
	}
	return a
}

func (f *field) explain(doc *Doc) FieldVerdict {
	verdict := FieldVerdict{Path: pathString(anySteps(f.steps)), Match: newBranch([]*field{f}).matches(doc)}
	for i := range f.clauses {
		verdict.Asked = append(verdict.Asked, json.RawMessage(f.clauses[i].String()))
	}
	found, note := doc.find(f.steps)
	verdict.Note = note
	if len(found) > maxFound {
		verdict.Note = fmt.Sprintf("and %d more", len(found)-maxFound)
		found = found[:maxFound]
	}
	verdict.Found = make([]json.RawMessage, len(found))
	for i := range found {
		verdict.Found[i] = found[i].json()
	}
	return verdict
}

func anySteps(steps []string) []any {
	path := make([]any, len(steps))
	for i, step := range steps {
		path[i] = step
	}
	return path
}

// json writes a leaf; long texts are cut.
func (l *leaf) json() json.RawMessage {
	if l.kind == kindString {
		return json.RawMessage(jsonString(shorten(l.text)))
	}
	return json.RawMessage(l.text)
}

// find returns the leaves at a path, and if there are none, why.
func (d *Doc) find(steps []string) ([]leaf, string) {
	t := d.tree
	switch {
	case d.event == nil:
	case steps[0] == "data":
		p := d.payload()
		if p.err != nil {
			return nil, p.err.Error()
		}
		if p.tree == nil {
			return nil, "the event has no data"
		}
		t, steps = p.tree, steps[1:]
	default:
		l, found := d.attribute(steps[0])
		if !found || len(steps) > 1 {
			return nil, "missing"
		}
		return []leaf{l}, ""
	}
	f := finder{tree: t}
	f.find(0, steps)
	if len(f.found) == 0 && f.object {
		return nil, "an object, not a value"
	}
	if len(f.found) == 0 {
		return nil, "missing"
	}
	return f.found, ""
}

type finder struct {
	tree   *tree
	found  []leaf
	object bool // the path leads to an object
}

func (f *finder) find(i int32, steps []string) {
	it := &f.tree.nodes[i]
	switch it.kind {
	case kindObject:
		if len(steps) == 0 {
			f.object = true
		} else if c := f.tree.member(i, steps[0]); c != 0 {
			f.find(c, steps[1:])
		}
	case kindArray, kindMulti:
		for c := it.first; c != 0; c = f.tree.nodes[c].next {
			f.find(c, steps)
		}
	default:
		if len(steps) == 0 {
			f.found = append(f.found, it.leaf)
		}
	}
}

// String is the explanation for people, with ✓ and ✗.
func (e Explanation) String() string { return e.Text("✓", "✗") }

// Text is the explanation for people, with these marks for what matches and
// what does not.
func (e Explanation) Text(yes, no string) string {
	marks := map[bool]string{true: yes, false: no}
	var b strings.Builder
	verdict := map[bool]string{true: "match", false: "no match"}
	fmt.Fprintf(&b, "%s %s\n", marks[e.Match], verdict[e.Match])
	for i, a := range e.Alternatives {
		indent := "  "
		if len(e.Alternatives) > 1 {
			fmt.Fprintf(&b, "  %s alternative %d of %d\n", marks[a.Match], i+1, len(e.Alternatives))
			indent = "    "
		}
		for _, f := range a.Fields {
			f.write(&b, indent+marks[f.Match])
		}
		if a.Note != "" {
			fmt.Fprintf(&b, "%s%s %s\n", indent, marks[a.Match], a.Note)
		}
	}
	return b.String()
}

func (f *FieldVerdict) write(b *strings.Builder, begin string) {
	fmt.Fprintf(b, "%s %s: asked for %s; found %s\n", begin, f.Path, join(f.Asked, " or "), f.found())
}

func (f *FieldVerdict) found() string {
	if len(f.Found) == 0 {
		return "nothing (" + f.Note + ")"
	}
	if f.Note != "" {
		return join(f.Found, ", ") + " " + f.Note
	}
	return join(f.Found, ", ")
}

func join(texts []json.RawMessage, separator string) string {
	parts := make([]string, len(texts))
	for i, text := range texts {
		parts[i] = string(text)
	}
	return strings.Join(parts, separator)
}
