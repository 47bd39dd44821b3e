package pattern

import (
	"encoding/json"
	"errors"
	"testing"
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
	patterns := []*Pattern{
		mustCompile(f, `{"a":{"b":[{"exists":false},1],"c":[{"anything-but":"x"}]}}`),
		mustCompile(f, `{"a":[{"numeric":[">",0]}],"b":[{"exists":false}]}`),
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
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
