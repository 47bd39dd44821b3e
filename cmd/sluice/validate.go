package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"sluice/config"
)

// defaultFile is the configuration that commands use when none is named.
const defaultFile = "sluice.yaml"

// loadFile reads the configuration at path and turns what goes wrong into the
// exit code for it.
func (a *app) loadFile(path string) (*config.File, error) {
	file, err := config.Load(path, kinds(), a.lookup)
	var problems *config.Problems
	switch {
	case err == nil:
		return file, nil
	case errors.As(err, &problems):
		return nil, exitWithf(exitInvalid, "the configuration is invalid:\n%w", problems)
	case errors.Is(err, fs.ErrNotExist):
		return nil, exitWithf(exitNotFound, "there is no file %q: name another with --config", path)
	default:
		return nil, exitWith(exitFailure, err)
	}
}

func newValidateCommand(app *app) *cobra.Command {
	var path, output string
	cmd := &cobra.Command{
		Use:   "validate",
		Short: "Check the configuration and print every problem",
		Long: `Checks the configuration without starting anything: the keys and their values,
variables and secret files, names that refer to one another, and patterns.
It prints every problem with the line it is on. Exit code 3: there are problems.`,
		Example: "  sluice validate\n  sluice validate -c staging.yaml -o json",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if output != "text" && output != "json" {
				return exitWithf(exitUsage, "--output %q: it is text or json", output)
			}
			return app.validate(path, output == "json")
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", defaultFile, "the configuration `FILE`")
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	return cmd
}

// validate loads the file and reports on standard output.
func (a *app) validate(path string, asJSON bool) error {
	file, err := a.loadFile(path)
	var problems *config.Problems
	switch {
	case err != nil && !errors.As(err, &problems):
		return err
	case asJSON:
		return printReportJSON(a.stdout, file, problems)
	default:
		return printReport(a.stdout, file, problems, path)
	}
}

// printReport is for people.
func printReport(w io.Writer, file *config.File, problems *config.Problems, path string) error {
	if problems != nil {
		problems.Print(w)
		_, _ = fmt.Fprintf(w, "\n%s in %s\n", plural(len(problems.List), "problem"), path)
		return exitWith(exitInvalid, nil)
	}
	for _, warning := range file.Warnings {
		_, _ = fmt.Fprint(w, "warning: ")
		warning.Print(w)
	}
	_, _ = fmt.Fprintf(w, "%s is valid: %s, %s, %s\n", path, plural(len(file.Sources), "source"),
		plural(len(file.Triggers), "trigger"), plural(len(file.Functions), "function"))
	return nil
}

// A report is what validate prints for programs.
type report struct {
	Valid     bool              `json:"valid"`
	Sources   int               `json:"sources"`
	Triggers  int               `json:"triggers"`
	Functions int               `json:"functions"`
	Problems  []*config.Problem `json:"problems"`
	Warnings  []*config.Problem `json:"warnings"`
}

func printReportJSON(w io.Writer, file *config.File, problems *config.Problems) error {
	out := report{Valid: problems == nil, Problems: []*config.Problem{}, Warnings: []*config.Problem{}}
	if problems != nil {
		out.Problems = problems.List
	} else {
		out.Sources, out.Triggers, out.Functions = len(file.Sources), len(file.Triggers), len(file.Functions)
		out.Warnings = append(out.Warnings, file.Warnings...)
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		return fmt.Errorf("print the report: %w", err)
	}
	if !out.Valid {
		return exitWith(exitInvalid, nil)
	}
	return nil
}

// plural counts things: 1 source, 2 sources.
func plural(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return count(n) + " " + thing + "s"
}
