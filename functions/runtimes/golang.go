package runtimes

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxCompilerLines of the compiler's output go into an error.
const maxCompilerLines = 30

func hasGoFiles(dir string) bool { return len(goFiles(dir)) > 0 }

func goFiles(dir string) []string {
	found, _ := filepath.Glob(filepath.Join(dir, "*.go"))
	return slices.DeleteFunc(found, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
}

// goProgram takes a folder with a package main.
func (s Source) goProgram() (Source, error) {
	files := goFiles(s.file)
	if len(files) == 0 {
		return Source{}, wrong("handler", "the folder %q has no Go files", s.options.Handler)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.PackageClauseOnly)
		if err == nil && parsed.Name.Name != "main" && parsed.Name.Name != "documentation" {
			return Source{}, wrong("handler", "%q is the package %s, and a function is a program: package main, which calls lambda.Start", s.options.Handler, parsed.Name.Name)
		}
	}
	tool, err := exec.LookPath("go")
	if err != nil {
		return Source{}, wrong("runtime", "go is not in PATH: install Go from https://go.dev/dl, or name the program that you have built elsewhere")
	}
	s.runtime, s.root, s.handler, s.tool = Go, s.file, "bootstrap", tool
	return s, nil
}

// build makes the program by `go build`, which leaves alone what has not
// changed and replaces a program that runs. Each folder has its place in the
// scratch folder.
func (s Source) build(ctx context.Context, p Program, scratch string) (Program, error) {
	key := sha256.Sum256([]byte(s.file))
	out := filepath.Join(scratch, "go-"+hex.EncodeToString(key[:6]))
	if err := os.MkdirAll(out, 0o755); err != nil {
		return Program{}, fmt.Errorf("make the folder of the Go program: %w", err)
	}
	program := filepath.Join(out, "bootstrap")
	if _, err := s.run(ctx, out, "build", "-buildvcs=false", "-tags", "lambda.norpc", "-o", program, "."); err != nil {
		return Program{}, err
	}
	// For workers that run as somebody else, whatever the umask says.
	for _, path := range []string{out, program} {
		if err := os.Chmod(path, 0o755); err != nil {
			return Program{}, fmt.Errorf("let workers run the Go program: %w", err)
		}
	}
	watch, err := s.goFolders(ctx, out)
	if err != nil {
		return Program{}, err
	}
	p.Command, p.Watch, p.Read = []string{program}, watch, []string{out}
	p.Env = map[string]string{"LAMBDA_RUNTIME_DIR": out}
	return p, nil
}

// goFolders are those of the program's packages outside of the module cache, and
// the files of its module.
func (s Source) goFolders(ctx context.Context, out string) ([]string, error) {
	const wanted = `{{if and .Module (not .Module.Version)}}{{.Dir}}{{"\n"}}{{.Module.GoMod}}{{"\n"}}{{else if not (or .Standard .Module)}}{{.Dir}}{{"\n"}}{{end}}`
	text, err := s.run(ctx, out, "list", "-deps", "-buildvcs=false", "-tags", "lambda.norpc", "-f", wanted, ".")
	if err != nil {
		return nil, err
	}
	found := slices.Sorted(strings.SplitSeq(strings.TrimSpace(text), "\n"))
	return slices.Compact(found), nil
}

// run runs the go command in the folder of the program. Its temporary files are
// beside the program, so that it puts that in place by renaming it.
func (s Source) run(ctx context.Context, tmp string, arguments ...string) (string, error) {
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.tool, arguments...)
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = s.file, &stderr, time.Second
	cmd.Env = append(goEnvironment(os.Environ(), filepath.Dir(tmp)), "GOTMPDIR="+tmp)
	answer, err := cmd.Output()
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("go %s: %w", arguments[0], ctx.Err())
	case err != nil:
		return "", wrong("handler", "%q does not compile:\n%s", s.options.Handler, s.placed(cmp.Or(strings.TrimSpace(stderr.String()), err.Error())))
	}
	return string(answer), nil
}

// goEnvironment is for programs of this machine, without C unless it is asked
// for. Without a home, Go's caches are in the scratch folder.
func goEnvironment(env []string, scratch string) []string {
	kept := slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains([]string{"GOOS", "GOARCH", "GOTMPDIR"}, name)
	})
	has := func(name string) bool {
		return slices.ContainsFunc(kept, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	}
	if !has("CGO_ENABLED") {
		kept = append(kept, "CGO_ENABLED=0")
	}
	if !has("HOME") {
		kept = append(kept, "GOCACHE="+filepath.Join(scratch, "go-build"), "GOPATH="+filepath.Join(scratch, "go-path"))
	}
	return kept
}

// placed makes the paths in the compiler's output those that the user knows.
func (s Source) placed(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "# ") {
			continue // the package's name
		}
		lines = append(lines, "  "+s.place(line))
	}
	if more := len(lines) - maxCompilerLines; more > 0 {
		lines = append(lines[:maxCompilerLines], fmt.Sprintf("  … and %d more lines", more))
	}
	return strings.Join(lines, "\n")
}

// place puts the folder of the package, as the configuration sees it, in front
// of a path that starts in it.
func (s Source) place(line string) string {
	name, rest, ok := strings.Cut(line, ":")
	if !ok || !strings.HasSuffix(name, ".go") || strings.ContainsAny(name, " \t") || filepath.IsAbs(name) {
		return line
	}
	return relativeTo(s.options.Dir, filepath.Join(s.file, name)) + ":" + rest
}
