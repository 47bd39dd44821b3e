package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
)

// The environment that commands read.
const (
	envServer = "SLUICE_SERVER" // the admin listener's URL
	envToken  = "SLUICE_TOKEN"  // its token; never a flag, which others could read
)

const defaultServer = "http://127.0.0.1:4801"

// A question is what a command that asks a running service has in hand.
type question struct {
	app    *app
	client *admin.Client
	json   bool
	out    io.Writer
}

// asks makes cmd a command that asks a running service: it adds the flags and
// turns errors into exit codes.
func (a *app) asks(cmd *cobra.Command, run func(ctx context.Context, q *question, args []string) error) *cobra.Command {
	var server, output string
	byDefault := defaultServer
	if value, ok := a.lookup(envServer); ok && value != "" {
		byDefault = value
	}
	cmd.Flags().StringVar(&server, "server", byDefault, "the `URL` of the service's admin listener ($"+envServer+")")
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if output != "table" && output != "json" {
			return exitWithf(exitUsage, "--output %q: it is table or json", output)
		}
		client, err := a.newClient(server)
		if err != nil {
			return err
		}
		defer client.Close()
		q := &question{app: a, client: client, json: output == "json", out: a.stdout}
		return remoteError(run(cmd.Context(), q, args), client.Base())
	}
	return cmd
}

func (a *app) newClient(server string) (*admin.Client, error) {
	token, _ := a.lookup(envToken)
	client, err := admin.NewClient(server, config.NewSecret(token))
	if err != nil {
		return nil, exitWith(exitUsage, err)
	}
	return client, nil
}

// remoteError gives an error of a client its exit code.
func remoteError(err error, base string) error {
	var problem *admin.Problem
	switch {
	case err == nil:
		return nil
	case errors.Is(err, admin.ErrUnreachable):
		return exitWithf(exitUnreachable, "cannot reach sluice at %s: is `sluice up` running?", base)
	case !errors.As(err, &problem):
		return err
	}
	switch problem.Status {
	case http.StatusNotFound:
		return exitWith(exitNotFound, err)
	case http.StatusBadRequest:
		return exitWith(exitUsage, err)
	case http.StatusUnauthorized:
		return exitWithf(exitFailure, "the service asks for its admin token: set %s", envToken)
	}
	return exitWith(exitFailure, err)
}

// printJSON prints v for programs.
func (q *question) printJSON(v any) error {
	encoder := json.NewEncoder(q.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return fmt.Errorf("print the answer: %w", err)
	}
	return nil
}

// confirm asks on the terminal; without one nobody can answer, and it refuses.
func (a *app) confirm(ctx context.Context, text string) (bool, error) {
	file, ok := a.stdin.(*os.File)
	if !ok || !term.IsTerminal(int(file.Fd())) {
		return false, exitWithf(exitUsage, "there is no terminal to ask on: say --yes if you mean it")
	}
	_, _ = fmt.Fprintf(a.stderr, "%s [y/N] ", text)
	return readYes(ctx, file)
}

// readYes reads a line and tells whether it is a yes. At the end of ctx it is
// no longer waited for: a terminal cannot be told to stop reading, so that its
// goroutine ends with the program.
func readYes(ctx context.Context, from io.Reader) (bool, error) {
	read := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(from).ReadString('\n') // what cannot be read is no yes
		read <- line
	}()
	select {
	case line := <-read:
		answer := strings.ToLower(strings.TrimSpace(line))
		return answer == "y" || answer == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// onTerminal tells whether w shows on a terminal.
func onTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
