package runtimes

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// defaultExport is the function in a file that a path names.
const defaultExport = "handler"

// Find looks for the code that o names, and for the interpreter or compiler
// that it needs in PATH. It runs nothing. Its errors are of the type *Error.
func Find(o Options) (Source, error) {
	if err := checkRuntime(o.Runtime); err != nil {
		return Source{}, err
	}
	if strings.TrimSpace(o.Handler) == "" {
		return Source{}, wrong("handler", "it is empty: write the path of a file, such as functions/thumbnail.mjs")
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return Source{}, fmt.Errorf("find the folder of the configuration: %w", err)
	}
	o.Dir = dir
	s := Source{options: o, runtime: o.Runtime, file: o.Handler}
	if !filepath.IsAbs(s.file) {
		s.file = filepath.Join(dir, s.file)
	}
	info, err := os.Stat(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.named()
	case err != nil:
		return Source{}, wrong("handler", "%q cannot be read: %v", o.Handler, reason(err))
	case info.IsDir():
		return s.folder()
	}
	return s.path(info)
}

// checkRuntime takes the four names, and knows what is meant by the service's.
func checkRuntime(name string) error {
	if slices.Contains([]string{"", Node, Python, Go, Custom}, name) {
		return nil
	}
	err := wrong("runtime", "no runtime %q: write node, python, go or custom", name)
	lower := strings.ToLower(name)
	for prefix, meant := range map[string]string{"node": Node, "js": Node, "javascript": Node, "py": Python, "go": Go, "provided": Custom} {
		if strings.HasPrefix(lower, prefix) {
			err.Suggestion = meant
		}
	}
	if err.Suggestion != "" && strings.ContainsAny(name, "0123456789") {
		err.Message += "; the version is the one of what is installed"
	}
	return err
}

// path takes a file that is there.
func (s Source) path(info fs.FileInfo) (Source, error) {
	ext := filepath.Ext(s.file)
	stem := strings.TrimSuffix(filepath.Base(s.file), ext)
	s.root = filepath.Dir(s.file)
	switch kind := kindOf(ext); {
	case kind == "" || s.runtime == Custom:
		return s.executable(info)
	case s.runtime != "" && s.runtime != kind:
		return Source{}, wrong("runtime", "%q is a file for %s, not for %s", s.options.Handler, kind, s.runtime)
	case kind == Python && strings.Contains(stem, "."):
		return Source{}, wrong("handler", "Python cannot load %q: its name has a dot", s.options.Handler)
	default:
		s.runtime, s.module, s.export = kind, stem, defaultExport
	}
	return s.interpreted(stem)
}

// kindOf is the runtime of files with an extension, or empty.
func kindOf(ext string) string {
	switch {
	case slices.Contains(nodeExtensions(), ext):
		return Node
	case ext == ".py":
		return Python
	}
	return ""
}

func nodeExtensions() []string { return []string{".js", ".mjs", ".cjs"} }

// interpreted finds the interpreter; module is as _HANDLER has it.
func (s Source) interpreted(module string) (Source, error) {
	s.handler = module + "." + s.export
	tool, err := s.interpreter()
	if err != nil {
		return Source{}, err
	}
	s.tool = tool
	return s, nil
}

// named takes AWS's form path/module.function. Its root is the folder of the
// configuration, as the service's is that of the package. What ends as a file
// does is none.
func (s Source) named() (Source, error) {
	if s.runtime == Custom {
		return s.beside()
	}
	node, nodeFound := s.nodeModule()
	python, pythonFound := s.pythonModule()
	if kindOf(filepath.Ext(s.file)) != "" {
		nodeFound, pythonFound = false, false
	}
	switch {
	case nodeFound && pythonFound && s.runtime == "":
		return Source{}, wrong("runtime", "%q may be %s or %s: write node or python", s.options.Handler, filepath.Base(node.file), filepath.Base(python.file))
	case nodeFound && s.runtime != Python:
		return node.interpreted(strings.TrimSuffix(s.options.Handler, "."+node.export))
	case pythonFound && s.runtime != Node:
		return python.interpreted(strings.TrimSuffix(s.options.Handler, "."+python.export))
	}
	err := wrong("handler", "there is no file %q", s.options.Handler)
	err.Suggestion = s.nearest()
	return Source{}, err
}

// nodeModule cuts the name at its first dot, as Node's client does, and takes
// the first file that there is.
func (s Source) nodeModule() (Source, bool) {
	folder, base := filepath.Split(s.file)
	stem, export, ok := strings.Cut(base, ".")
	if !ok || export == "" || s.runtime == Go {
		return s, false
	}
	for _, ext := range nodeExtensions() {
		if isFile(folder + stem + ext) {
			s.runtime, s.root, s.file, s.export = Node, s.options.Dir, folder+stem+ext, export
			return s, true
		}
	}
	return s, false
}

// pythonModule cuts the name at its last dot, as Python's client does; dots
// before it are folders, and a folder may be a package.
func (s Source) pythonModule() (Source, bool) {
	folder, base := filepath.Split(s.file)
	at := strings.LastIndexByte(base, '.')
	if at < 0 || at == len(base)-1 || s.runtime == Go {
		return s, false
	}
	module := folder + strings.ReplaceAll(base[:at], ".", "/")
	relative, err := filepath.Rel(s.options.Dir, module)
	if err != nil || !filepath.IsLocal(relative) {
		return s, false
	}
	for _, file := range []string{module + ".py", filepath.Join(module, "__init__.py")} {
		if isFile(file) {
			s.runtime, s.root, s.file, s.module, s.export = Python, s.options.Dir, file, filepath.ToSlash(relative), base[at+1:]
			return s, true
		}
	}
	return s, false
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// folder takes one with a Go program or with a bootstrap.
func (s Source) folder() (Source, error) {
	switch {
	case s.runtime == Go || s.runtime == "" && hasGoFiles(s.file):
		return s.goProgram()
	case s.runtime == "" || s.runtime == Custom:
		if info, err := os.Stat(filepath.Join(s.file, "bootstrap")); err == nil {
			s.root, s.file = s.file, filepath.Join(s.file, "bootstrap")
			return s.executable(info)
		}
	}
	err := wrong("handler", "%q is a folder with no Go program and no bootstrap in it: name a file", s.options.Handler)
	if s.runtime == Node || s.runtime == Python {
		err.Message = fmt.Sprintf("%q is a folder: name a file in it", s.options.Handler)
	}
	err.Suggestion = s.inside()
	return Source{}, err
}

// reason is an error of the file system without its path.
func reason(err error) error {
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		return inner.Err
	}
	return err
}

// inside is the only file in a folder that could be meant, or empty.
func (s Source) inside() string {
	var found []string
	entries, _ := os.ReadDir(s.file)
	for _, entry := range entries {
		if kind := kindOf(filepath.Ext(entry.Name())); kind != "" && kind == cmp.Or(s.runtime, kind) {
			found = append(found, filepath.ToSlash(filepath.Join(s.options.Handler, entry.Name())))
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}
