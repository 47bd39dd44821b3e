package main

import (
	"fmt"
	"slices"
	"strings"

	"sluice/integration/conformance"
)

// A table is what was found of the adapters of one suite.
type table struct {
	cases, adapters []string // in the order of their coming, and sorted
	cells           map[[2]string]conformance.Result
}

// collect takes the worst result of each case of each adapter: they come first.
func collect(results []conformance.Result, kind string) *table {
	t := &table{cells: map[[2]string]conformance.Result{}}
	for _, r := range results {
		if r.Kind != kind {
			continue
		}
		if !slices.Contains(t.cases, r.Case) {
			t.cases = append(t.cases, r.Case)
		}
		if !slices.Contains(t.adapters, r.Adapter) {
			t.adapters = append(t.adapters, r.Adapter)
		}
		cell := [2]string{r.Adapter, r.Case}
		if _, found := t.cells[cell]; !found {
			t.cells[cell] = r
		}
	}
	slices.Sort(t.cases)
	slices.Sort(t.adapters)
	return t
}

// markdown renders a row for each adapter and a column for each case. Where a case
// is not for an adapter there is the number of the reason below.
func markdown(results []conformance.Result, kind string) string {
	t := collect(results, kind)
	var text strings.Builder
	row(&text, append([]string{""}, t.cases...))
	row(&text, append([]string{"---"}, slices.Repeat([]string{":-:"}, len(t.cases))...))
	var reasons []string
	for _, adapter := range t.adapters {
		cells := []string{adapter}
		for _, name := range t.cases {
			r, found := t.cells[[2]string{adapter, name}]
			switch {
			case !found:
				cells = append(cells, "not run")
			case r.Result == conformance.Passed:
				cells = append(cells, "✓")
			case r.Result == conformance.Failed:
				cells = append(cells, "✗")
			default:
				if !slices.Contains(reasons, r.Reason) {
					reasons = append(reasons, r.Reason)
				}
				cells = append(cells, fmt.Sprintf("– (%d)", slices.Index(reasons, r.Reason)+1))
			}
		}
		row(&text, cells)
	}
	if len(reasons) > 0 {
		text.WriteString("\n")
	}
	for i, reason := range reasons {
		fmt.Fprintf(&text, "%d. %s\n", i+1, reason)
	}
	return text.String()
}

func row(text *strings.Builder, cells []string) {
	fmt.Fprintf(text, "| %s |\n", strings.Join(cells, " | "))
}
