//go:build integration

package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadmeCommands asks the program whether it knows every command that the
// documentation shows, with its flags. What they do is shown by the example's
// own test.
func TestReadmeCommands(t *testing.T) {
	var files []string
	for _, pattern := range []string{"../docs/*.md", "../docs/*/*.md"} {
		some, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, some...)
	}
	checked := 0
	for _, file := range append(files, "../README.md") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if command, found := strings.CutPrefix(strings.TrimSpace(line), "$ sluice "); found {
				knows(t, file, command)
				checked++
			}
		}
	}
	if checked < 5 {
		t.Errorf("only %d commands were found: do they still stand in lines that begin with $ sluice?", checked)
	}
	t.Logf("%d commands", checked)
}

// knows asks for the help of a command line, which is answered only when the
// command and its flags are known. The words after a pipe or a comment are not
// sluice's.
func knows(t *testing.T, file, command string) {
	t.Helper()
	command, _, _ = strings.Cut(command, " #")
	command, _, _ = strings.Cut(command, " |")
	command, _, _ = strings.Cut(command, " <")
	shell := exec.CommandContext(t.Context(), "sh", "-c", `exec "$0" `+command+" --help", program.Path(t))
	if output, err := shell.CombinedOutput(); err != nil {
		t.Errorf("%s: sluice %s: %v\n%s", file, command, err, output)
	}
}
