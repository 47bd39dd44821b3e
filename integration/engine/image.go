//go:build integration && linux

package engine

import (
	"archive/tar"
	"bytes"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Build compiles a Go program without anything that an image would have to have.
func Build(tb testing.TB, dir string) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "program")
	command := exec.CommandContext(tb.Context(), "go", "build", "-o", path, ".")
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		tb.Fatalf("go build: %v\n%s", err, output)
	}
	return path
}

// Image makes an image of one program, which is its entrypoint, with changes in
// the words of a Dockerfile: "ENV A=b".
func (e *Engine) Image(name, program string, changes ...string) {
	e.tb.Helper()
	query := url.Values{"fromSrc": {"-"}, "repo": {name}, "changes": append([]string{`ENTRYPOINT ["/bootstrap"]`}, changes...)}
	if status := e.Do("POST", "/images/create?"+query.Encode(), layer(e.tb, program), nil); status != 200 {
		e.tb.Fatalf("the image was not made: %d", status)
	}
}

func layer(tb testing.TB, program string) *bytes.Buffer {
	tb.Helper()
	code, err := os.ReadFile(program)
	if err != nil {
		tb.Fatal(err)
	}
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	err = w.WriteHeader(&tar.Header{Name: "bootstrap", Mode: 0o755, Size: int64(len(code)), Typeflag: tar.TypeReg})
	if err == nil {
		_, err = w.Write(code)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		tb.Fatal(err)
	}
	return &buffer
}

// Containers are the names of all that there are, running or not.
func (e *Engine) Containers() []string {
	e.tb.Helper()
	var list []struct{ Names []string }
	e.Do("GET", "/containers/json?all=1", nil, &list)
	var all []string
	for _, c := range list {
		all = append(all, c.Names...)
	}
	return all
}
