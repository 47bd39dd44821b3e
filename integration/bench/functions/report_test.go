package main

import (
	"strings"
	"testing"
	"time"
)

func TestMarkdown(t *testing.T) {
	b := &bench{command: "c", rows: []row{{"go", "the pool", &measurement{cold: []float64{30, 10, 20}, warm: []float64{.1, .2, .3, .4}, whole: time.Second}}}}
	const want = "| go | the pool | 0.200 ms | 0.400 ms | 4 | 20.0 ms |\n"
	if text := b.markdown(); !strings.HasSuffix(text, want) {
		t.Errorf("the table is %s", text)
	}
}
