package config

import (
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// tree parses text that must have no problems.
func tree(t *testing.T, text string) *Node {
	t.Helper()
	c := newCollector("f.yaml", text)
	root := parse(c, text, environment(map[string]string{"N": "5"}))
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestNodeValue(t *testing.T) {
	root := tree(t, `
text: [plain, "5", 'true', "null", 2001-01-01, yes, NaN, 1_000, !!str 5, "${N}", ""]
block: |
  one
  two
plain: ${N}
numbers: [5, -5, +5, 0, 0x1f, 0o17, 1.50, .5, 5., -.5e3, 1e3, 1E-3, 12345678901234567890123, 0.10]
bools: [true, False, TRUE]
nulls: [null, ~, Null, ]
nothing:
"quoted key": {1: a, true: b, "": c}
`)
	want := map[string]any{
		"text":       []any{"plain", "5", "true", "null", "2001-01-01", "yes", "NaN", "1_000", "5", "5", ""},
		"block":      "one\ntwo\n",
		"plain":      "5",
		"numbers":    numbers("5", "-5", "5", "0", "31", "15", "1.50", "0.5", "5", "-0.5e3", "1e3", "1E-3", "12345678901234567890123", "0.10"),
		"bools":      []any{true, false, true},
		"nulls":      []any{nil, nil, nil},
		"nothing":    nil,
		"quoted key": map[string]any{"1": "a", "true": "b", "": "c"},
	}
	if diff := cmp.Diff(want, root.Value()); diff != "" {
		t.Error(diff)
	}
}

func numbers(all ...string) []any {
	list := make([]any, len(all))
	for i, text := range all {
		list[i] = json.Number(text)
	}
	return list
}

// Numbers are taken over without loss, and always are JSON.
func TestNumbersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[-+]?([1-9][0-9]{0,30}|0)(\.[0-9]{0,10})?([eE][-+]?[0-9]{1,2})?`).Draw(t, "text")
		got, ok := (&Node{text: text}).scalar().(json.Number)
		if !ok || !jsonNumber.MatchString(got.String()) {
			t.Fatalf("%s becomes %v", text, got)
		}
		want, _ := new(big.Rat).SetString(text)
		have, _ := new(big.Rat).SetString(got.String())
		if want.Cmp(have) != 0 {
			t.Fatalf("%s becomes %s", text, got)
		}
	})
}

func TestNodeAt(t *testing.T) {
	root := tree(t, `data:
  key: [{suffix: a},
        {prefix: b}]
  "a.b":
    - c
`)
	for _, c := range []struct {
		path []any
		want Pos
	}{
		{nil, Pos{1, 1}},
		{[]any{"data"}, Pos{1, 1}},
		{[]any{"data", "key"}, Pos{2, 3}},
		{[]any{"data", "key", 1}, Pos{3, 9}},
		{[]any{"data", "key", 1, "prefix"}, Pos{3, 10}},
		{[]any{"data", "key", 1, "none", 7}, Pos{3, 9}},
		{[]any{"data", "key", 2}, Pos{2, 3}},
		{[]any{"data", "key", -1}, Pos{2, 3}},
		{[]any{"none"}, Pos{1, 1}},
		{[]any{3.5}, Pos{1, 1}},
	} {
		if got := root.At(c.path...); got != c.want {
			t.Errorf("%v is at %v, not %v", c.path, got, c.want)
		}
	}
	for key, want := range map[string]Pos{"data.key[1].prefix": {3, 10}, "data.a.b[0]": {5, 7}, "data.a.b": {4, 3}, "data.x.y": {1, 1}, "data[x]": {1, 1}} {
		if got, _ := root.atKey(key, Pos{1, 1}); got != want {
			t.Errorf("%s is at %v, not %v", key, got, want)
		}
	}
	if pos := (*Node)(nil).At("x"); pos != (Pos{}) {
		t.Errorf("nothing is at %v", pos)
	}
}

func TestNearest(t *testing.T) {
	candidates := []string{"attempts", "initial", "max", "max_age", "make-thumbnail", "s3", "http", "on", "to"}
	for word, want := range map[string]string{
		"atempts": "attempts", "attmepts": "attempts", "Attempts": "attempts", "maxAge": "max_age", "max-age": "max_age",
		"maximum": "", "make-thumb": "make-thumbnail", "S3": "s3", "htpp": "http", "too": "to", "om": "on", "x": "", "": "", "mqtt": "",
	} {
		if got := nearest(word, candidates); got != want {
			t.Errorf("for %q it is %q, not %q", word, got, want)
		}
	}
}

// The distance is a metric but for the triangle, and no more than the longer
// word.
func TestDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.StringMatching(`[ab]{0,6}`).Draw(t, "a")
		b := rapid.StringMatching(`[ab]{0,6}`).Draw(t, "b")
		d := distance(a, b)
		if d != distance(b, a) || (d == 0) != (a == b) || d > max(len(a), len(b)) || d < max(len(a), len(b))-min(len(a), len(b)) {
			t.Fatalf("%q to %q is %d", a, b, d)
		}
	})
}

func TestSecretsAreHidden(t *testing.T) {
	section := callSection{common: common{Headers: map[string]Secret{"a": NewSecret("hunter2")}}}
	text, err := json.Marshal(section)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(text), fmt.Sprintf("%v %+v %#v %s", section, section, section, section.Headers["a"])} {
		if strings.Contains(shown, "hunter2") {
			t.Errorf("it shows in %s", shown)
		}
	}
}
