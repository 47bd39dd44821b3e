//go:build integration

package runtimes_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/functions/runtimes"
)

// goRuntime is a client of the Runtime API without dependencies, so that it
// builds anywhere; that of the service is tested by the examples.
const goRuntime = `package main

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/"
	for {
		next, err := http.Get(base + "invocation/next")
		if err != nil {
			return
		}
		body, _ := io.ReadAll(next.Body)
		id := next.Header.Get("Lambda-Runtime-Aws-Request-Id")
		kind, answer := "response", handle(body)
		if strings.HasPrefix(string(answer), "{\"errorType\"") {
			kind = "error"
		}
		done, err := http.Post(base+"invocation/"+id+"/"+kind, "application/json", bytes.NewReader(answer))
		if err != nil {
			return
		}
		done.Body.Close()
	}
}
`

const goModule = "module functions\n\ngo 1.24\n"

func goProgram(handle string) map[string]string {
	return map[string]string{"go.mod": goModule, "thumb/main.go": goRuntime, "thumb/handle.go": handle}
}

func TestGoProgram(t *testing.T) {
	t.Setenv("GOOS", "plan9") // for a deployment elsewhere
	t.Setenv("GOFLAGS", "-mod=mod")
	files := goProgram("package main\n\nimport \"functions/lib\"\n\nfunc handle(in []byte) []byte { return append([]byte(lib.Prefix), in...) }\n")
	files["lib/lib.go"] = "package lib\n\nconst Prefix = `1`\n"
	dir := t.TempDir()
	writeFiles(t, dir, files)
	options := runtimes.Options{Dir: dir, Handler: "./thumb"}
	first := build(t, options)
	w := run(t, first, nil)
	if o := w.invoke("2"); o.String() != "12" {
		t.Fatal(o)
	}
	want := []string{filepath.Join(dir, "go.mod"), filepath.Join(dir, "lib"), filepath.Join(dir, "thumb")}
	if !slices.Equal(first.Watch, want) || first.Dir != filepath.Join(dir, "thumb") {
		t.Errorf("%v is watched, %s is the working folder", first.Watch, first.Dir)
	}
	before := stat(t, first)
	if build(t, options); !os.SameFile(before, stat(t, first)) {
		t.Error("what has not changed was linked again")
	}

	print := first.Fingerprint()
	writeFiles(t, dir, map[string]string{"lib/lib.go": "package lib\n\nconst Prefix = `changed `\n"})
	if first.Fingerprint() == print {
		t.Error("the change of a package is not seen")
	}
	second := build(t, options)
	if second.Command[0] != first.Command[0] || os.SameFile(before, stat(t, second)) {
		t.Errorf("%s was replaced by %s", first.Command[0], second.Command[0])
	}
	if o := run(t, second, nil).invoke("2"); o.String() != "changed 2" {
		t.Error(o)
	}
	if o := w.invoke("3"); o.String() != "13" {
		t.Errorf("the worker that was there: %s", o)
	}
}

func build(t *testing.T, options runtimes.Options) runtimes.Program {
	t.Helper()
	source, err := runtimes.Find(options)
	if err != nil {
		t.Fatal(err)
	}
	p, err := source.Program(t.Context(), filepath.Join(options.Dir, "scratch"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func stat(t *testing.T, p runtimes.Program) os.FileInfo {
	t.Helper()
	info, err := os.Stat(p.Command[0])
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestGoErrors(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string
	}{
		{"compiler", goProgram("package main\n\nfunc handle(in []byte) []byte { return nothing + more }\n"), []string{
			`handler: "./thumb" does not compile:`, "\n  thumb/handle.go:3:40: undefined: nothing", "\n  thumb/handle.go:3:50: undefined: more",
		}},
		{"another package", func() map[string]string {
			files := goProgram("package main\n\nimport \"functions/lib\"\n\nfunc handle(in []byte) []byte { return lib.X }\n")
			files["lib/lib.go"] = "package lib\n\nvar X []byte = 7\n"
			return files
		}(), []string{"\n  lib/lib.go:3:16: cannot use 7"}},
		{"syntax", goProgram("package main\n\nfunc handle( {\n"), []string{"\n  thumb/handle.go:3:14: syntax error"}},
		{"no module", map[string]string{"thumb/main.go": goRuntime}, []string{"go.mod file not found in current directory or any parent directory"}},
		{"a missing package", goProgram("package main\n\nimport \"example.com/nothing\"\n\nfunc handle(in []byte) []byte { return nothing.X }\n"), []string{"thumb/handle.go:3:8: no required module provides package example.com/nothing"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, c.files)
			source, err := runtimes.Find(runtimes.Options{Dir: dir, Handler: "./thumb"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = source.Program(t.Context(), filepath.Join(dir, "scratch"))
			wrong, ok := errors.AsType[*runtimes.Error](err)
			if !ok {
				t.Fatalf("%T %v", err, err)
			}
			for _, part := range c.want {
				if !strings.Contains(wrong.Error(), part) {
					t.Errorf("no %q in:\n%s", part, wrong)
				}
			}
			if strings.Contains(wrong.Error(), "\n  # ") {
				t.Errorf("a package's name is left in:\n%s", wrong)
			}
		})
	}
}
