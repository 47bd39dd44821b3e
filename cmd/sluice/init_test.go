package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// installed puts programs of these names, and no others, into PATH.
func installed(t *testing.T, names ...string) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
}

// filesIn are all below dir, by name.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestInit(t *testing.T) {
	installed(t, "node", "python3", "go", "curl")
	for name, files := range map[string][]string{
		"node":   {".gitignore", "README.md", "functions/hello.mjs", "sluice.yaml"},
		"python": {".gitignore", "README.md", "functions/hello.py", "sluice.yaml"},
		"go":     {".gitignore", "README.md", "functions/hello/go.mod", "functions/hello/go.sum", "functions/hello/main.go", "sluice.yaml"},
		"custom": {".gitignore", "README.md", "functions/hello/bootstrap", "sluice.yaml"},
	} {
		dir := filepath.Join(t.TempDir(), "new", "project")
		got := sluice(t, nil, "init", dir, "--template", name)
		if got.code != exitOK || got.stderr != "" || !strings.HasSuffix(got.stdout, "A project with a function for "+name+". Run it:\n\n  cd "+dir+
			" && sluice dev\n\nThen, in another terminal:\n\n  cd "+dir+" && sluice send greetings --type greeting --data '{\"name\":\"Ada\"}' --wait\n") {
			t.Errorf("%s: %+v", name, got)
		}
		if found := filesIn(t, dir); !slices.Equal(found, files) {
			t.Errorf("%s: wrote %v, not %v", name, found, files)
		}
		config := filepath.Join(dir, "sluice.yaml")
		if got := sluice(t, nil, "validate", "-c", config); got.code != exitOK || got.stdout != config+" is valid: 2 sources, 1 trigger, 1 function\n" {
			t.Errorf("%s: validate: %+v", name, got)
		}
		if got := sluice(t, nil, "test", "-c", config); got.code != exitOK {
			t.Errorf("%s: test: %+v", name, got)
		}
	}
}

func TestInitChooses(t *testing.T) {
	for _, c := range []struct {
		installed, want string
	}{{"node python3 go curl", "node"}, {"python3 curl", "python"}, {"go", "go"}, {"curl", "custom"}} {
		installed(t, strings.Fields(c.installed)...)
		if got := sluice(t, nil, "init", filepath.Join(t.TempDir(), "x")); got.code != exitOK || !strings.Contains(got.stdout, "a function for "+c.want+". Run it") {
			t.Errorf("with %s: %+v", c.installed, got)
		}
	}
	installed(t)
	if got := sluice(t, nil, "init", filepath.Join(t.TempDir(), "x")); got.code != exitFailure || got.stderr != "sluice: neither node, python3, go nor curl is installed here: name a --template all the same\n" {
		t.Errorf("%+v", got)
	}
	if got := sluice(t, nil, "init", filepath.Join(t.TempDir(), "x"), "-t", "python"); got.code != exitOK || !strings.Contains(got.stdout, "It needs Python 3.9 or newer, and python3 is not in PATH.") {
		t.Errorf("%+v", got)
	}
}

func TestInitOverwritesNothing(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"README.md", ".gitignore"} {
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := sluice(t, nil, "init", "-t", "custom")
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "  .gitignore  was there, and is left as it is\n  README.md  was there, and is left as it is\n  functions/hello/bootstrap\n  sluice.yaml\n") ||
		!strings.Contains(got.stdout, "\n  sluice dev\n") {
		t.Errorf("%+v", got)
	}
	if text, err := os.ReadFile("README.md"); err != nil || string(text) != "mine" {
		t.Errorf("README.md is %q, %v", text, err)
	}
	if err := os.Remove("sluice.yaml"); err != nil {
		t.Fatal(err)
	}
	got = sluice(t, nil, "init", "-t", "custom")
	if want := "sluice: nothing was written, because functions/hello/bootstrap is there already: name another folder, such as `sluice init hello`\n"; got.code != exitFailure || got.stderr != want {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat("sluice.yaml"); err == nil {
		t.Error("sluice.yaml was written all the same")
	}
}

func TestInitUsage(t *testing.T) {
	for line, want := range map[string]string{
		"init -t ruby x": "sluice: --template \"ruby\": it is node, python, go or custom\n",
		"init a b":       "sluice: 2 arguments: sluice init takes one folder\nSee 'sluice init --help'.\n",
	} {
		if got := sluice(t, nil, strings.Fields(line)...); got.code != exitUsage || got.stderr != want {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
