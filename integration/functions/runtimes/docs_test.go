//go:build integration

package runtimes_test

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"sluice/functions/runtimes"
	"sluice/integration/debian"
)

// An example is one of docs/writing-functions.md: the blocks below one heading.
// A block's info says in its second word what it is: event, answer, error, log,
// or the name of a file; the one of YAML has the function.
type example struct {
	title    string
	function string
	handler  string
	env      map[string]string
	files    map[string]string
	blocks   map[string]string
}

func TestDocs(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	page, err := os.ReadFile("../../../docs/writing-functions.md")
	if err != nil {
		t.Fatal(err)
	}
	found := examples(t, string(page))
	if len(found) < 9 {
		t.Fatalf("found %d examples", len(found))
	}
	for _, e := range found {
		t.Run(e.title, func(t *testing.T) { e.run(t) })
	}
}

func examples(t *testing.T, page string) []example {
	t.Helper()
	var found []example
	runtime := ""
	for part := range strings.SplitSeq(page, "\n## ") {
		runtime, _, _ = strings.Cut(part, "\n")
		for section := range strings.SplitSeq(part, "\n### ") {
			title, text, _ := strings.Cut(section, "\n")
			e := example{title: runtime + ": " + title, files: map[string]string{}, blocks: map[string]string{}}
			for _, block := range regexp.MustCompile("(?ms)^```(\\S+) ?(\\S*)\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
				e.add(t, block[1], block[2], block[3])
			}
			if e.handler != "" {
				found = append(found, e)
			}
		}
	}
	return found
}

func (e *example) add(t *testing.T, language, name, text string) {
	t.Helper()
	switch {
	case language == "yaml":
		var file struct {
			Functions map[string]struct {
				Handler     string
				Environment map[string]string
			}
		}
		if err := yaml.Unmarshal([]byte(text), &file); err != nil || len(file.Functions) != 1 {
			t.Fatalf("%s: %v in %s", e.title, err, text)
		}
		for name := range maps.Keys(file.Functions) {
			e.function, e.handler, e.env = name, file.Functions[name].Handler, file.Functions[name].Environment
		}
	case name == "event", name == "answer", name == "error", name == "log":
		e.blocks[name] = strings.TrimSuffix(text, "\n")
	case name != "":
		e.files[name] = text
	}
}

func (e *example) run(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	writeFiles(t, dir, e.files)
	for name := range e.files {
		if filepath.Base(name) == "go.mod" { // the page has no checksums
			cmd := exec.CommandContext(t.Context(), "go", "mod", "tidy")
			cmd.Dir = filepath.Join(dir, filepath.Dir(name))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
	}
	env := map[string]string{"AWS_LAMBDA_FUNCTION_NAME": e.function}
	maps.Copy(env, e.env)
	w := startIn(t, runtimes.Options{Dir: dir, Handler: e.handler}, env)
	o := w.invoke(e.blocks["event"])
	switch {
	case o.answer != nil:
		e.compare(t, "answer", strings.ReplaceAll(string(o.answer.Payload), "\x00", "␀"))
	case o.failed != nil:
		e.compare(t, "error", string(o.failed.Payload))
	default:
		t.Fatalf("%s; the worker has written:\n%s", o, w.logs())
	}
	_ = w.api.Close()
	w.exit()
	if want := e.blocks["log"]; want != "" && !like(want).MatchString(w.logs()) {
		t.Errorf("the log is:\n%s\nnot:\n%s", w.logs(), want)
	}
}

// compare looks whether the page has what came out; … stands for anything.
func (e *example) compare(t *testing.T, kind, got string) {
	t.Helper()
	want, ok := e.blocks[kind]
	if !ok {
		t.Fatalf("the page has no %s, and it is %s", kind, got)
	}
	if json.Valid([]byte(want)) {
		want, got = compact(t, want), compact(t, got)
	}
	if like(want).FindString(got) != got {
		t.Errorf("the %s is\n%s\nnot\n%s", kind, got, want)
	}
}

// compact orders the keys.
func compact(t *testing.T, text string) string {
	t.Helper()
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	ordered, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(ordered)
}

func like(text string) *regexp.Regexp {
	return regexp.MustCompile(strings.ReplaceAll(regexp.QuoteMeta(text), "…", "(?s:.*)"))
}
