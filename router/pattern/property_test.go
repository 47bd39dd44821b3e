package pattern

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var (
	someKeys    = []string{"a", "b", "c", "a-b", "a.b", "b.c"}
	someTexts   = []string{"", "x", "xy", "xyx", "X", "yx*", "xß", "10.0.0.1", "10.0.1.1", "5"}
	someNumbers = []string{"0", "5", "5.0", "-1", "1e2", "100", "0.5", "50E-2"}
)

func drawEvent(t *rapid.T, depth int, kinds ...string) naiveNode {
	if depth == 0 {
		kinds = slices.DeleteFunc(slices.Clone(kinds), func(k string) bool { return k == "object" || k == "array" })
	}
	n := naiveNode{kind: rapid.SampledFrom(kinds).Draw(t, "kind")}
	all := []string{"object", "object", "array", "array", "string", "number", "bool", "null"}
	switch n.kind {
	case "object":
		n.keys = rapid.SliceOfNDistinct(rapid.SampledFrom(someKeys), 0, 4, rapid.ID).Draw(t, "keys")
		for range n.keys {
			n.values = append(n.values, drawEvent(t, depth-1, all...))
		}
	case "array":
		for range rapid.IntRange(0, 3).Draw(t, "entries") {
			n.values = append(n.values, drawEvent(t, depth-1, all...))
		}
	case "string":
		n.text = rapid.SampledFrom(someTexts).Draw(t, "text")
	case "number":
		n.text = rapid.SampledFrom(someNumbers).Draw(t, "number")
	case "bool":
		n.text = rapid.SampledFrom([]string{"true", "false"}).Draw(t, "bool")
	default:
		n.text = "null"
	}
	return n
}

func drawPattern(t *rapid.T, depth int, or bool) naivePattern {
	var p naivePattern
	for _, key := range rapid.SliceOfNDistinct(rapid.SampledFrom(someKeys), 1, 3, rapid.ID).Draw(t, "fields") {
		m := naiveMember{key: key}
		if depth > 0 && rapid.IntRange(0, 2).Draw(t, "deeper") > 0 {
			m.object = drawPattern(t, depth-1, or)
		} else {
			for range rapid.IntRange(1, 2).Draw(t, "choices") {
				m.list = append(m.list, drawEntry(t))
			}
		}
		p = append(p, m)
	}
	if or && depth > 0 && rapid.IntRange(0, 3).Draw(t, "or") == 0 {
		m := naiveMember{key: "$or"}
		for range rapid.IntRange(2, 3).Draw(t, "alternatives") {
			m.or = append(m.or, drawPattern(t, depth-1, or))
		}
		p = slices.Insert(p, rapid.IntRange(0, len(p)).Draw(t, "place"), m)
	}
	return p
}

func drawEntry(t *rapid.T) naiveEntry {
	text := rapid.SampledFrom(someTexts).Draw(t, "operand")
	number := rapid.SampledFrom(someNumbers).Draw(t, "threshold")
	quoted := fmt.Sprintf("%q", text)
	equal := naiveText(quoted, func(s string) bool { return s == text })
	equalNumber := naiveNumber(number, func(c int) bool { return c == 0 }, number)
	prefix := naiveText(`{"prefix":`+quoted+`}`, func(s string) bool { return strings.HasPrefix(s, text) })
	suffix := naiveText(`{"suffix":`+quoted+`}`, func(s string) bool { return strings.HasSuffix(s, text) })
	wild := rapid.SampledFrom([]string{"x*", "*x", "x*y*", "*", "", `yx\\*`, "*y*x", "x*x"}).Draw(t, "wildcard")
	wildcard := naiveText(`{"wildcard":"`+wild+`"}`, func(s string) bool {
		return naiveWildcard(strings.ReplaceAll(wild, `\\`, `\`)).MatchString(s)
	})
	choices := []naiveEntry{
		{json: `{"exists":false}`, absent: true},
		{json: `{"exists":false}`, absent: true},
		{json: `{"exists":true}`, holds: func(string, string) bool { return true }},
		{json: "null", holds: func(kind, _ string) bool { return kind == "null" }},
		{json: "true", holds: func(kind, s string) bool { return kind == "bool" && s == "true" }},
		equal, equalNumber, prefix, suffix, wildcard,
		naiveNumber(`{"numeric":["<",`+number+`]}`, func(c int) bool { return c < 0 }, number),
		naiveNumber(`{"numeric":[">=",`+number+`]}`, func(c int) bool { return c >= 0 }, number),
		naiveText(`{"cidr":"10.0.0.9/24"}`, func(s string) bool { return naiveInBlock("10.0.0.0/24", s) }),
		naiveBut(quoted, equal), naiveBut(number, equalNumber), naiveBut(wildcard.json, wildcard),
	}
	if text != "" {
		choices = append(choices, naiveBut(prefix.json, prefix), naiveBut(suffix.json, suffix))
	}
	return rapid.SampledFrom(choices).Draw(t, "entry")
}

// The matcher and the naive evaluation agree about every event and pattern.
func TestMatchesAsNaively(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := drawPattern(t, 2, true)
		event := drawEvent(t, 4, "object")
		p, err := Compile([]byte(pattern.json()))
		if err != nil {
			t.Skip(err) // too many wildcards in one field
		}
		doc, err := FromJSON([]byte(event.json()))
		if err != nil {
			t.Fatalf("%s: %v", event.json(), err)
		}
		want := naiveMatch(pattern, event)
		if got := p.Matches(doc); got != want {
			t.Errorf("event %s\npattern %s\ngot %v, naively %v", event.json(), pattern.json(), got, want)
		}
		if e := p.Explain(doc); e.Match != want || e.String() == "" {
			t.Errorf("explained as %v, want %v", e.Match, want)
		}
	})
}

// The order of fields, of entries and the spelling of numbers leave the
// fingerprint as it is.
func TestFingerprint(t *testing.T) {
	same := []string{
		`{"a":["x",300,{"prefix":"p"}],"b":{"c":[1]}}`,
		`{"b":{"c":[1.0]},"a":[{"prefix":"p"},3e2,"x","x"]}`,
		`{"b.c":[1],"a":[300,"x",{"prefix":"p"}]}`,
	}
	others := []string{
		`{"a":["x",301,{"prefix":"p"}],"b":{"c":[1]}}`,
		`{"a":["x",300,{"suffix":"p"}],"b":{"c":[1]}}`,
		`{"a":["x","300",{"prefix":"p"}],"b":{"c":[1]}}`,
		`{"a":["x",300,{"prefix":{"equals-ignore-case":"p"}}],"b":{"c":[1]}}`,
		`{"a":["x",300,{"anything-but":{"prefix":"p"}}],"b":{"c":[1]}}`,
		`{"$or":[{"a":["x",300,{"prefix":"p"}]},{"b":{"c":[1]}}]}`,
	}
	seen := map[string]string{}
	for _, raw := range others {
		f := mustCompile(t, raw).Fingerprint()
		if other, found := seen[f]; found {
			t.Errorf("%s and %s have the same fingerprint", raw, other)
		}
		seen[f] = raw
	}
	first := mustCompile(t, same[0]).Fingerprint()
	for _, raw := range same {
		if got := mustCompile(t, raw).Fingerprint(); got != first {
			t.Errorf("%s: %s, want %s", raw, got, first)
		}
	}
	if seen[first] != "" {
		t.Errorf("%s has the fingerprint of %s", same[0], seen[first])
	}
	// It is stored, so it may not change.
	if want := "6d34fcbb"; first[:8] != want || len(first) != 32 {
		t.Errorf("the fingerprint is %s; it began with %s", first, want)
	}
}

func mustCompile(tb testing.TB, raw string) *Pattern {
	tb.Helper()
	p, err := Compile([]byte(raw))
	if err != nil {
		tb.Fatalf("%s: %v", raw, err)
	}
	return p
}
