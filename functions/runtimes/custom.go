package runtimes

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// executable takes a file that speaks the Runtime API itself.
func (s Source) executable(info fs.FileInfo) (Source, error) {
	given := s.options.Handler
	ext := filepath.Ext(s.file)
	switch {
	case ext == ".go":
		err := wrong("handler", "%q is a file of a Go program: name its folder", given)
		err.Suggestion = filepath.ToSlash(filepath.Dir(given))
		return Source{}, err
	case s.runtime == Node || s.runtime == Python:
		return Source{}, wrong("handler", "%q is no file for %s: its name ends with %s", given, s.runtime, extensions(s.runtime))
	case s.runtime == Go:
		return Source{}, wrong("handler", "%q is a file: name the folder of a Go program, or leave out the runtime for one that is built already", given)
	case s.runtime == "" && strings.Contains(".ts .mts .cts .tsx .jsx ", ext+" ") && ext != "":
		return Source{}, wrong("handler", "%q has to be made JavaScript first: sluice runs .mjs, .js, .cjs and .py files, Go programs and executables", given)
	case !info.Mode().IsRegular():
		return Source{}, wrong("handler", "%q is no regular file", given)
	case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return Source{}, wrong("handler", "%q is not executable: run `chmod +x %s`", given, relativeTo(s.options.Dir, s.file))
	}
	if err := startable(s.file, given); err != nil {
		return Source{}, err
	}
	s.runtime, s.root = Custom, filepath.Dir(s.file)
	s.handler = strings.TrimSuffix(filepath.Base(s.file), ext)
	return s, nil
}

func extensions(kind string) string {
	if kind == Python {
		return ".py"
	}
	return ".mjs, .js or .cjs"
}

func relativeTo(dir, path string) string {
	if relative, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(relative) {
		return relative
	}
	return path
}

// startable says what of a program the system would refuse: a script whose
// interpreter isn't there, a program for another machine.
func startable(path, given string) error {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrPermission) {
		return nil // it may be executed all the same
	}
	if err != nil {
		return wrong("handler", "%q cannot be read: %v", given, reason(err))
	}
	defer func() { _ = file.Close() }()
	start, _ := bufio.NewReader(file).Peek(256)
	switch {
	case bytes.HasPrefix(start, []byte("#!")):
		return interpreterOfScript(start, given)
	case bytes.HasPrefix(start, []byte(elf.ELFMAG)):
		return machineOf(file, given)
	case runtime.GOOS == "linux":
		return wrong("handler", "%q is neither a program for Linux nor a script: the first line of a script is #! and its interpreter, such as #!/bin/sh", given)
	}
	return nil
}

func interpreterOfScript(start []byte, given string) error {
	line, _, _ := bytes.Cut(start[2:], []byte("\n"))
	words := strings.Fields(string(line))
	if bytes.HasSuffix(line, []byte("\r")) {
		return wrong("handler", "the first line of %q ends as lines of Windows do: save it with the line ends of Unix", given)
	}
	if len(words) == 0 || isFile(words[0]) {
		return nil
	}
	return wrong("handler", "the first line of %q names the interpreter %q, which isn't there", given, words[0])
}

func machineOf(file *os.File, given string) error {
	program, err := elf.NewFile(file)
	if err != nil {
		return wrong("handler", "%q is a damaged program: %v", given, err)
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	own, known := machines[runtime.GOARCH]
	if runtime.GOOS != "linux" || known && program.Machine != own {
		return wrong("handler", "%q is a program for Linux on %s, and this is %s on %s: build it for this machine", given, strings.TrimPrefix(program.Machine.String(), "EM_"), runtime.GOOS, runtime.GOARCH)
	}
	return nil
}

// beside takes a bootstrap in the folder of path/module.function, which the
// bootstrap itself reads as _HANDLER.
func (s Source) beside() (Source, error) {
	folder, handler := filepath.Split(s.file)
	path := filepath.Join(folder, "bootstrap")
	info, err := os.Stat(path)
	if err != nil {
		return Source{}, wrong("handler", "there is no file %q, nor %q, which would take it as _HANDLER", s.options.Handler, relativeTo(s.options.Dir, path))
	}
	s.file = path
	s, err = s.executable(info)
	s.handler = handler
	return s, err
}
