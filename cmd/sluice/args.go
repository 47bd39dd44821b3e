package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// noArguments refuses words after a command that takes none.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("unexpected %q: %s takes flags only", args[0], cmd.CommandPath())
	}
	return nil
}

// oneArgument wants what stands after the command's name in its usage.
func oneArgument(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return someArguments(cmd, args)
	case len(args) > 1:
		return fmt.Errorf("%d arguments: %s takes one %s", len(args), cmd.CommandPath(), argumentName(cmd))
	}
	return nil
}

// someArguments wants at least one of what stands after the command's name in
// its usage.
func someArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("the %s is missing", argumentName(cmd))
	}
	return nil
}

func argumentName(cmd *cobra.Command) string {
	_, name, _ := strings.Cut(cmd.Use, " ")
	return strings.TrimSuffix(name, "…")
}

// flagProblem says what would be right for a flag whose value is not.
func flagProblem(_ *cobra.Command, err error) error {
	invalid, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	flag := invalid.GetFlag()
	want := map[string]string{
		"int": "a whole number", "uint64": "a whole number", "float64": "a number", "duration": "a time such as 30s or 5m", "bool": "true or false",
	}[flag.Value.Type()]
	if want == "" {
		return err
	}
	return fmt.Errorf("--%s %q: write %s", flag.Name, invalid.GetValue(), want)
}
