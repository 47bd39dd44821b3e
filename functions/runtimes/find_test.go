package runtimes_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"sluice/functions/runtimes"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// write makes a file below a folder, with the folders above it; it is
// executable if it begins with #!.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	mode := os.FileMode(0o644)
	if strings.HasPrefix(text, "#!") {
		mode = 0o755
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

const script = "#!/bin/sh\n"

// project is a folder with one of everything.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"functions/thumb.mjs": "", "functions/both.js": "", "functions/both.mjs": "", "functions/two.cjs": "", "functions/two.py": "",
		"functions/app.py": "", "functions/a.b.py": "", "functions/pkg/__init__.py": "", "functions/pkg/deep.py": "",
		"functions/page.ts": "", "functions/notes.txt": "", "functions/script": "echo", "functions/only/app.py": "",
		"functions/go/main.go": "package main\n", "functions/go/main_test.go": "package main\n", "functions/lib/lib.go": "package lib\n",
		"functions/shell/bootstrap": script, "functions/run.sh": script, "functions/empty/x.txt": "",
		"functions/gone": "#!/nowhere/sh\n", "functions/windows": "#!/bin/sh\r\n", "functions/plain.sh": "#!/bin/sh\n",
		"node_modules/x/thumbnail.mjs": "",
	} {
		write(t, dir, name, text)
	}
	if err := os.Chmod(filepath.Join(dir, "functions/plain.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "functions/weird"), []byte("neither"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// tools puts programs of these names, and no others, into PATH. Each writes its
// text.
func tools(t *testing.T, texts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range texts {
		write(t, dir, name, script+"echo '"+text+"'\n")
	}
	t.Setenv("PATH", dir)
	return dir
}

func TestFind(t *testing.T) {
	dir := project(t)
	tools(t, map[string]string{"node": "", "python3": "", "go": ""})
	for _, c := range []struct{ handler, runtime, want string }{
		{"functions/thumb.mjs", "", runtimes.Node},
		{"./functions/thumb.mjs", runtimes.Node, runtimes.Node},
		{filepath.Join(dir, "functions/thumb.mjs"), "", runtimes.Node},
		{"functions/two.cjs", "", runtimes.Node},
		{"functions/thumb.handler", "", runtimes.Node},
		{"functions/thumb.api.get", "", runtimes.Node},
		{"functions/both.handler", "", runtimes.Node},
		{"functions/two.run", runtimes.Python, runtimes.Python},
		{"functions/two.run", runtimes.Node, runtimes.Node},
		{"functions/app.py", "", runtimes.Python},
		{"functions/app.run", "", runtimes.Python},
		{"functions.app.run", "", runtimes.Python},
		{"functions/pkg.run", "", runtimes.Python},
		{"functions/pkg.deep.run", "", runtimes.Python},
		{"functions/go", "", runtimes.Go},
		{"functions/go/", runtimes.Go, runtimes.Go},
		{"functions/shell", "", runtimes.Custom},
		{"functions/shell/bootstrap", runtimes.Custom, runtimes.Custom},
		{"functions/shell/thumb.handler", runtimes.Custom, runtimes.Custom},
		{"functions/run.sh", "", runtimes.Custom},
	} {
		s, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: c.handler, Runtime: c.runtime})
		if err != nil || s.Runtime() != c.want {
			t.Errorf("%s: %q, %v; not %s", c.handler, s.Runtime(), err, c.want)
		}
		if concurrent := c.want == runtimes.Go || c.want == runtimes.Custom; err == nil && s.Concurrent() != concurrent {
			t.Errorf("%s: concurrent: %v", c.handler, s.Concurrent())
		}
	}
}

func TestFindNothing(t *testing.T) {
	dir := project(t)
	tools(t, map[string]string{"node": "", "python3": "", "go": ""})
	for _, c := range []struct{ handler, runtime, want string }{
		{"", "", `handler: it is empty: write the path of a file, such as functions/thumbnail.mjs`},
		{"functions/thunb.mjs", "", `handler: there is no file "functions/thunb.mjs"; did you mean "functions/thumb.mjs"?`},
		{"function/thumb.mjs", "", `handler: there is no file "function/thumb.mjs"; did you mean "functions/thumb.mjs"?`},
		{"functions/thumb.js", "", `handler: there is no file "functions/thumb.js"; did you mean "functions/thumb.mjs"?`},
		{"functions/thum.run", "", `handler: there is no file "functions/thum.run"; did you mean "functions/thumb.run"?`},
		{"lambda/something/else.mjs", "", `handler: there is no file "lambda/something/else.mjs"`},
		{"functions/thumb", "", `handler: there is no file "functions/thumb"; did you mean "functions/thumb.mjs"?`},
		{"functions/two.handler", "", `runtime: "functions/two.handler" may be two.cjs or two.py: write node or python`},
		{"functions/thumb.mjs", "nodejs20.x", `runtime: no runtime "nodejs20.x": write node, python, go or custom; the version is the one of what is installed; did you mean "node"?`},
		{"functions/thumb.mjs", "ruby", `runtime: no runtime "ruby": write node, python, go or custom`},
		{"functions/app.py", "node", `runtime: "functions/app.py" is a file for python, not for node`},
		{"functions/a.b.py", "", `handler: Python cannot load "functions/a.b.py": its name has a dot`},
		{"functions/page.ts", "", `handler: "functions/page.ts" has to be made JavaScript first: sluice runs .mjs, .js, .cjs and .py files, Go programs and executables`},
		{"functions/notes.txt", "node", `handler: "functions/notes.txt" is no file for node: its name ends with .mjs, .js or .cjs`},
		{"functions/notes.txt", "", "handler: \"functions/notes.txt\" is not executable: run `chmod +x functions/notes.txt`"},
		{"functions/plain.sh", "", "handler: \"functions/plain.sh\" is not executable: run `chmod +x functions/plain.sh`"},
		{"functions/go/main.go", "", `handler: "functions/go/main.go" is a file of a Go program: name its folder; did you mean "functions/go"?`},
		{"functions/run.sh", "go", `handler: "functions/run.sh" is a file: name the folder of a Go program, or leave out the runtime for one that is built already`},
		{"functions/lib", "", `handler: "functions/lib" is the package lib, and a function is a program: package main, which calls lambda.Start`},
		{"functions/empty", "go", `handler: the folder "functions/empty" has no Go files`},
		{"functions/empty", "", `handler: "functions/empty" is a folder with no Go program and no bootstrap in it: name a file`},
		{"functions/only", "", `handler: "functions/only" is a folder with no Go program and no bootstrap in it: name a file; did you mean "functions/only/app.py"?`},
		{"functions/only", "python", `handler: "functions/only" is a folder: name a file in it; did you mean "functions/only/app.py"?`},
		{"functions/empty/thumb.handler", "custom", `handler: there is no file "functions/empty/thumb.handler", nor "functions/empty/bootstrap", which would take it as _HANDLER`},
		{"functions/gone", "", `handler: the first line of "functions/gone" names the interpreter "/nowhere/sh", which isn't there`},
		{"functions/windows", "", `handler: the first line of "functions/windows" ends as lines of Windows do: save it with the line ends of Unix`},
		{"functions/weird", "", `handler: "functions/weird" is neither a program for Linux nor a script: the first line of a script is #! and its interpreter, such as #!/bin/sh`},
	} {
		_, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: c.handler, Runtime: c.runtime})
		if err == nil || err.Error() != c.want {
			t.Errorf("%q %s\n got %v\nwant %s", c.handler, c.runtime, err, c.want)
		}
		if _, ok := errors.AsType[*runtimes.Error](err); !ok {
			t.Errorf("%q: %T", c.handler, err)
		}
	}
}

func TestFindInterpreter(t *testing.T) {
	dir := project(t)
	tools(t, nil)
	for handler, want := range map[string]string{
		"functions/thumb.mjs": "runtime: node is not in PATH: install Node 18 or newer, from https://nodejs.org or with `apt install nodejs`",
		"functions/app.py":    "runtime: python3 is not in PATH: install Python 3.9 or newer, from https://www.python.org or with `apt install python3`",
		"functions/go":        "runtime: go is not in PATH: install Go from https://go.dev/dl, or name the program that you have built elsewhere",
	} {
		if _, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: handler}); err == nil || err.Error() != want {
			t.Errorf("%s\n got %v\nwant %s", handler, err, want)
		}
	}
	tools(t, map[string]string{"python": ""})
	if _, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: "functions/app.py"}); err != nil {
		t.Errorf("python without 3: %v", err)
	}
}

func TestProgram(t *testing.T) {
	dir := project(t)
	node, python := write(t, dir, "real/node", script), write(t, dir, "real/python3", script)
	tools(t, map[string]string{
		"node":    `{"path":"` + node + `","version":"18.0.0","prefixes":["/n"]}`,
		"python3": `{"path":"` + python + `","version":"3.9.1","prefixes":["/p","/p"]}`,
	})
	for _, c := range []struct{ handler, command, root, task string }{
		{"functions/thumb.mjs", node + " --max-old-space-size=115 --max-semi-space-size=6 S/main.mjs D/functions/thumb.mjs handler", "functions", "thumb.handler"},
		{"functions/thumb.api.get", node + " --max-old-space-size=115 --max-semi-space-size=6 S/main.mjs D/functions/thumb.mjs api.get", ".", "functions/thumb.api.get"},
		{"functions/app.py", python + " S/main.py app handler,lambda_handler D/functions", "functions", "app.handler"},
		{"functions/app.run", python + " S/main.py functions/app run D D/functions", ".", "functions/app.run"},
		{"functions.pkg.deep.run", python + " S/main.py functions/pkg/deep run D D/functions/pkg", ".", "functions.pkg.deep.run"},
		{"functions/shell/bootstrap", "D/functions/shell/bootstrap", "functions/shell", "bootstrap"},
	} {
		scratch := filepath.Join(t.TempDir(), "new")
		s, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: c.handler, Memory: 128 << 20})
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Program(t.Context(), scratch)
		if err != nil {
			t.Fatal(err)
		}
		bootstrap := p.Env["LAMBDA_RUNTIME_DIR"]
		command := strings.ReplaceAll(strings.ReplaceAll(strings.Join(p.Command, " "), bootstrap+"/main", "S/main"), dir, "D")
		if command != strings.ReplaceAll(c.command, dir, "D") || p.Dir != filepath.Join(dir, c.root) || p.Handler != c.task {
			t.Errorf("%s\n got %s in %s for %s\nwant %s in %s for %s", c.handler, command, p.Dir, p.Handler, c.command, c.root, c.task)
		}
		if p.Runtime != runtimes.Custom && !slices.Contains(p.Read, bootstrap) {
			t.Errorf("%s: %v lacks %s", c.handler, p.Read, bootstrap)
		}
	}
}

// A bootstrap is there for other users, and what is damaged is mended.
func TestBootstrapIsWritten(t *testing.T) {
	dir, scratch := project(t), t.TempDir()
	node := write(t, dir, "real/node", script)
	tools(t, map[string]string{"node": `{"path":"` + node + `","version":"22.1.0"}`})
	s, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: "functions/thumb.mjs"})
	if err != nil {
		t.Fatal(err)
	}
	var main string
	for range 2 {
		p, err := s.Program(t.Context(), scratch)
		if err != nil {
			t.Fatal(err)
		}
		main = p.Command[1]
		text, err := os.ReadFile(main)
		info, statErr := os.Stat(main)
		if err != nil || statErr != nil || len(text) < 1000 || info.Mode() != 0o644 {
			t.Fatalf("%s has %d bytes and the mode %v: %v, %v", main, len(text), info.Mode(), err, statErr)
		}
		if err := os.WriteFile(main, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(main), ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestInterpreterThatDoesNotDo(t *testing.T) {
	dir := project(t)
	for _, c := range []struct{ handler, tool, answer, want string }{
		{"functions/thumb.mjs", "node", `{"path":"/bin/sh","version":"16.20.2"}`, "runtime: T/node is node 16.20.2, which is too old: install node 18.0 or newer"},
		{"functions/app.py", "python3", `{"path":"/bin/sh","version":"3.8.10"}`, "runtime: T/python3 is Python 3.8.10, which is too old: install Python 3.9 or newer"},
		{"functions/app.py", "python", `{"path":"/bin/sh","version":"2.7.18"}`, "runtime: T/python is Python 2.7.18, which is too old: install Python 3.9 or newer"},
		{"functions/app.py", "python3", `what?`, `runtime: T/python3 is no Python: it has answered "what?"`},
		{"functions/app.py", "python3", "'; echo shim: no version >&2; exit 1; : '", "runtime: T/python3 does not run: shim: no version"},
	} {
		path := tools(t, map[string]string{c.tool: c.answer})
		s, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: c.handler})
		if err == nil {
			_, err = s.Program(t.Context(), t.TempDir())
		}
		if err == nil || strings.ReplaceAll(err.Error(), path, "T") != c.want {
			t.Errorf("\n got %v\nwant %s", err, c.want)
		}
	}
}

// A virtual environment beside the file, or above it, is taken.
func TestVirtualEnvironment(t *testing.T) {
	dir := project(t)
	tools(t, map[string]string{"python3": ""})
	inside := write(t, dir, ".venv/bin/python3", script+`echo '{"path":"`+dir+`/.venv/bin/python3","version":"3.12.0"}'`+"\n")
	s, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: "functions/app.py"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Program(t.Context(), t.TempDir())
	if err != nil || p.Command[0] != inside {
		t.Errorf("%v, %v; not %s", p.Command, err, inside)
	}
}

func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "thumb.mjs", "1")
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
		write(t, dir, step.name, "changed")
		next := p.Fingerprint()
		if (next != last) != step.changes {
			t.Errorf("%s: the fingerprint went from %s to %s", step.name, last, next)
		}
		last = next
	}
	for i := range 1001 {
		write(t, dir, fmt.Sprintf("uploads/%d.json", i), "")
	}
	last = p.Fingerprint()
	write(t, dir, "uploads/more.json", "")
	if p.Fingerprint() != last {
		t.Error("a folder of data is watched")
	}
	write(t, dir, "lib/new.js", "and again")
	if p.Fingerprint() == last {
		t.Error("beside a folder of data, nothing is watched")
	}
}
