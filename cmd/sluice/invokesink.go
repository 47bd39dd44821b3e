package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"time"

	"github.com/google/uuid"

	"sluice/config"
	"sluice/event"
	"sluice/event/aws"
	"sluice/event/transform"
	"sluice/sinks"
)

// deliverTimeout is how long a function that says nothing may take.
const deliverTimeout = 30 * time.Second

// deliverOnce gives an event to a function that is a sink of another kind: one
// attempt, outside of any log.
func (a *app) deliverOnce(ctx context.Context, file *config.File, f *config.Function, given []byte, flags *invokeFlags) error {
	if flags.envVars != "" || flags.shape != "" && flags.shape != ownShape {
		return exitWithf(exitUsage, "the function %q is a sink of the kind %s, whose workers sluice does not run: it has neither shapes nor an environment here", f.Name, f.Sink.Kind)
	}
	attempt, err := attemptOf(f, given, flags.shape != "")
	if err != nil {
		return err
	}
	section, ok := f.Sink.Section.(sinks.Config)
	if !ok {
		return fmt.Errorf("the kind %s of the function %q is no sink", f.Sink.Kind, f.Name)
	}
	sink, err := section.Sink(sinks.Env{Name: f.Name, Egress: file.Egress, Turns: transform.NewTurns(runtime.GOMAXPROCS(0))})
	if err != nil {
		return err
	}
	if closer, ok := sink.(sinks.Closer); ok {
		defer func() { _ = closer.Close() }() // there is nothing left that could be lost
	}
	within, cancel := context.WithTimeout(ctx, cmp.Or(time.Duration(f.Timeout), deliverTimeout))
	defer cancel()
	response, err := sink.Deliver(within, attempt)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return a.delivered(f, response, err)
}

// attemptOf makes an attempt of what is given: CloudEvents, or the data of one.
func attemptOf(f *config.Function, given []byte, shaped bool) (sinks.Attempt, error) {
	attempt := sinks.Attempt{Trigger: "invoke"}
	events := []*event.Event{{
		ID: uuid.NewString(), Source: "/sluice/invoke", Type: aws.TypeInvocation, Time: time.Now(),
		DataContentType: "application/json", Data: given,
	}}
	if shaped {
		var err error
		if events, _, err = cloudEvents(given); err != nil {
			return attempt, err
		}
	}
	if batching, ok := f.Sink.Section.(interface{ Batches() config.Batching }); ok {
		attempt.Batch = batching.Batches() == config.MustBatch
	}
	if len(events) != 1 && !attempt.Batch {
		return attempt, exitWithf(exitUsage, "the function %q takes one event at a time, and there are %d", f.Name, len(events))
	}
	for _, e := range events {
		attempt.Deliveries = append(attempt.Deliveries, sinks.Delivery{ID: "invoke." + e.ID, Attempt: 1, Event: e})
	}
	return attempt, nil
}

// delivered says what the sink has answered.
func (a *app) delivered(f *config.Function, response sinks.Response, err error) error {
	status := ""
	if response.Status != 0 {
		status = fmt.Sprintf(", status %d", response.Status)
	}
	if len(response.Body) > 0 {
		body := string(response.Body)
		if !json.Valid(response.Body) && onTerminal(a.stdout) {
			body = clean(body, 0)
		}
		if _, err := fmt.Fprintln(a.stdout, body); err != nil {
			return err
		}
	}
	if err != nil {
		return exitWithf(exitFailure, "the delivery to %s (%s%s) has failed: %w", f.Name, f.Sink.Kind, status, err)
	}
	_, _ = fmt.Fprintf(a.stderr, "delivered to %s (%s%s)\n", f.Name, f.Sink.Kind, status)
	return nil
}
