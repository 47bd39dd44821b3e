package runtimes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The oldest versions that the bootstraps are for: major and minor.
var (
	oldestNode   = [2]int{18, 0}
	oldestPython = [2]int{3, 9}
)

// askTimeout is for an interpreter to say who it is.
const askTimeout = 20 * time.Second

// An interpreter is what one says of itself.
type interpreter struct {
	Path     string   `json:"path"`
	Version  string   `json:"version"`
	Prefixes []string `json:"prefixes"`
}

const (
	askNode   = `JSON.stringify({path: process.execPath, version: process.versions.node, prefixes: [require("path").dirname(process.execPath)]})`
	askPython = `import json, sys; print(json.dumps({"path": sys.executable, "version": "%d.%d.%d" % sys.version_info[:3], "prefixes": [sys.prefix, getattr(sys, "base_prefix", sys.prefix)]}))`
)

// interpreter finds the runtime's in PATH, for Python first in a virtual
// environment beside the file or above it.
func (s Source) interpreter() (string, error) {
	if s.runtime == Node {
		if path, err := exec.LookPath("node"); err == nil {
			return path, nil
		}
		return "", wrong("runtime", "node is not in PATH: install Node %d or newer, from https://nodejs.org or with `apt install nodejs`", oldestNode[0])
	}
	for _, dir := range s.above() {
		for _, name := range []string{".venv", "venv"} {
			if path := filepath.Join(dir, name, "bin", "python3"); isFile(path) {
				return path, nil
			}
		}
	}
	for _, name := range []string{"python3", "python"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", wrong("runtime", "python3 is not in PATH: install Python %d.%d or newer, from https://www.python.org or with `apt install python3`", oldestPython[0], oldestPython[1])
}

// above are the folder of the file and those above it, up to the folder of the
// configuration if the file is below that.
func (s Source) above() []string {
	dirs := []string{filepath.Dir(s.file)}
	relative, err := filepath.Rel(s.options.Dir, dirs[0])
	if err != nil || !filepath.IsLocal(relative) {
		return dirs
	}
	for dirs[len(dirs)-1] != s.options.Dir {
		dirs = append(dirs, filepath.Dir(dirs[len(dirs)-1]))
	}
	return dirs
}

// node makes the program of a Node function.
func (s Source) node(ctx context.Context, p Program, scratch string) (Program, error) {
	found, err := s.ask(ctx, "node", oldestNode, "-p", askNode)
	if err != nil {
		return Program{}, err
	}
	dir, err := writeBootstrap(scratch, Node)
	if err != nil {
		return Program{}, err
	}
	p.Command = []string{found.Path}
	p.Command = append(p.Command, heapFlags(s.options.Memory)...)
	p.Command = append(p.Command, filepath.Join(dir, "main.mjs"), s.file, s.export)
	return s.withBootstrap(p, dir, found), nil
}

// heapFlags keep Node's heap below nine tenths of the memory, and the part of it
// for what is new at a twentieth, as the service does: Node's own choice follows
// the memory of the machine.
func heapFlags(memory int64) []string {
	if memory <= 0 {
		return nil
	}
	return []string{
		"--max-old-space-size=" + strconv.FormatInt(max(16, memory*9/10>>20), 10),
		"--max-semi-space-size=" + strconv.FormatInt(max(1, memory/20>>20), 10),
	}
}

// python makes the program of a Python function. Modules are looked for in the
// root, where the service has them, then beside the file.
func (s Source) python(ctx context.Context, p Program, scratch string) (Program, error) {
	found, err := s.ask(ctx, "Python", oldestPython, "-I", "-c", askPython)
	if err != nil {
		return Program{}, err
	}
	dir, err := writeBootstrap(scratch, Python)
	if err != nil {
		return Program{}, err
	}
	export := s.export
	if s.module+"."+defaultExport == s.handler && s.root == filepath.Dir(s.file) {
		export += ",lambda_handler"
	}
	p.Command = []string{found.Path, filepath.Join(dir, "main.py"), s.module, export, s.root}
	if beside := filepath.Dir(s.file); beside != s.root {
		p.Command = append(p.Command, beside)
	}
	return s.withBootstrap(p, dir, found), nil
}

func (s Source) withBootstrap(p Program, dir string, found interpreter) Program {
	p.Env = map[string]string{"LAMBDA_RUNTIME_DIR": dir}
	p.Watch = []string{filepath.Dir(s.file)}
	p.Read = slices.Compact(slices.Sorted(slices.Values(append(found.Prefixes, dir))))
	return p
}

// ask lets the interpreter say where it really is: what PATH has may be a shim
// that needs an environment which workers don't have. It runs in the folder of
// the function, which shims look at.
func (s Source) ask(ctx context.Context, name string, oldest [2]int, arguments ...string) (interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, s.tool, arguments...)
	cmd.Dir, cmd.Stderr, cmd.WaitDelay = filepath.Dir(s.file), &stderr, time.Second
	answer, err := cmd.Output()
	var found interpreter
	switch {
	case ctx.Err() != nil:
		return found, fmt.Errorf("ask %s for its version: %w", s.tool, ctx.Err())
	case err != nil:
		return found, wrong("runtime", "%s does not run: %s", s.tool, said(stderr.String(), err))
	case json.Unmarshal(answer, &found) != nil || !isFile(found.Path):
		return found, wrong("runtime", "%s is no %s: it has answered %q", s.tool, name, short(string(answer)))
	case older(found.Version, oldest):
		return found, wrong("runtime", "%s is %s %s, which is too old: install %s %d.%d or newer", s.tool, name, found.Version, name, oldest[0], oldest[1])
	}
	return found, nil
}

func older(version string, oldest [2]int) bool {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err != nil {
		return true
	}
	return major < oldest[0] || major == oldest[0] && minor < oldest[1]
}

// said is what a tool has written, or else how it ended.
func said(text string, err error) string {
	if text = strings.TrimSpace(text); text != "" {
		return short(text)
	}
	if inner, ok := errors.AsType[*os.PathError](err); ok {
		return inner.Err.Error()
	}
	return err.Error()
}

func short(text string) string {
	const most = 300
	text = strings.TrimSpace(text)
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
