package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

func newAuditCommand(app *app) *cobra.Command {
	return app.asks(&cobra.Command{
		Use: "audit", Short: "Check that every delivery is accounted for", Args: noArguments,
		Long: `Checks that for each trigger what matched was delivered, is dead, was discarded
for a reason, or waits; and that every event of the history has its delivery.
It names what is missing. Exit code 1: something is.`,
		Example: "  sluice audit",
	}, audit)
}

func audit(ctx context.Context, q *question, _ []string) error {
	found, err := q.client.Audit(ctx)
	if err != nil {
		return err
	}
	var verdict error
	if !found.Conserved {
		verdict = exitWith(exitFailure, nil)
	}
	if q.json {
		if err := q.printJSON(found); err != nil {
			return err
		}
		return verdict
	}
	rows := make([][]string, 0, len(found.Triggers))
	for _, t := range found.Triggers {
		off := "-"
		if t.Off != 0 {
			off = fmt.Sprintf("%+d", t.Off)
		}
		rows = append(rows, []string{t.Name, count(t.Matched), count(t.Delivered), count(t.Dead), count(t.Discarded), count(t.Waiting), off})
	}
	if err := table(q.out, []string{"TRIGGER", "MATCHED", "DELIVERED", "DEAD", "DISCARDED", "WAITING", "OFF BY"}, rows); err != nil {
		return err
	}
	for _, m := range found.Missing {
		_, _ = fmt.Fprintf(q.out, "missing: event %d for %s: %s (see `sluice event %d`)\n", m.Sequence, m.Trigger, clean(m.Why, 0), m.Sequence)
	}
	word := "conserved"
	if !found.Conserved {
		word = "not conserved"
	}
	_, _ = fmt.Fprintf(q.out, "\n%s: %s checked\n", word, plural(int(found.Checked), "event"))
	return verdict
}
