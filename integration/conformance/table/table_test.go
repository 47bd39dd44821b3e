package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/integration/conformance"
)

// The results of a run become the tables of the page; one that is right already
// is no error.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(conformance.Variable, dir)
	keep := func(kind, adapter, name, reason string) {
		t.Run(adapter, func(t *testing.T) {
			conformance.Keep(t, conformance.Result{Kind: kind, Adapter: adapter, Case: name, Reason: reason})
		})
	}
	keep(conformance.Source, "b", "one", "")
	keep(conformance.Source, "b", "two", "it has none")
	keep(conformance.Source, "a", "one", "it has none")
	keep(conformance.Store, "c", "three", "")
	keep(conformance.Worker, "", "four", "")
	failed := `{"kind":"source","adapter":"b","case":"one","result":"failed"}` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "other.jsonl"), []byte(failed), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "page.md")
	marks := "<!-- source: begin -->\n<!-- source: end -->\n<!-- store: begin -->\n<!-- store: end -->\n<!-- worker: begin -->\n<!-- worker: end -->\n"
	if err := os.WriteFile(path, []byte(marks), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(dir, path); err == nil || !strings.Contains(err.Error(), "written anew") {
		t.Errorf("the first run: %v", err)
	}
	if err := run(dir, path); err != nil {
		t.Errorf("the second run: %v", err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = `<!-- source: begin -->
|  | one | two |
| --- | :-: | :-: |
| a | – (1) | not run |
| b | ✗ | – (1) |

1. it has none
<!-- source: end -->
<!-- store: begin -->
|  | three |
| --- | :-: |
| c | ✓ |
<!-- store: end -->
<!-- worker: begin -->
|  |
| --- |
<!-- worker: end -->
`
	if string(text) != want {
		t.Errorf("the page is\n%s", text)
	}
}
