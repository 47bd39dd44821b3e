package main

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/examples/internal/exampletest"
)

// TestTheStory does what the README tells to do.
func TestTheStory(t *testing.T) {
	s := exampletest.Raise(t)
	send := func(body string) {
		s.Ask(http.StatusAccepted, http.MethodPost, s.Ingest+"/orders", strings.NewReader(body), "Content-Type", "application/json")
	}
	send(order)
	for _, want := range []string{
		`worker: /bill gets {"order":"7/a","total":143}`,
		`worker: /orders/7%2Fa/pack gets {"customer":"Ada","lines":[{"price":3,"sku":"cup"},{"price":140,"sku":"pot"}],"order":"7/a"} for Ada`,
		`worker: /mail gets Thank you, Ada!`,
		`worker: /praise gets {"customer":"Ada","total":143}`,
		`worker: /keep gets ` + order,
	} {
		s.Await(want)
	}
	send(small)
	s.Await(`worker: /bill gets {"order":"8","total":3}`)
	s.Await("→ praise  ✗ discarded  filtered")
	send(broken)
	s.Await(`worker: /keep gets ` + broken)
	s.Await("→ bill  ✗ dead: sluice dlq show ")
	s.Await("→ praise  ✗ dead: sluice dlq show ")
	s.Sluice("2 letters, of which 2 can be replayed", "dlq", "list", "--group", "trigger")
	s.Sluice("in `.price` of .data.lines[0]: expected an object but got: string", "dlq", "list", "--trigger", "bill", "-o", "json")
	s.Sluice("1 test, 1 passed, 0 failed", "test", "-c", "sluice.yaml")
	s.Sluice("2 tests, 2 passed, 0 failed", "test", "-c", mended(t))
	s.SluiceEventually("\nconserved: 3 events checked", "audit")
}

// mended returns a file with the transform of bill as the comment in sluice.yaml
// says, and a test of what it then makes of the broken order.
func mended(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const bill = "total: ([.data.lines[] | .price] | add)}'"
	if !strings.Contains(string(text), bill) {
		t.Fatal("the transform of bill is another one")
	}
	whole := strings.Replace(string(text), bill, strings.Replace(bill, ".price", "(.price? // 0)", 1), 1) +
		"  - event: {source: shop, type: order.created, data: " + broken + "}\n    triggers: [bill, pack, thank, praise, keep]\n    payloads: {bill: {order: \"9\", total: 0}}\n"
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
