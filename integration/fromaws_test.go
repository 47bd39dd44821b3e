//go:build integration

package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/integration/debian"
	"sluice/integration/harness"
)

// The function and the file of the page "From AWS to sluice" are right as they
// stand there.
func TestFromAWSPage(t *testing.T) {
	debian.Python(t)
	page, err := os.ReadFile("../docs/from-aws.md")
	if err != nil {
		t.Fatal(err)
	}
	handler := fenced(t, string(page), "```python\n", "def handler(event, context):")
	file := fenced(t, string(page), "```yaml\n", "functions:\n")
	s := harness.New(t, program, file)
	folder := filepath.Dir(s.File)
	if err := os.MkdirAll(filepath.Join(folder, "thumbs"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "thumbs", "app.py"), []byte(handler), 0o600); err != nil {
		t.Fatal(err)
	}
	said := s.Command("validate", "-c", s.File)
	if said.Code != 0 || !strings.Contains(said.Out, "is valid: 1 source, 1 trigger, 1 function") {
		t.Errorf("exit code %d: %s%s", said.Code, said.Out, said.Err)
	}
	if out, err := exec.CommandContext(t.Context(), "python3", "-m", "py_compile", filepath.Join(folder, "thumbs", "app.py")).CombinedOutput(); err != nil {
		t.Errorf("the handler: %v: %s", err, out)
	}
}

// fenced returns the first block that begins so and contains a text.
func fenced(t *testing.T, page, begin, contains string) string {
	t.Helper()
	for _, rest := range strings.Split(page, begin)[1:] {
		if block, _, _ := strings.Cut(rest, "```"); strings.Contains(block, contains) {
			return block
		}
	}
	t.Fatalf("there is no block %q with %q", begin, contains)
	return ""
}
