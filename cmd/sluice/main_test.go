package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/lambda"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(work) // the test binary is a function's worker too; it does not return
	}
	goleak.VerifyTestMain(m)
}

// A ranCommand is what a command line has left behind.
type ranCommand struct {
	code           int
	stdout, stderr string
}

// sluice runs a command line in this process.
func sluice(t *testing.T, variables map[string]string, args ...string) ranCommand {
	t.Helper()
	var stdout, stderr bytes.Buffer
	app := &app{
		stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr,
		lookup: func(name string) (string, bool) {
			value, ok := variables[name]
			return value, ok
		},
	}
	code := run(t.Context(), app, args)
	return ranCommand{code, stdout.String(), stderr.String()}
}

func TestUsageErrors(t *testing.T) {
	for line, want := range map[string]string{
		"valdate":                      `sluice: unknown command "valdate" for "sluice"` + "\n\nDid you mean this?\n\tvalidate\nSee 'sluice --help'.\n",
		"validate --confg x":           "sluice: unknown flag: --confg\nSee 'sluice validate --help'.\n",
		"validate x":                   `sluice: unexpected "x": sluice validate takes flags only` + "\nSee 'sluice validate --help'.\n",
		"help foo":                     "sluice: there is no command \"foo\"\nSee 'sluice --help'.\n",
		"help dlq foo":                 "sluice: there is no command \"dlq foo\"\nSee 'sluice --help'.\n",
		"completion fis":               `sluice: unknown command "fis" for "sluice completion"; did you mean "fish"?` + "\nSee 'sluice completion --help'.\n",
		"dlq show":                     "sluice: the LETTER is missing\nSee 'sluice dlq show --help'.\n",
		"dlq show a b":                 "sluice: 2 arguments: sluice dlq show takes one LETTER\nSee 'sluice dlq show --help'.\n",
		"triggers pause":               "sluice: the NAME is missing\nSee 'sluice triggers pause --help'.\n",
		"event":                        "sluice: the SEQUENCE|ID is missing\nSee 'sluice event --help'.\n",
		"dlq list --status x":          `sluice: --status "x": write a whole number` + "\nSee 'sluice dlq list --help'.\n",
		"dlq replay --rate fast":       `sluice: --rate "fast": write a number` + "\nSee 'sluice dlq replay --help'.\n",
		"up --drain long":              `sluice: --drain "long": write a time such as 30s or 5m` + "\nSee 'sluice up --help'.\n",
		"up --drain 5":                 `sluice: --drain "5": write a time such as 30s or 5m` + "\nSee 'sluice up --help'.\n",
		"dlq replay --all=maybe":       `sluice: --all "maybe": write true or false` + "\nSee 'sluice dlq replay --help'.\n",
		"dlq replay --all --rate NaN":  "sluice: --rate NaN: write letters a second, or 0 for as fast as it goes\n",
		"dlq replay --all --rate +Inf": "sluice: --rate +Inf: write letters a second, or 0 for as fast as it goes\n",
		"validate -o xml":              `sluice: --output "xml": it is text or json` + "\n",
		"validate -c a --output":       "sluice: flag needs an argument: --output\nSee 'sluice validate --help'.\n",
	} {
		got := sluice(t, nil, strings.Fields(line)...)
		if got.code != exitUsage || got.stderr != want || got.stdout != "" {
			t.Errorf("sluice %s: code %d, printed %q and %q", line, got.code, got.stdout, got.stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		got := sluice(t, nil, args...)
		if got.code != exitOK || got.stderr != "" {
			t.Errorf("sluice %v: code %d, %q", args, got.code, got.stderr)
		}
		for _, want := range []string{"sluice.yaml", "Write the configuration:\n", "  validate       Check the configuration and print every problem\n", "--version"} {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("sluice %v does not print %q:\n%s", args, want, got.stdout)
			}
		}
	}
	if got := sluice(t, nil, "--version"); got.code != exitOK || !strings.HasPrefix(got.stdout, "sluice ") || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("--version prints %q", got.stdout)
	}
}

// A group of commands without a word prints its help, and refuses a word that
// is none of them.
func TestUnknownSubcommand(t *testing.T) {
	if got := sluice(t, nil, "cron"); got.code != exitOK || !strings.Contains(got.stdout, "next") {
		t.Errorf("sluice cron: code %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	got := sluice(t, nil, "cron", "nxt")
	want := `sluice: unknown command "nxt" for "sluice cron"; did you mean "next"?` + "\nSee 'sluice cron --help'.\n"
	if got != (ranCommand{exitUsage, "", want}) {
		t.Errorf("sluice cron nxt: code %d, %q", got.code, got.stderr)
	}
}

func TestExitCode(t *testing.T) {
	failed := errors.New("it failed")
	for _, c := range []struct {
		err     error
		code    int
		message string
	}{
		{nil, exitOK, ""},
		{failed, exitFailure, "it failed"},
		{exitWith(exitPartly, failed), exitPartly, "it failed"},
		{exitWith(exitInvalid, nil), exitInvalid, ""},
		{fmt.Errorf("do it: %w", exitWith(exitUnreachable, failed)), exitUnreachable, "do it: it failed"},
		{context.Canceled, exitInterrupted, "interrupted"},
		{exitWith(exitNotFound, context.Canceled), exitNotFound, "context canceled"},
		{exitWithf(exitUsage, "give %d", 1), exitUsage, "give 1"},
	} {
		if code, message := exitCode(c.err); code != c.code || message != c.message {
			t.Errorf("%v: %d, %q", c.err, code, message)
		}
	}
}
