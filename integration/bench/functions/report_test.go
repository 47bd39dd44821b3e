package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestUpdateFile(t *testing.T) {
	b := &bench{command: "c", rows: []row{{"go", "the pool", &measurement{cold: []float64{30, 10, 20}, warm: []float64{.1, .2, .3, .4}, whole: time.Second}}}}
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("head\n"+begin+"old\n"+finish+"tail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.updateFile(path); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const want = "| go | the pool | 0.200 ms | 0.400 ms | 4 | 20.0 ms |\n" + finish + "tail\n"
	if text := string(got); !strings.HasPrefix(text, "head\n"+begin) || !strings.HasSuffix(text, want) || strings.Contains(text, "old\n") {
		t.Errorf("the page is %s", text)
	}
	if err := os.WriteFile(path, []byte("head\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.updateFile(path); err == nil || !strings.HasSuffix(err.Error(), `has no lines "<!-- functions: begin -->" and "<!-- functions: end -->" to write between`) {
		t.Errorf("without a place: %v", err)
	}
}
