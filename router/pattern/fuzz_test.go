package pattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/event"
)

func FuzzCompile(f *testing.F) {
	for _, v := range verdicts {
		f.Add([]byte(v.pattern))
	}
	f.Add([]byte(`{"a":[{"anything-but":{"wildcard":["a*b","c"]}}]}`))
	doc, err := FromJSON([]byte(`{"a":[{"b":1,"c":"x"},[{"b":2}]],"data":{"x":null}}`))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Compile(raw)
		if err != nil {
			problem, ok := errors.AsType[*Error](err)
			if !ok || problem.Message() == "" || problem.Line() < 1 || problem.Column() < 1 || problem.Column() > len(raw)+1 {
				t.Fatalf("%#v", err)
			}
			return
		}
		if e := p.Explain(doc); e.Match != p.Matches(doc) {
			t.Fatal("two verdicts")
		} else if _, err := json.Marshal(e); err != nil {
			t.Fatal(err)
		}
		// Compiling again is the same pattern.
		again, err := Compile(raw)
		if err != nil || again.Fingerprint() != p.Fingerprint() {
			t.Fatalf("%v, %s, %s", err, again.Fingerprint(), p.Fingerprint())
		}
	})
}

func FuzzFromJSON(f *testing.F) {
	for _, v := range verdicts {
		f.Add([]byte(v.event))
	}
	f.Add([]byte(`{"a":{"b":1},"a.b":[{"c":1}],"a":null}`))
	f.Add([]byte(`{"a.x":[1],"a.b.x":2,"a":{"b":[{"c":1}],"d":{"e":"x"}},"a":"x"}`))
	f.Add([]byte(`"\ud83d\ude00\ud83d\u00e4\/"`))
	patterns := []*Pattern{
		mustCompile(f, `{"a":{"b":[{"exists":false},1],"c":[{"anything-but":"x"}]}}`),
		mustCompile(f, `{"a":[{"numeric":[">",0]}],"b":[{"exists":false}]}`),
		mustCompile(f, `{"a":{"b":{"c":[{"exists":true}]},"d":["x"]}}`),
	}
	x := NewIndex(nil)
	for i, p := range patterns {
		x = x.With(Entry{ID: i, Pattern: p.below(f, "data")})
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		checkString(t, raw)
		checkScanned(t, raw, x)
		doc, err := FromJSON(raw)
		if (err == nil) != (json.Valid(raw) && isObject(raw)) {
			t.Fatalf("%v", err)
		}
		if err != nil {
			return
		}
		for _, p := range patterns {
			if e := p.Explain(doc); e.Match != p.Matches(doc) {
				t.Fatal("two verdicts")
			} else if _, err := json.Marshal(e); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// below is the pattern for what lies below a key.
func (p *Pattern) below(tb testing.TB, key string) *Pattern {
	tb.Helper()
	var fields []string
	for _, f := range p.branches[0].fields {
		_, clauses, _ := strings.Cut(f.canonical, ":")
		fields = append(fields, fmt.Sprintf("%q:%s", key+"."+f.path, clauses))
	}
	return mustCompile(tb, "{"+strings.Join(fields, ",")+"}")
}

// checkString compares a string as it is read here and by encoding/json.
func checkString(t *testing.T, raw []byte) {
	t.Helper()
	var text string
	if len(raw) == 0 || raw[0] != '"' || json.Unmarshal(raw, &text) != nil {
		return
	}
	if got, err := parseTree(raw); err != nil || got.nodes[0].leaf.text != text {
		t.Fatalf("%v, %q, want %q", err, got.nodes[0].leaf.text, text)
	}
}

// checkScanned compares what an index says of data with what the patterns say,
// which look at all of it.
func checkScanned(t *testing.T, raw []byte, x *Index) {
	t.Helper()
	e := &event.Event{Data: raw}
	var want []int
	x.entries.each(func(entry *Entry) {
		if entry.Pattern.Matches(FromEvent(e)) {
			want = append(want, entry.ID)
		}
	})
	if got := x.Match("any", e, nil); !slices.Equal(got, want) {
		t.Fatalf("the index says %v, the patterns %v", got, want)
	}
	whole, err := parseTree(raw)
	if err != nil {
		return
	}
	w := wanted{a: x.everyone.asked.kid("data")}
	pruned := &tree{}
	s := scanner{text: string(raw), tree: pruned}
	if _, valid := s.document(w); !valid || !pruned.isPart(0, whole, 0, w) {
		t.Fatalf("%q is read into another tree by what is asked for: valid %v", raw, valid)
	}
}

// isPart tells whether item i is what there is of item n of the whole tree, but
// for what nobody wants.
func (t *tree) isPart(i int32, whole *tree, n int32, w wanted) bool {
	part, all := &t.nodes[i], &whole.nodes[n]
	if part.kind != all.kind || w.ends() && part.leaf != all.leaf {
		return false
	}
	c := part.first
	for k := all.first; k != 0; k = whole.nodes[k].next {
		inner := w
		if all.kind == kindObject {
			if inner = w.below(whole.nodes[k].key); inner.none() {
				continue
			}
			if c == 0 || t.nodes[c].key != whole.nodes[k].key || t.member(i, t.nodes[c].key) != c {
				return false
			}
		}
		if c == 0 || !t.isPart(c, whole, k, inner) {
			return false
		}
		c = t.nodes[c].next
	}
	return c == 0
}

func isObject(raw []byte) bool {
	var object map[string]json.RawMessage
	return json.Unmarshal(raw, &object) == nil && object != nil
}

// FuzzMatches looks for a pattern and an event that cost too much together.
func FuzzMatches(f *testing.F) {
	for _, v := range verdicts {
		f.Add([]byte(v.pattern), []byte(v.event))
	}
	f.Fuzz(func(t *testing.T, rawPattern, rawEvent []byte) {
		p, err := Compile(rawPattern)
		if err != nil {
			return
		}
		doc, err := FromJSON(rawEvent)
		if err != nil {
			return
		}
		for _, b := range p.branches {
			m := matcher{tree: doc.tree, budget: matchBudget}
			first := m.node(b.root, 0, 0, none)
			if m.budget < -matchBudget {
				t.Fatalf("twice over the budget")
			}
			if first != b.matches(doc) {
				t.Fatal("two verdicts")
			}
		}
	})
}
