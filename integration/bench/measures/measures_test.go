package measures_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/integration/bench/measures"
)

// TestUpdate shows that each program writes its rows and leaves those of others.
func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("head\n<!-- measures: begin -->\n<!-- measures: end -->\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []measures.Row{
		{What: measures.Idle, Figure: "20 MB", Reached: true, Command: "a"},
		{What: measures.Start, Figure: "1 s", Command: "b"},
		{What: measures.Idle, Figure: "60 MB", Command: "c"},
	} {
		if err := measures.Update(path, []measures.Row{row}); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"head\n", "\ntail\n",
		"| first start, embedded | ready in 0.2 s | 1 s | **no** | `b` |\n| start after",
		"| idle | 50 MB resident, under 1 % of a processor | 60 MB | **no** | `c` |\n",
		"| the same beside Bento | 4 x Bento |  |  |  |\n",
	} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}
