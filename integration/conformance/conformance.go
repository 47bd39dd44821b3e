// Package conformance runs the suites of sources and sinks, and keeps what they
// have found for the tables in docs/conformance.md.
package conformance

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Variable names the folder in which results are kept; without it none are.
const Variable = "SLUICE_CONFORMANCE"

// The suites: of sources, of sinks whose other side keeps what it is given, and of
// sinks whose other side is a worker that answers.
const (
	Source = "source"
	Store  = "store"
	Worker = "worker"
)

// The results of a case.
const (
	Passed  = "passed"
	Failed  = "failed"
	Without = "without" // it is not for this adapter
)

// A Result is what became of one case of one adapter.
type Result struct {
	Kind    string `json:"kind"` // Source, Store or Worker
	Adapter string `json:"adapter"`
	Case    string `json:"case"`
	Result  string `json:"result"`
	// Reason says why a case is not for an adapter.
	Reason string `json:"reason,omitempty"`
}

// Keep writes down what became of a case when t ends. An adapter without a name
// is not kept.
func Keep(t *testing.T, r Result) {
	t.Helper()
	dir := os.Getenv(Variable)
	if dir == "" || r.Adapter == "" {
		return
	}
	t.Cleanup(func() {
		if r.Result = Passed; t.Failed() {
			r.Result = Failed
		} else if r.Reason != "" {
			r.Result = Without
		}
		if err := r.write(dir); err != nil {
			t.Errorf("keeping the result: %v", err)
		}
	})
}

// write appends to a file of the process's own.
func (r Result) write(dir string) error {
	name := filepath.Join(dir, fmt.Sprintf("%d.jsonl", os.Getpid()))
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = json.NewEncoder(file).Encode(r)
	if closeErr := file.Close(); err == nil {
		err = closeErr
	}
	return err
}

// Read returns what is kept in a folder, the worst result first of those of one
// case.
func Read(dir string) ([]Result, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, err
	}
	var all []Result
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			var r Result
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b Result) int { return rank(a.Result) - rank(b.Result) })
	return all, nil
}

func rank(result string) int { return slices.Index([]string{Failed, Passed, Without}, result) }
