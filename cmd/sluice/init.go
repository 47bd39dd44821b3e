package main

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"sluice/functions/runtimes"
)

// projects are the files of the templates, those of each and those of all. The
// name of each file has .txt at its end, so that none is taken for one of
// sluice's own.
//
//go:embed templates
var projects embed.FS

// A projectTemplate is one that "sluice init" knows.
type projectTemplate struct {
	Name    string
	Handler string // in the project
	Needs   string // what must be installed; empty for nothing
	tool    string // by which that is known
}

func projectTemplates() []projectTemplate {
	return []projectTemplate{
		{runtimes.Node, "functions/hello.mjs", "Node 18 or newer", "node"},
		{runtimes.Python, "functions/hello.py", "Python 3.9 or newer", "python3"},
		{runtimes.Go, "functions/hello", "Go 1.26 or newer", "go"},
		{runtimes.Custom, "functions/hello/bootstrap", "curl", "curl"},
	}
}

func newInitCommand(app *app) *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "init [DIR]", Short: "Write a project that works: a file, a function, and what to try", Args: atMostOne,
		Long: `Writes sluice.yaml with an HTTP source, a clock and a trigger, the function that
they call, and a README with the commands to try. It is written to DIR, or to
the folder you are in. A README and a .gitignore that are there are left alone;
if one of the other files is there, nothing is written.

Templates: node, python, go, and custom, which is a shell script. Without
--template it is the first one whose interpreter or compiler is installed.`,
		Example: "  sluice init hello\n  sluice init hello --template python",
		RunE: func(_ *cobra.Command, args []string) error {
			return app.init(filepath.Clean(strings.Join(args, "")), name)
		},
	}
	cmd.Flags().StringVarP(&name, "template", "t", "", "node, python, go or custom")
	return cmd
}

// atMostOne takes one argument or none.
func atMostOne(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%d arguments: %s takes one folder", len(args), cmd.CommandPath())
	}
	return nil
}

func (a *app) init(dir, name string) error {
	chosen, err := chooseTemplate(name)
	if err != nil {
		return err
	}
	files, err := chosen.files()
	if err != nil {
		return err
	}
	if there := existing(dir, files); len(there) > 0 {
		return exitWithf(exitFailure, "nothing was written, because %s there already: name another folder, such as `sluice init hello`", isThere(there))
	}
	for _, file := range files {
		did := ""
		switch err := file.write(dir); {
		case errors.Is(err, fs.ErrExist) && file.optional():
			did = "  was there, and is left as it is"
		case err != nil:
			return fmt.Errorf("write the project: %w", err)
		}
		_, _ = fmt.Fprintf(a.stdout, "  %s%s\n", filepath.Join(dir, file.name), did)
	}
	_, _ = fmt.Fprint(a.stdout, chosen.next(dir))
	return nil
}

// chooseTemplate finds the template of that name, or without a name the first
// one that can run here.
func chooseTemplate(name string) (projectTemplate, error) {
	all := projectTemplates()
	for _, t := range all {
		if t.Name == name {
			return t, nil
		}
		if _, err := exec.LookPath(t.tool); name == "" && err == nil {
			return t, nil
		}
	}
	if name != "" {
		return projectTemplate{}, exitWithf(exitUsage, "--template %q: it is node, python, go or custom", name)
	}
	return projectTemplate{}, exitWithf(exitFailure, "neither node, python3, go nor curl is installed here: name a --template all the same")
}

// A projectFile is one file of a project.
type projectFile struct {
	name string // from the project's folder
	text []byte
}

// optional says whether a project may have one of its own.
func (f projectFile) optional() bool {
	return slices.Contains([]string{"README.md", ".gitignore"}, f.name)
}

// files are all of the template, by name.
func (t projectTemplate) files() ([]projectFile, error) {
	var files []projectFile
	for _, part := range []string{"shared", t.Name} {
		root := "templates/" + part
		err := fs.WalkDir(projects, root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			name := strings.TrimSuffix(strings.TrimPrefix(path, root+"/"), ".txt")
			if name == "gitignore" {
				name = ".gitignore"
			}
			text, err := fs.ReadFile(projects, path)
			if err == nil && part == "shared" {
				text, err = t.fill(text)
			}
			files = append(files, projectFile{name, text})
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("make the files of the template %s: %w", t.Name, err)
		}
	}
	slices.SortFunc(files, func(a, b projectFile) int { return cmp.Compare(a.name, b.name) })
	return files, nil
}

func (t projectTemplate) fill(text []byte) ([]byte, error) {
	parsed, err := template.New("").Parse(string(text))
	if err != nil {
		return nil, err
	}
	var filled bytes.Buffer
	err = parsed.Execute(&filled, t)
	return filled.Bytes(), err
}

// existing are the names of the files that are there and may not be.
func existing(dir string, files []projectFile) []string {
	var there []string
	for _, file := range files {
		if _, err := os.Lstat(filepath.Join(dir, file.name)); err == nil && !file.optional() {
			there = append(there, filepath.Join(dir, file.name))
		}
	}
	return there
}

func isThere(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " are"
}

// write makes the file and the folders above it, and overwrites nothing. A
// script can be executed.
func (f projectFile) write(dir string) error {
	path := filepath.Join(dir, f.name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if bytes.HasPrefix(f.text, []byte("#!")) {
		mode = 0o755
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(f.text)
	return errors.Join(err, file.Close())
}

// next says what to do with the project.
func (t projectTemplate) next(dir string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nA project with a function for %s.", t.Name)
	if _, err := exec.LookPath(t.tool); err != nil {
		fmt.Fprintf(&b, " It needs %s, and %s is not in PATH.", t.Needs, t.tool)
	}
	b.WriteString(" Run it:\n\n")
	inside := ""
	if dir != "." {
		inside = "cd " + dir + " && "
	}
	fmt.Fprintf(&b, "  %ssluice dev\n\nThen, in another terminal:\n\n  %ssluice send greetings --type greeting --data '{\"name\":\"Ada\"}' --wait\n", inside, inside)
	return b.String()
}
