package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/router/ledger"
)

func newTriggersCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{Use: "triggers", Short: "List, pause and resume triggers", Args: noArguments}
	cmd.AddCommand(
		app.asks(&cobra.Command{
			Use: "list", Short: "Show how each trigger stands", Args: noArguments,
			Long: `Shows how each trigger stands.

A trigger that is behind works through the log by itself and has LAG events to
go. WAITING deliveries have failed and will be attempted again, or wait for
their first attempt or for a batch. OLDEST is when the oldest event was accepted
that is not settled. Below stands why triggers are paused, and since when, and
what holds deliveries back.`,
			Example: "  sluice triggers list\n  sluice triggers list -o json",
		}, listTriggers),
		app.asks(&cobra.Command{
			Use: "pause NAME…", Short: "Stop the deliveries of triggers; what matches waits", Args: someArguments,
			Long:    "Stops the deliveries of triggers, also over restarts. What matches waits in the\nlog, and attempts under way finish.",
			Example: "  sluice triggers pause make-thumbnail",
		}, func(ctx context.Context, q *question, args []string) error {
			return steer(ctx, q, args, "paused", q.client.Pause)
		}),
		app.asks(&cobra.Command{
			Use: "resume NAME…", Short: "Let paused triggers go on", Args: someArguments,
			Example: "  sluice triggers resume make-thumbnail",
		}, func(ctx context.Context, q *question, args []string) error {
			return steer(ctx, q, args, "resumed", q.client.Resume)
		}),
	)
	return cmd
}

func listTriggers(ctx context.Context, q *question, _ []string) error {
	all, err := q.client.Triggers(ctx)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(all)
	}
	if len(all) == 0 {
		_, _ = fmt.Fprintln(q.out, "There are no triggers.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, 0, len(all))
	for i := range all {
		rows = append(rows, triggerRow(&all[i], now))
	}
	if err := table(q.out, []string{"TRIGGER", "STATE", "MATCHED", "DELIVERED", "DEAD", "DISCARDED", "RUNNING", "WAITING", "LAG", "OLDEST"}, rows); err != nil {
		return err
	}
	printPauses(q.out, all, now)
	printHolds(q.out, all, now)
	return nil
}

// printPauses says why triggers are paused, and since when.
func printPauses(w io.Writer, all []admin.Trigger, now time.Time) {
	for i := range all {
		p := all[i].Paused
		switch {
		case p == nil:
		case p.Reason == ledger.PausedGone:
			_, _ = fmt.Fprintf(w, "\n%s was paused %s: its sink is gone: %s\n    when it is there again: sluice triggers resume %s\n",
				all[i].Name, ago(p.Since, now), clean(p.Error, 0), all[i].Name)
		default:
			_, _ = fmt.Fprintf(w, "\n%s was paused %s, by command\n", all[i].Name, ago(p.Since, now))
		}
	}
}

func triggerRow(t *admin.Trigger, now time.Time) []string {
	return []string{
		t.Name, t.State, count(t.Matched), count(t.Delivered), count(t.Dead), count(t.Discarded),
		count(t.Running), count(t.Waiting + t.Buffered), count(t.Lag), ago(t.OldestWaiting, now),
	}
}

// steer pauses or resumes several triggers. One that there is not does not keep
// it from the others.
func steer(ctx context.Context, q *question, names []string, done string, act func(context.Context, string) (admin.Trigger, error)) error {
	var failed []string
	var first error
	standings := []admin.Trigger{}
	for _, name := range names {
		standing, err := act(ctx, name)
		if err != nil {
			failed = append(failed, remoteError(err, q.client.Base()).Error())
			first = err
			continue
		}
		standings = append(standings, standing)
		if !q.json {
			_, _ = fmt.Fprintf(q.out, "%s is %s\n", name, done)
		}
	}
	if q.json {
		if err := q.printJSON(standings); err != nil {
			return err
		}
	}
	switch {
	case len(failed) == 0:
		return nil
	case len(standings) == 0 && len(failed) == 1:
		return first
	}
	code := exitPartly
	if len(standings) == 0 {
		code = exitNotFound
	}
	return exitWithf(code, "%s", strings.Join(failed, "\n        "))
}
