package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/sinks"
	sinkfunction "sluice/sinks/function"
)

const (
	// maxInvocation is the largest payload, as with the service.
	maxInvocation = 6 << 20
	// buildWait is how long a program may take to be made, such as a Go program
	// that was never built.
	buildWait = time.Hour
	// ownShape stands for the shape that the function has.
	ownShape = "own"
)

// invokeFlags are the flags of "sluice invoke".
type invokeFlags struct {
	event, envVars, shape, config, server string
	noEvent                               bool
}

func newInvokeCommand(app *app) *cobra.Command {
	var flags invokeFlags
	cmd := &cobra.Command{
		Use: "invoke NAME", Short: "Run a function here, once, with an event", Args: oneArgument,
		Long: `Runs a function of the file here, once, in a worker of its own: no service is
needed. What the function logs and its REPORT line go to standard error, its
answer to standard output.

The event is the payload, as it stands: what the function gets of a source is
printed by "sluice generate-event". With --shape the event is a CloudEvent, or a
list of them, and the function gets what a trigger would make of it. Without an
event the payload is {}.

A function that is a sink of another kind (http, nats) is delivered the event to,
once and for real.

With --server the running service is asked instead. Exit code 1: the function has
answered with an error, which is printed too.`,
		Example: `  sluice generate-event s3 put --key a.jpg | sluice invoke thumbnail -e -
  sluice invoke thumbnail -e event.json --env-vars env.json
  sluice invoke thumbnail -e cloudevent.json --shape
  sluice invoke thumbnail --server http://127.0.0.1:4801`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			return app.invoke(cmd.Context(), args[0], &flags)
		},
	}
	cmd.Flags().StringVarP(&flags.event, "event", "e", "", "the `FILE` with the event, - for standard input")
	cmd.Flags().BoolVar(&flags.noEvent, "no-event", false, "invoke with {} (which is the default)")
	cmd.Flags().StringVar(&flags.envVars, "env-vars", "", `environment variables, a JSON `+"`FILE`"+`: {"NAME": {"KEY": "value"}, "Parameters": {…}}`)
	cmd.Flags().StringVar(&flags.shape, "shape", "", "the event is a CloudEvent: give the function its `SHAPE`, aws, cloudevent or data (default: the function's)")
	cmd.Flags().Lookup("shape").NoOptDefVal = ownShape
	cmd.Flags().StringVarP(&flags.config, "config", "c", defaultFile, "the configuration `FILE`")
	cmd.Flags().StringVar(&flags.server, "server", "", "ask the service at this `URL` of its admin listener")
	return cmd
}

// check refuses flags that do not go together.
func (f *invokeFlags) check(cmd *cobra.Command) error {
	switch {
	case f.event != "" && f.noEvent:
		return exitWithf(exitUsage, "--event and --no-event: remove one of them")
	case f.server != "" && cmd.Flags().Changed("config"):
		return exitWithf(exitUsage, "--server asks a service, which has its own configuration: remove --config")
	case f.server != "" && f.envVars != "":
		return exitWithf(exitUsage, "--server asks a service, whose workers have their own environment: remove --env-vars")
	case f.server != "" && f.shape == ownShape:
		return exitWithf(exitUsage, "--server asks a service: say which shape the event is to have, such as --shape=aws")
	case f.shape == "" || f.shape == ownShape:
		return nil
	}
	return checkShape(f.shape)
}

func checkShape(shape string) error {
	names := []string{}
	for _, known := range aws.Shapes() {
		if shape == string(known) {
			return nil
		}
		names = append(names, string(known))
	}
	return exitWithf(exitUsage, "--shape %q: it is %s", shape, strings.Join(names, ", "))
}

func (a *app) invoke(ctx context.Context, name string, flags *invokeFlags) error {
	given, err := a.readEvent(ctx, flags.event)
	if err != nil {
		return err
	}
	if flags.server != "" {
		return a.invokeThere(ctx, name, given, flags)
	}
	file, err := a.loadFile(flags.config)
	if err != nil {
		return err
	}
	f, err := findFunction(file, name)
	if err != nil {
		return err
	}
	section, ok := f.Sink.Section.(*sinkfunction.Config)
	if !ok {
		return a.deliverOnce(ctx, file, f, given, flags)
	}
	if flags.shape == ownShape {
		flags.shape = string(section.Shape)
	}
	payload, err := flags.shaped(given)
	if err != nil {
		return err
	}
	variables, err := flags.environment(name)
	if err != nil {
		return err
	}
	return a.invokeHere(ctx, name, section.Alone(variables), payload)
}

func findFunction(file *config.File, name string) (*config.Function, error) {
	names := make([]string, 0, len(file.Functions))
	for i := range file.Functions {
		if file.Functions[i].Name == name {
			return &file.Functions[i], nil
		}
		names = append(names, file.Functions[i].Name)
	}
	return nil, exitWithf(exitNotFound, "%s", admin.UnknownName("function", name, names))
}

// readEvent reads what --event names; without it the event is an empty object.
func (a *app) readEvent(ctx context.Context, name string) ([]byte, error) {
	if name == "" {
		return []byte("{}"), nil
	}
	text, err := a.readBounded(ctx, name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, exitWithf(exitNotFound, "--event: there is no file %q", name)
	case err != nil:
		return nil, err
	case len(text) > maxInvocation:
		return nil, exitWithf(exitUsage, "the event has more than %d bytes, which is the most that a function is given", maxInvocation)
	}
	var value json.RawMessage
	if err := json.Unmarshal(text, &value); err != nil {
		return nil, exitWithf(exitUsage, "the event in %s is no JSON: %s", name, admin.JSONText(err))
	}
	return text, nil
}

// readBounded reads a file or standard input, a little more than an event may
// have at most. At the end of ctx it is no longer waited for.
func (a *app) readBounded(ctx context.Context, name string) ([]byte, error) {
	type read struct {
		text []byte
		err  error
	}
	done := make(chan read, 1)
	go func() {
		from := a.stdin
		if name != "-" {
			file, err := os.Open(name) //nolint:gosec // the user names it
			if err != nil {
				done <- read{err: err}
				return
			}
			defer func() { _ = file.Close() }()
			from = file
		}
		text, err := io.ReadAll(io.LimitReader(from, maxInvocation+1))
		done <- read{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// shaped returns what the function is given.
func (f *invokeFlags) shaped(given []byte) ([]byte, error) {
	if f.shape == "" {
		return given, nil
	}
	events, batch, err := cloudEvents(given)
	if err != nil {
		return nil, err
	}
	payload, err := aws.Encode(aws.Shape(f.shape), events, aws.Options{Batch: batch})
	if err != nil {
		return nil, exitWithf(exitUsage, "the event cannot be given the shape %s: %w", f.shape, err)
	}
	return payload.JSON, nil
}

// cloudEvents reads one event, or a list of them, which is a batch.
func cloudEvents(text []byte) (events []*event.Event, batch bool, err error) {
	var all []event.Event
	if batch = strings.HasPrefix(strings.TrimSpace(string(text)), "["); batch {
		all, err = event.DecodeBatchJSON(text)
	} else {
		all = make([]event.Event, 1)
		all[0], err = event.DecodeJSON(text)
	}
	if err != nil {
		return nil, false, exitWithf(exitUsage, "with --shape the event is a CloudEvent in JSON: %w", err)
	}
	for i := range all {
		events = append(events, &all[i])
	}
	return events, batch, nil
}

// invokeHere makes one invocation in a worker of its own, and ends it.
func (a *app) invokeHere(ctx context.Context, name string, section *sinkfunction.Config, payload []byte) (err error) {
	scratch, err := os.MkdirTemp("", "sluice-invoke-")
	if err != nil {
		return fmt.Errorf("make a folder for the function: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	if err := os.Chmod(scratch, 0o711); err != nil { //nolint:gosec // workers of another user pass through it
		return err
	}
	host := functions.Host{Observer: newLinePrinter(a), Folders: functions.NewFolders(func() (string, error) { return scratch, nil })}
	sink, err := section.Sink(sinks.Env{Name: name, Functions: host}) //nolint:contextcheck // what it checks has a time of its own
	if err != nil {
		return exitWith(exitInvalid, err)
	}
	defer func() { err = errors.Join(err, sink.(sinks.Closer).Close()) }()
	result, err := sink.(interface {
		Invoke(ctx context.Context, in functions.Invocation) (functions.Result, error)
	}).Invoke(ctx, functions.Invocation{RequestID: uuid.NewString(), Payload: payload, MaxWait: buildWait})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if own, ok := errors.AsType[*functions.FunctionError](err); ok {
		_, _ = fmt.Fprintf(a.stdout, "%s\n", own.Payload)
		return exitWith(exitFailure, nil)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.stdout, "%s\n", result.Payload)
	return err
}

// invokeThere asks the service.
func (a *app) invokeThere(ctx context.Context, name string, given []byte, flags *invokeFlags) error {
	payload, err := flags.shaped(given)
	if err != nil {
		return err
	}
	client, err := a.newClient(flags.server)
	if err != nil {
		return err
	}
	defer client.Close()
	answer, err := client.Invoke(ctx, name, payload)
	if err != nil {
		return remoteError(err, client.Base())
	}
	printer := newLinePrinter(a)
	for line := range strings.Lines(answer.Log) {
		printer.print(strings.TrimRight(line, "\n"), platformLine(line))
	}
	if _, err := fmt.Fprintf(a.stdout, "%s\n", answer.Payload); err != nil {
		return err
	}
	if answer.Outcome != string(functions.OutcomeSuccess) {
		return exitWith(exitFailure, nil)
	}
	return nil
}
