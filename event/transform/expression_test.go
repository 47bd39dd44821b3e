package transform

import (
	"context"
	"errors"
	"testing"

	"github.com/itchyny/gojq"
)

const sample = `{"specversion":"1.0","id":"1","source":"shop","type":"order.created","data":{"a":[1,2,{"x":"y"}],"n":3,"big":12345678901234567890.10,"s":"hello"}}`

func input(tb testing.TB) *Input {
	tb.Helper()
	in, err := InputFromJSON([]byte(sample))
	if err != nil {
		tb.Fatal(err)
	}
	return in
}

// TestExpressions checks that what is added for the limits changes no result,
// and what errors say.
func TestExpressions(t *testing.T) {
	in := input(t)
	for _, test := range []struct{ expression, want string }{
		{`.data.big`, `12345678901234567890.10`},
		{`[.data.a[]]`, `[1,2,{"x":"y"}]`},
		{`.data.s + " you \(.data.n)"`, `"hello you 3"`},
		{`.data.a[1:]`, `[2,{"x":"y"}]`},
		{`.data.s[1:3]`, `"el"`},
		{`.data.n * 2`, `6`},
		{`"ab" * 3`, `"ababab"`},
		{`{a: {b: 1}} * {a: {c: 2}}`, `{"a":{"b":1,"c":2}}`},
		{`.data.a | .[0] += 5 | .[5] = 1`, `[6,2,{"x":"y"},null,null,1]`},
		{`def f: 2; .data.n |= . + f | .data.n`, `5`},
		{`.data.a[] |= 1 | .data.a`, `[1,1,1]`},
		{`del(.data.a[0, 1]) | .data.a`, `[{"x":"y"}]`},
		{`del(.data.a[] | select(type == "number")) | .data.a`, `[{"x":"y"}]`},
		{`[.data.a[] | select(type == "number")]`, `[1,2]`},
		{`.data.s | gsub("l"; "L")`, `"heLLo"`},
		{`.data.s | [scan("l|o")]`, `["l","l","o"]`},
		{`.data.s | test("^H"; "i")`, `true`},
		{`.data.s | split("l+"; null)`, `["he","o"]`},
		{`"a b" | [splits(" +")]`, `["a","b"]`},
		{`{id, (.data.s): 1}`, `{"hello":1,"id":"1"}`},
		{`.data.a | to_entries | map(.key)`, `[0,1,2]`},
		{`pick(.data.n)`, `{"data":{"n":3}}`},
		{`.data.a[2].x as $x | {$x}`, `{"x":"y"}`},
		{`.data.a as [$a, $b] | $a + $b`, `3`},
		{`reduce .data.a[0, 1] as $i (0; . + $i)`, `3`},
		{`[foreach range(3) as $i (0; . + $i; [$i, .])]`, `[[0,0],[1,1],[2,3]]`},
		{`def f(g): g | g; .data.n | f(. + 1)`, `5`},
		{`.data.a | map(.x?)`, `["y"]`},
		{`[.. | numbers]`, `[1,2,12345678901234567890.10,3]`},
		{`@base64 "x\(.data.s)"`, `"xaGVsbG8="`},
		{`.data.s | @base64 | @base64d`, `"hello"`},
		{`[limit(3; range(100))]`, `[0,1,2]`},
		{`[1, 2] | join("-")`, `"1-2"`},
		{`[1, 2, 3] - [2]`, `[1,3]`},
		{`"a,b" / ","`, `["a","b"]`},
		{`. == null`, `false`},
		{`"1" | tonumber`, `1`},
		{`"[1]" | fromjson`, `[1]`},
		{`[{b: 2}, {b: 1}] | sort_by(.b) | map(.b)`, `[1,2]`},
		{`if .data.n > 2 then "big" else "small" end`, `"big"`},
		{`try error("x") catch .`, `"x"`},
		{`.missing.path`, `null`},
		{`empty`, `it yields nothing`},
		{`.data.a[]`, "the expression `.data.a[]`: it yields several results: put them into an array, as in [ … ]"},
		{`.data.a | map(.x)`, "the expression `.data.a | map(.x)`, in `map(.x)` of .data.a: expected an object but got: number (1)"},
		{`{x: .data.b, y: (.data.a | map(.x))}`, "the expression `{x: .data.b, y: (.data.a | map(.x))}`, in `map(.x)` of .data.a: expected an object but got: number (1)"},
		{`.data | {x: [.a[] | {y: .z}]}`, "the expression `.data | {x: [.a[] | {y: .z}]}`, in `.z` of .data.a[0]: expected an object but got: number (1)"},
		{`{x: .data.a.b}`, "the expression `{x: .data.a.b}`, in `.data.a.b`: expected an object but got: array ([1,2,{\"x\":\"y\"}])"},
		{`(.data.a.b)`, "the expression `(.data.a.b)`, in `.data.a.b`: expected an object but got: array ([1,2,{\"x\":\"y\"}])"},
		{`def f: .b; {x: (.data.a | f)}`, "the expression `def f: .b; {x: (.data.a | f)}`: expected an object but got: array ([1,2,{\"x\":\"y\"}])"},
		{`. as $e | {x: $e.data.a.b}`, "the expression `. as $e | {x: $e.data.a.b}`: expected an object but got: array ([1,2,{\"x\":\"y\"}])"},
		{`{x: (.data.b // error("none"))}`, "the expression `{x: (.data.b // error(\"none\"))}`, in `.data.b // error(\"none\")`: error: none"},
		{`.data | .a[1] | .b`, "the expression `.data | .a[1] | .b`, in `.b` of .data.a[1]: expected an object but got: number (2)"},
		{`.data.a[[1]]?`, `it yields nothing`},
		{`error("boom")`, "the expression `error(\"boom\")`: error: boom"},
	} {
		t.Run(test.expression, func(t *testing.T) {
			x, err := Compile(test.expression)
			if err != nil {
				t.Fatal(err)
			}
			got, err := x.Run(t.Context(), in)
			text, _ := gojq.Marshal(got)
			if err != nil {
				text = []byte(err.Error())
			}
			if string(text) != test.want {
				t.Errorf("got %s\nwant %s", text, test.want)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for expression, want := range map[string]string{
		"":                       "found no expression; write jq such as .data",
		"map(":                   "at character 5 of the expression: it ends too early: unexpected EOF",
		".a |\n  .b }":           `at line 2, character 6 of the expression: found "}", which cannot stand here`,
		".data | now":            "at character 9 of the expression: now: it would give something else with each attempt: take .time of the event",
		"$ENV.HOME":              "at character 1 of the expression: $ENV: an expression does not see the environment: write ${NAME} where the file may have it, outside of jq",
		"env":                    "at character 1 of the expression: env: an expression does not see the environment: write ${NAME} where the file may have it, outside of jq",
		"[inputs]":               "at character 2 of the expression: inputs: an expression has its event and nothing else",
		"halt":                   "at character 1 of the expression: halt: an expression has its event and nothing else",
		".data | mapp(.)":        "at character 9 of the expression: mapp: there is no such function",
		"length(1)":              "at character 1 of the expression: length: it does not take 1 arguments",
		".a | $x":                "at character 6 of the expression: $x: no variable of this name is defined here",
		"$__loc__":               "at character 1 of the expression: names that begin with $__ are taken",
		`.data | test(.re)`:      "at character 9 of the expression: test: its regular expression, and its flags, are to be written out as plain texts",
		`test("(")`:              "at character 1 of the expression: test: its regular expression: error parsing regexp: missing closing ): `(`",
		`import "a" as a; .`:     "at character 1 of the expression: import: an expression has no modules",
		`[[1], [2]] | transpose`: "at character 14 of the expression: transpose: what it takes cannot be bounded",
		"__deep($x; 1)":          "at character 1 of the expression: __deep: there is no such function",
	} {
		if _, err := Compile(expression); err == nil || err.Error() != want {
			t.Errorf("%s\ngot  %v\nwant %s", expression, err, want)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	x, err := Compile(`last(range(1e9))`)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := x.Run(ctx, input(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
