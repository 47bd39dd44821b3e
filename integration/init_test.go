//go:build integration

package integration_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"sluice/integration/debian"
	"sluice/integration/freeport"
)

// TestInit writes the project of each template, and does what its README says:
// its tests pass, and the function takes what is sent.
func TestInit(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	debian.Curl(t)
	for _, name := range []string{"node", "python", "go", "custom"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hello")
			command(t, ".", "init", dir, "--template", name)
			command(t, dir, "test")
			example := filepath.Join(dir, "event.json")
			if err := os.WriteFile(example, []byte(`{"detail":{"name":"Ada"}}`), 0o600); err != nil {
				t.Fatal(err)
			}
			command(t, dir, "invoke", "hello", "--event", example)
			admin := onFreePorts(t, filepath.Join(dir, "sluice.yaml"))
			runs(t, dir)
			command(t, dir, "ready", "--wait", "30s", "--server", admin)
			for range 2 {
				out := command(t, dir, "send", "greetings", "--type", "greeting", "--data", `{"name":"Ada"}`, "--wait", "--server", admin)
				if !strings.Contains(out, "✓ say-hello  delivered") {
					t.Error(out)
				}
			}
		})
	}
}

// command runs sluice to its end in a folder, and returns what it has printed.
func command(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program.Path(t), args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("sluice %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// onFreePorts lets the file's installation listen where nobody else does, and
// returns the URL of the admin listener.
func onFreePorts(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ingest, admin := freeport.Address(t), freeport.Address(t)
	text = append([]byte("ingest: {listen: \""+ingest+"\"}\nadmin: {listen: \""+admin+"\"}\n"), text...)
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return "http://" + admin
}

// runs starts `sluice up` in a folder; it has to end well with the test.
func runs(t *testing.T, dir string) {
	t.Helper()
	log := &strings.Builder{}
	cmd := exec.Command(program.Path(t), "up") //nolint:noctx // it is interrupted at the end
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil || t.Failed() {
			t.Errorf("sluice up: %v\n%s", err, log)
		}
	})
}
