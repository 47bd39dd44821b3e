package runtimes_test

import (
	"os"
	"path/filepath"
	"testing"

	"sluice/functions/runtimes"
)

// write makes a file below a folder, with the folders above it.
func write(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCustomProgram(t *testing.T) {
	dir := t.TempDir()
	bootstrap := write(t, dir, "thumb/bootstrap", "#!/bin/sh\n", 0o755)
	for _, handler := range []string{"thumb", "./thumb", "thumb/bootstrap", bootstrap} {
		source, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: handler})
		if err != nil {
			t.Fatalf("%s: %v", handler, err)
		}
		p, err := source.Program(t.Context(), t.TempDir())
		if err != nil {
			t.Fatalf("%s: %v", handler, err)
		}
		if p.Runtime != runtimes.Custom || len(p.Command) != 1 || p.Command[0] != bootstrap || p.Dir != filepath.Dir(bootstrap) || p.Handler != "bootstrap" {
			t.Errorf("%s: %+v", handler, p)
		}
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "thumb.mjs", "1", 0o644)
	p := runtimes.Program{Watch: []string{dir}}
	last := p.Fingerprint()
	for _, step := range []struct {
		name    string
		changes bool
	}{
		{"thumb.mjs", true},
		{"lib/new.js", true},
		{"data/store.blk", false},
		{"node_modules/x/index.js", false},
		{".cache/x.js", false},
	} {
		write(t, dir, step.name, "changed", 0o644)
		next := p.Fingerprint()
		if (next != last) != step.changes {
			t.Errorf("%s: the fingerprint went from %s to %s", step.name, last, next)
		}
		last = next
	}
}
