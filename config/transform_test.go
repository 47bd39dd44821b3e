package config

import (
	"errors"
	"strings"
	"testing"
)

type transformError struct{ path []any }

func (e *transformError) Error() string   { return "wrong" }
func (e *transformError) Message() string { return "this is wrong" }
func (e *transformError) Path() []any     { return e.path }

func TestTransformsAreChecked(t *testing.T) {
	kinds := testKinds()
	var seen []any
	kinds.Transform = func(value any) error {
		seen = append(seen, value)
		if keys, ok := value.(map[string]any); ok && keys["template"] != nil {
			return errors.Join(&transformError{[]any{"template", "a", 1}}, &transformError{nil})
		}
		return nil
	}
	const head = "sources: {s: {cron: {schedule: '@daily'}}}\nfunctions: {f: {http: {url: 'http://127.0.0.1:1'}}}\ntriggers:\n  t:\n    on: s\n    to: f\n"
	file, err := load("f.yaml", ".", head+"    transform: '.data | {a: \"$x\"}'\n", kinds, environment(nil))
	if err != nil || file.Triggers[0].Transform == nil || seen[0] != `.data | {a: "$x"}` {
		t.Fatalf("%v, %v", seen, err)
	}
	_, err = load("f.yaml", ".", head+"    transform:\n      template:\n        a: [x, y]\n", kinds, environment(nil))
	want := []string{"f.yaml:7:5: triggers.t.transform: this is wrong", "f.yaml:9:16: triggers.t.transform.template.a[1]: this is wrong"}
	for _, line := range want {
		if err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("not said: %s\n%v", line, err)
		}
	}
}
