package config

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// FuzzLoad feeds outside bytes to the whole of Load: it never panics, and each
// problem has a place in the file and prints within bounds.
func FuzzLoad(f *testing.F) {
	bad, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(bad, "testdata/design.yaml") {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, text := range []string{"a: &a [*a]", "x: {<<: *x}", "? [a]\n: b", "a: |\n  x\n\tb", "%TAG ! x\n---\n!a b", "\"\\x", "a: ${", "- - - -", "a: !!str [", "'a': 'b\n\n c'", "&a : *a"} {
		f.Add(text)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		// A parser that does not come back must be seen, not waited for.
		watch := time.AfterFunc(20*time.Second, func() { panic("no end: " + strconv.Quote(text)) })
		defer watch.Stop()
		file, err := load("f.yaml", dir, text, testKinds(), environment(map[string]string{"A": "x"}))
		if (file == nil) == (err == nil) {
			t.Fatalf("file %v, error %v", file, err)
		}
		var problems *Problems
		if err != nil && !errors.As(err, &problems) {
			t.Fatalf("the error is a %T", err)
		}
		if problems != nil {
			checkProblems(t, text, problems)
		}
	})
}

func checkProblems(t *testing.T, text string, problems *Problems) {
	t.Helper()
	lines := strings.Count(text, "\n") + 1
	if len(problems.List) == 0 || len(problems.List) > mostProblems+1 {
		t.Fatalf("%d problems", len(problems.List))
	}
	for _, p := range problems.List {
		if p.Line < 0 || p.Line > lines || p.Line > 0 && p.Column < 1 || p.Message == "" {
			t.Fatalf("a problem out of place: %#v", p)
		}
	}
	for line := range strings.SplitSeq(problems.Error(), "\n") {
		if strings.IndexFunc(line, hidden) >= 0 {
			t.Fatalf("%q holds what a terminal must not be given", line)
		}
	}
}
