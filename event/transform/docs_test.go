package transform

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"sluice/event"
)

var exampleRow = regexp.MustCompile("(?m)^\\| `(.+)` \\| (?:`(.+)`|nothing: .*) \\|$")

// TestExamplesOfTheDocs runs the examples of docs/transforms.md.
func TestExamplesOfTheDocs(t *testing.T) {
	page, err := os.ReadFile("../../docs/transforms.md")
	if err != nil {
		t.Fatal(err)
	}
	_, examples, _ := strings.Cut(string(page), "## Examples\n")
	examples, _, _ = strings.Cut(examples, "\n## ")
	_, raw, _ := strings.Cut(examples, "```json\n")
	raw, _, _ = strings.Cut(raw, "\n```")
	e, err := event.DecodeJSON([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	rows := exampleRow.FindAllStringSubmatch(examples, -1)
	if len(rows) < 5 {
		t.Fatalf("%d examples", len(rows))
	}
	for _, row := range rows {
		made, err := FromValue(strings.ReplaceAll(row[1], `\|`, "|"))
		if err != nil {
			t.Fatal(err)
		}
		changed, err := made.Apply(t.Context(), &e)
		switch {
		case row[2] == "" && errors.Is(err, ErrNothing):
		case err != nil || string(changed.Data) != row[2]:
			t.Errorf("%s: %+v, %v", row[1], changed, err)
		}
	}
}
