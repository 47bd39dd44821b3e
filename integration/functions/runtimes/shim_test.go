//go:build integration

package runtimes_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"sluice/functions/runtimes"
	"sluice/integration/debian"
)

// What PATH has may be a shim that needs an environment of its own, as those of
// pyenv and of version managers of Node; workers get the interpreter itself.
func TestShim(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	dir := t.TempDir()
	files := map[string]string{"f.mjs": "export const handler = async () => 'node'", "f.py": "def handler(event, context): return 'python'\n"}
	for _, tool := range []string{"node", "python3"} {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Fatal(err)
		}
		files["shims/"+tool] = "#!/bin/sh\ntest -n \"$MANAGER_ROOT\" || { echo 'shim: no MANAGER_ROOT' >&2; exit 1; }\nexec " + path + " \"$@\"\n"
	}
	writeFiles(t, dir, files)
	t.Setenv("PATH", filepath.Join(dir, "shims")+string(os.PathListSeparator)+os.Getenv("PATH"))
	t.Setenv("MANAGER_ROOT", dir)
	for handler, want := range map[string]string{"f.mjs": `"node"`, "f.py": `"python"`} {
		w := startIn(t, runtimes.Options{Dir: dir, Handler: handler}, nil)
		if o := w.invoke(`{}`); o.String() != want {
			t.Errorf("%s: %s", handler, o)
		}
	}
}

// The interpreter of a virtual environment finds its packages.
func TestVirtualEnvironment(t *testing.T) {
	debian.Need(t, "python3 -m venv --help", "python3-venv")
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "python3", "-m", "venv", "--without-pip", filepath.Join(dir, ".venv")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	packages, err := filepath.Glob(filepath.Join(dir, ".venv/lib/python3*/site-packages"))
	if err != nil || len(packages) != 1 {
		t.Fatal(packages, err)
	}
	writeFiles(t, packages[0], map[string]string{"installed.py": "x = 'from the environment'\n"})
	writeFiles(t, dir, map[string]string{"functions/f.py": "import installed\ndef handler(event, context): return installed.x\n"})
	w := startIn(t, runtimes.Options{Dir: dir, Handler: "functions/f.py"}, nil)
	if o := w.invoke(`{}`); o.String() != `"from the environment"` {
		t.Errorf("%s; the worker has written:\n%s", o, w.logs())
	}
}
