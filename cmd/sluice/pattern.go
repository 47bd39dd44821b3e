package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sluice/cmd/sluice/internal/admin"
	"sluice/router/pattern"
)

func newPatternCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pattern",
		Short: "Try event patterns",
		Args:  noArguments,
	}
	cmd.AddCommand(newPatternTestCommand(app))
	return cmd
}

// patternTest holds the flags of "sluice pattern test".
type patternTest struct {
	pattern, event, cases, output string
	explain                       bool
}

func newPatternTestCommand(app *app) *cobra.Command {
	var flags patternTest
	cmd := &cobra.Command{
		Use:   "test",
		Short: "Tell whether a pattern matches an event, and why not",
		Long: `Tells whether the event pattern in one file matches the event in another. The
pattern is JSON or YAML, as it stands below "when" of a trigger; the event is
CloudEvents JSON and is taken as it stands. Either file may be - for standard
input. Exit code 0: it matches, 1: it does not, 3: the pattern or the event is
invalid.

With --cases it reads many: one JSON object a line, {"event":{…},"pattern":{…}},
and answers each with a line: {"match":true}, {"match":false} or {"error":"…"}.`,
		Example: `  sluice pattern test --pattern when.yaml --event event.json --explain
  sluice pattern test --cases - < cases.jsonl`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return app.patternTest(&flags) },
	}
	cmd.Flags().StringVar(&flags.pattern, "pattern", "", "the `FILE` with the pattern, JSON or YAML")
	cmd.Flags().StringVar(&flags.event, "event", "", "the `FILE` with the event, JSON")
	cmd.Flags().StringVar(&flags.cases, "cases", "", "a `FILE` with many cases, one a line")
	cmd.Flags().BoolVar(&flags.explain, "explain", false, "say which fields match, and what was found instead")
	cmd.Flags().StringVarP(&flags.output, "output", "o", "text", "text or json")
	return cmd
}

func (f *patternTest) check() error {
	switch {
	case f.output != "text" && f.output != "json":
		return exitWithf(exitUsage, "--output %q: it is text or json", f.output)
	case f.cases != "" && (f.pattern != "" || f.event != "" || f.explain):
		return exitWithf(exitUsage, "--cases stands alone: each of its lines has its own event and pattern")
	case f.cases == "" && (f.pattern == "" || f.event == ""):
		return exitWithf(exitUsage, "name both --pattern and --event, or --cases")
	case f.pattern == "-" && f.event == "-":
		return exitWithf(exitUsage, "only one of --pattern and --event can be standard input")
	}
	return nil
}

func (a *app) patternTest(flags *patternTest) error {
	if err := flags.check(); err != nil {
		return err
	}
	if flags.cases != "" {
		return a.cases(flags.cases, func(line []byte) any { return answerCase(line) })
	}
	raw, err := a.readPatternFile(flags.pattern)
	if err != nil {
		return err
	}
	p, err := parsePattern(flags.pattern, raw)
	if err != nil {
		return exitWithf(exitInvalid, "the pattern in %s is invalid: %w", patternFileLabel(flags.pattern), err)
	}
	if raw, err = a.readPatternFile(flags.event); err != nil {
		return err
	}
	doc, err := pattern.FromJSON(raw)
	if err != nil {
		return exitWithf(exitInvalid, "the event in %s is invalid: %w", patternFileLabel(flags.event), err)
	}
	return a.patternVerdict(p, doc, flags)
}

// patternVerdict prints whether p matches doc, and ends with the exit code that
// says the same.
func (a *app) patternVerdict(p *pattern.Pattern, doc *pattern.Doc, flags *patternTest) error {
	match := p.Matches(doc)
	var err error
	switch {
	case flags.output == "json" && flags.explain:
		err = writeLine(a.stdout, p.Explain(doc))
	case flags.output == "json":
		err = writeLine(a.stdout, patternAnswer{Match: &match})
	case flags.explain:
		yes, no := a.marks()
		_, err = io.WriteString(a.stdout, p.Explain(doc).Text(yes, no))
	case match:
		_, err = fmt.Fprintln(a.stdout, "match")
	default:
		_, err = fmt.Fprintln(a.stdout, "no match")
	}
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	if !match {
		return exitWith(exitFailure, nil)
	}
	return nil
}

// marks are signs for yes and no: words when they do not go to a terminal, or
// when NO_COLOR asks for plain text.
func (a *app) marks() (yes, no string) {
	if value, _ := a.lookup("NO_COLOR"); value == "" {
		if file, ok := a.stdout.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			return "✓", "✗"
		}
	}
	return "ok", "NO"
}

func patternFileLabel(path string) string {
	if path == "-" {
		return "standard input"
	}
	return path
}

// readPatternFile reads a file, or standard input for -.
func (a *app) readPatternFile(path string) ([]byte, error) {
	if path == "-" {
		raw, err := io.ReadAll(a.stdin)
		if err != nil {
			return nil, fmt.Errorf("reading standard input: %w", err)
		}
		return raw, nil
	}
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, exitWithf(exitNotFound, "there is no file %q", path)
	}
	return raw, err
}

// parsePattern reads a pattern as JSON, if it is or looks like it, else as YAML.
func parsePattern(path string, raw []byte) (*pattern.Pattern, error) {
	extension := strings.ToLower(filepath.Ext(path))
	isYAML := extension == ".yaml" || extension == ".yml"
	looksJSON := bytes.HasPrefix(bytes.TrimLeft(raw, " \t\r\n"), []byte("{"))
	if extension == ".json" || json.Valid(raw) || looksJSON && !isYAML {
		return pattern.Compile(raw)
	}
	var value any
	if err := yaml.Unmarshal(raw, &value); err != nil {
		return nil, fmt.Errorf("not YAML: %s", yaml.FormatError(err, false, true))
	}
	return pattern.FromValue(value)
}

// A patternAnswer is a line of output.
type patternAnswer struct {
	Match *bool  `json:"match,omitempty"`
	Error string `json:"error,omitempty"`
}

// answerCase answers one line. Its errors begin with what is wrong: the case,
// the pattern, or the event.
func answerCase(line []byte) patternAnswer {
	var c struct {
		Event   json.RawMessage `json:"event"`
		Pattern json.RawMessage `json:"pattern"`
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return patternAnswer{Error: "case: not a JSON object with event and pattern: " + admin.JSONText(err)}
	}
	if c.Event == nil || c.Pattern == nil {
		return patternAnswer{Error: `case: needs both "event" and "pattern"`}
	}
	p, err := pattern.Compile(c.Pattern)
	if err != nil {
		return patternAnswer{Error: "pattern: " + err.Error()}
	}
	doc, err := pattern.FromJSON(c.Event)
	if err != nil {
		return patternAnswer{Error: "event: " + err.Error()}
	}
	match := p.Matches(doc)
	return patternAnswer{Match: &match}
}
