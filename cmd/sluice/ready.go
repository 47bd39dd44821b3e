package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
)

// readyEvery is the time between two looks of ready --wait.
const readyEvery = 100 * time.Millisecond

func newReadyCommand(app *app) *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "ready", Short: "Tell whether the service takes and carries events", Args: noArguments,
		Long: `Shows the checks of a running service, as /readyz does. A source in error is
degraded, and does not make the service unready.

Exit code 0: it is ready, 1: it is not, 4: nobody answers. For health checks of
containers, and for scripts that wait for a start.`,
		Example: "  sluice ready\n  sluice ready --wait 30s && sluice send orders",
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait until it is ready")
	return app.asks(cmd, func(ctx context.Context, q *question, _ []string) error {
		if wait < 0 {
			return exitWithf(exitUsage, "--wait %v: it is at least 0", wait)
		}
		found, err := awaitReady(ctx, q.client, wait)
		if err != nil {
			return err
		}
		return showReady(q, found)
	})
}

// awaitReady asks until the service is ready or the time is over, and returns
// what it found last.
func awaitReady(ctx context.Context, client *admin.Client, wait time.Duration) (admin.Readiness, error) {
	deadline := time.Now().Add(wait)
	for {
		found, err := client.Ready(ctx)
		over := !time.Now().Add(readyEvery).Before(deadline)
		if over || err == nil && found.Ready || err != nil && !errors.Is(err, admin.ErrUnreachable) {
			return found, err
		}
		select {
		case <-ctx.Done():
			return found, ctx.Err()
		case <-time.After(readyEvery):
		}
	}
}

func showReady(q *question, found admin.Readiness) error {
	var verdict error
	if !found.Ready {
		verdict = exitWith(exitFailure, nil)
	}
	if q.json {
		return errors.Join(q.printJSON(found), verdict)
	}
	rows := make([][]string, 0, len(found.Checks))
	for _, c := range found.Checks {
		rows = append(rows, []string{c.Name, string(c.State), clean(c.Error, 0)})
	}
	return errors.Join(table(q.out, []string{"CHECK", "STATE", "ERROR"}, rows), verdict)
}
