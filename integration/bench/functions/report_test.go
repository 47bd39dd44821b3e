package main

import (
	"strings"
	"testing"
	"time"

	"sluice/integration/bench/measures"
)

func TestMarkdown(t *testing.T) {
	b := &bench{command: "c", rows: []row{{"go", thePool, &measurement{cold: []float64{30, 10, 20}, warm: []float64{.1, .2, .3, .4}, whole: time.Second}}}}
	const want = "| go | the pool | 0.200 ms | 0.400 ms | 4 | 20.0 ms |\n"
	if text := b.markdown(); !strings.HasSuffix(text, want) {
		t.Errorf("the table is %s", text)
	}
	row := measures.Row{What: measures.Function, Figure: "go 0.20 ms", Reached: true, Command: "c"}
	if got := b.warm(); got != row {
		t.Errorf("the measure is %+v, want %+v", got, row)
	}
}
