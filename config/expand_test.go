package config

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestExpand(t *testing.T) {
	lookup := environment(map[string]string{"A": "one", "EMPTY": "", "TRICK": "${A} $$ {x: y}\n- z"})
	cases := []struct{ text, want, problem string }{
		{"plain", "plain", ""},
		{"${A}", "one", ""},
		{"<${A}${A}>", "<oneone>", ""},
		{"${EMPTY}", "", ""},
		{"${EMPTY:-two}", "two", ""},
		{"${NONE:-two}", "two", ""},
		{"${NONE:-}", "", ""},
		{"${NONE:-a:-b:?c}", "a:-b:?c", ""},
		{"${A:-two}", "one", ""},
		{"${A:?no}", "one", ""},
		{"$${A}", "${A}", ""},
		{"$$$${A}", "$${A}", ""},
		{"$$${A}", "$one", ""},
		{"$A $ $1 $or", "$A $ $1 $or", ""},
		{"${TRICK}", "${A} $$ {x: y}\n- z", ""},
		{"${NONE}", "", "the variable NONE is not set: set it, or write ${NONE:-default}"},
		{"${NONE:?say so}", "", "the variable NONE is not set: say so"},
		{"${EMPTY:?}", "", "the variable EMPTY is not set or empty"},
		{"${NONE:?\x1b[31m}", "", `the variable NONE is not set: \x1b[31m`},
		{"${A", "", "a variable is not closed: write ${NAME}, or $$ for a dollar"},
		{"${1}", "", `"${1}" is not a variable: write ${NAME}, with letters, digits and _ in the name, or $$ for a dollar`},
		{"${A-b}", "", `"-b" cannot follow the name of a variable: write ${A}, ${A:-default} or ${A:?message}`},
	}
	for _, c := range cases {
		var said []string
		e := expander{
			lookup:  lookup,
			problem: func(_, message string) { said = append(said, message) },
			value:   func(string, string) {},
		}
		got, _ := e.expand(c.text)
		if problem := strings.Join(said, "\n"); got != c.want && c.problem == "" || problem != c.problem {
			t.Errorf("%q becomes %q, problem %q", c.text, got, problem)
		}
	}
}

// Whatever a variable holds, it is the value of its scalar and no more.
func TestValuesInjectNothing(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"x, bucket: y", "\"\n", "}", "*a", "- b", "#", "${V}", "$$", "null"})).Draw(t, "value")
		if value == "" {
			return
		}
		for _, text := range []string{"schedule: ${V}", "{schedule: \"${V}\"}", "schedule: |-\n        ${V}"} {
			file, err := load("f.yaml", dir, "sources:\n  a:\n    cron:\n      "+text, testKinds(), environment(map[string]string{"V": value}))
			if err != nil {
				t.Fatal(err)
			}
			if got := file.Sources[0].Section.(*clockSection).Schedule; got != value {
				t.Fatalf("%q becomes %q", value, got)
			}
		}
	})
}
