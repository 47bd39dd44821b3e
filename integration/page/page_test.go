package page_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/integration/page"
)

func TestUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(path, []byte("head\n<!-- a: begin -->\nold\n<!-- a: end -->\ntail\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		changed, err := page.Update(path, "a", "new\n")
		if err != nil || changed != want {
			t.Fatalf("%v, %v", changed, err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := "head\n<!-- a: begin -->\nnew\n<!-- a: end -->\ntail\n"; string(got) != want {
		t.Errorf("the page is %q", got)
	}
	const want = `has no lines "<!-- b: begin -->" and "<!-- b: end -->" to write between`
	if _, err := page.Update(path, "b", "x\n"); err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("without a place: %v", err)
	}
}
