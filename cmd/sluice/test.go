package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"sluice/config"
	"sluice/event"
	"sluice/event/transform"
	"sluice/router/pattern"
)

func newTestCommand(app *app) *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use: "test", Short: "Run the tests that stand in the file", Args: noArguments,
		Long: `Checks for each of the file's tests that its event matches the triggers that it
names, no more and no less, and that their transforms make of it what the test
has as payloads. Nothing is started. The event's source is the name of
a source in the file, and is what patterns see as source; specversion and id are
added where they are missing. Exit code 1: a test has failed.`,
		Example: "  sluice test\n  sluice test -c staging.yaml -o json",
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return exitWithf(exitUsage, "--output %q: it is text or json", output)
			}
			return app.test(path, output == "json")
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultFile, "the configuration `FILE`")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// A testReport is what "sluice test" prints for programs.
type testReport struct {
	Passed int          `json:"passed"`
	Failed int          `json:"failed"`
	Tests  []testResult `json:"tests"`
}

// A testResult is how one test of the file came out.
type testResult struct {
	Name     string        `json:"name"`
	Line     int           `json:"line"`
	Passed   bool          `json:"passed"`
	Problems []testProblem `json:"problems"`
}

// A testProblem is a trigger that does what the test does not expect.
type testProblem struct {
	Trigger     string               `json:"trigger"`
	Match       bool                 `json:"match"`
	Message     string               `json:"message"`
	Explanation *pattern.Explanation `json:"explanation,omitempty"`
}

func (a *app) test(path string, asJSON bool) error {
	file, err := a.loadFile(path)
	if err != nil {
		return err
	}
	report := testReport{Tests: []testResult{}}
	for i := range file.Tests {
		result, err := runTest(file, i)
		if err != nil {
			return err
		}
		report.Tests = append(report.Tests, result)
		if result.Passed {
			report.Passed++
		} else {
			report.Failed++
		}
	}
	if err := a.printTests(&report, path, asJSON); err != nil {
		return fmt.Errorf("print the tests: %w", err)
	}
	if report.Failed > 0 {
		return exitWith(exitFailure, nil)
	}
	return nil
}

// runTest asks every trigger of the file about the event of the test at index.
func runTest(file *config.File, index int) (testResult, error) {
	test := &file.Tests[index]
	result := testResult{Name: test.Name, Line: test.Pos.Line, Problems: []testProblem{}}
	if result.Name == "" {
		result.Name = fmt.Sprintf("tests[%d]", index)
	}
	doc, err := testDoc(test)
	if err != nil {
		return result, exitWithf(exitInvalid, "%s:%d: the event of the test %q: %w", file.Path, test.Pos.Line, result.Name, err)
	}
	for i := range file.Triggers {
		problem, err := testTrigger(&file.Triggers[i], test, doc)
		if err == nil && problem == nil {
			problem, err = testPayload(&file.Triggers[i], test)
		}
		if err != nil {
			return result, err
		}
		if problem != nil {
			result.Problems = append(result.Problems, *problem)
		}
	}
	result.Passed = len(result.Problems) == 0
	return result, nil
}

// testDoc is the event as patterns see it, with what every event has.
func testDoc(test *config.Test) (*pattern.Doc, error) {
	raw, err := testJSON(test)
	if err != nil {
		return nil, err
	}
	return pattern.FromJSON(raw)
}

func testJSON(test *config.Test) ([]byte, error) {
	whole := map[string]any{"specversion": "1.0", "id": "test"}
	maps.Copy(whole, test.Event)
	return json.Marshal(whole)
}

// testPayload returns what is wrong with what the trigger delivers, or nil.
func testPayload(trigger *config.Trigger, test *config.Test) (*testProblem, error) {
	want, given := test.Payloads[trigger.Name]
	if !given {
		return nil, nil //nolint:nilnil // no problem, and no error
	}
	raw, err := testJSON(test)
	if err != nil {
		return nil, err
	}
	e, err := event.DecodeJSON(raw)
	if err == nil && trigger.Transform != nil {
		e, err = transformed(trigger, &e)
	}
	problem := &testProblem{Trigger: trigger.Name, Match: true}
	if err != nil {
		problem.Message = "is expected to deliver something, but: " + err.Error()
		return problem, nil //nolint:nilerr // it is the test's result
	}
	wanted, err := json.Marshal(want)
	if err != nil {
		return nil, err
	}
	if sameJSON(wanted, e.Data) || string(e.Data) == fmt.Sprint(want) {
		return nil, nil //nolint:nilnil // as above
	}
	problem.Message = fmt.Sprintf("is expected to deliver %s, but delivers %s", wanted, clean(string(e.Data), 0))
	return problem, nil
}

// transformed returns what the trigger delivers of an event.
func transformed(trigger *config.Trigger, e *event.Event) (event.Event, error) {
	made, err := transform.FromValue(trigger.Transform.Value())
	if err != nil {
		return event.Event{}, err
	}
	changed, err := made.Apply(context.Background(), e)
	if err != nil {
		return event.Event{}, err
	}
	return *changed, nil
}

// sameJSON tells whether two texts are the same JSON value.
func sameJSON(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// testTrigger returns what is wrong with how the trigger takes the event, or nil.
func testTrigger(trigger *config.Trigger, test *config.Test, doc *pattern.Doc) (*testProblem, error) {
	source, _ := test.Event["source"].(string)
	wanted := slices.Contains(test.Triggers, trigger.Name)
	problem := &testProblem{Trigger: trigger.Name}
	switch {
	case !slices.Contains(trigger.On, source):
		problem.Message = fmt.Sprintf("is expected to match, but is not on %s: it is on %s", source, strings.Join(trigger.On, ", "))
	case trigger.When == nil:
		problem.Match, problem.Message = true, "is not expected to match, but takes every event of "+source
	default:
		compiled, err := pattern.FromValue(trigger.When.Value())
		if err != nil {
			return nil, fmt.Errorf("the pattern of %s: %w", trigger.Name, err)
		}
		explanation := compiled.Explain(doc)
		problem.Match, problem.Explanation, problem.Message = explanation.Match, &explanation, "is expected to match"
		if explanation.Match {
			problem.Message = "is not expected to match"
		}
	}
	if problem.Match == wanted {
		return nil, nil //nolint:nilnil // no problem, and no error
	}
	return problem, nil
}

func (a *app) printTests(report *testReport, path string, asJSON bool) error {
	if asJSON {
		encoder := json.NewEncoder(a.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(report)
	}
	if len(report.Tests) == 0 {
		_, err := fmt.Fprintf(a.stdout, "%s has no tests: write some below the key tests\n", path)
		return err
	}
	yes, no := a.marks()
	for i := range report.Tests {
		printTest(a.stdout, &report.Tests[i], path, yes, no)
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s, %d passed, %d failed\n", plural(len(report.Tests), "test"), report.Passed, report.Failed)
	return err
}

func printTest(w io.Writer, result *testResult, path, yes, no string) {
	if result.Passed {
		_, _ = fmt.Fprintf(w, "%s %s\n", yes, clean(result.Name, 0))
		return
	}
	_, _ = fmt.Fprintf(w, "%s %s (%s:%d)\n", no, clean(result.Name, 0), path, result.Line)
	for _, problem := range result.Problems {
		_, _ = fmt.Fprintf(w, "    %s %s\n", problem.Trigger, problem.Message)
		if problem.Explanation != nil {
			indent(w, problem.Explanation.Text(yes, no), "      ")
		}
	}
}
