package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
)

// replayFlags are the flags of "sluice dlq replay" and "purge".
type replayFlags struct {
	filter                   letterFilter
	all, dryRun, detach, yes bool
	rate                     float64
}

// request makes what is asked of the service.
func (f *replayFlags) request(ids []string) (*admin.LettersRequest, error) {
	if f.all == f.filter.given(ids) {
		return nil, exitWithf(exitUsage, "say which letters: their ids, a filter such as --trigger NAME, or --all; not two of these with --all")
	}
	if err := checkRate(f.rate, "letters"); err != nil {
		return nil, err
	}
	filter, err := f.filter.filter(ids, time.Now())
	return &admin.LettersRequest{Filter: filter, All: f.all, Rate: f.rate}, err
}

func newDLQReplayCommand(app *app) *cobra.Command {
	var flags replayFlags
	cmd := app.asks(&cobra.Command{
		Use: "replay [LETTER…]", Short: "Deliver letters again", Long: `Delivers letters again, each to its own trigger and as a new delivery. A letter
goes away when its replay is durable; a delivery that dies again is a new letter.

The replay is worked by the service: it goes on when this command is interrupted
or the service restarted, and takes no letter twice. Exit code 5: no letter is
selected; 6: some were left where they are.`,
		Example: `  sluice dlq replay --trigger make-thumbnail --dry-run
  sluice dlq replay --error "connection refused" --since 2h --rate 50
  sluice dlq replay --all --detach`,
	}, func(ctx context.Context, q *question, args []string) error {
		request, err := flags.request(args)
		if err != nil {
			return err
		}
		if flags.dryRun {
			return dryRun(ctx, q, request, "would be replayed")
		}
		job, err := q.client.Replay(ctx, request)
		if err != nil {
			return err
		}
		return started(ctx, q, job, flags.detach)
	})
	flags.filter.flags(cmd.Flags())
	cmd.Flags().BoolVar(&flags.all, "all", false, "replay all letters")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only count what would be replayed")
	cmd.Flags().BoolVar(&flags.detach, "detach", false, "start the replay and do not wait for it")
	cmd.Flags().Float64Var(&flags.rate, "rate", 0, "at most so many letters a `SECOND`; 0: as fast as it goes")
	return cmd
}

// dryRun prints what would be taken.
func dryRun(ctx context.Context, q *question, request *admin.LettersRequest, what string) error {
	counts, err := q.client.DryRun(ctx, request)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(counts)
	}
	if counts.Total == 0 {
		return exitWithf(exitNotFound, "no letter is selected")
	}
	if err := printGroups(q.out, "LETTERS", "trigger", counts.Groups); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(q.out, "\n%s, of which %s %s%s\n", letters(counts.Total), count(counts.Replayable), what, skippedText(counts.Skipped))
	return nil
}

func newDLQPurgeCommand(app *app) *cobra.Command {
	var flags replayFlags
	cmd := app.asks(&cobra.Command{
		Use: "purge [LETTER…]", Short: "Delete letters for ever", Long: `Deletes letters for ever. It asks first, unless --yes is given.
Letters whose delivery the ledger does not have as dead yet are left.`,
		Example: "  sluice dlq purge --type test.ping --dry-run\n  sluice dlq purge --until 30d --yes",
	}, func(ctx context.Context, q *question, args []string) error {
		request, err := flags.request(args)
		if err != nil {
			return err
		}
		if flags.dryRun {
			return dryRun(ctx, q, request, "could be replayed instead of being purged")
		}
		return purge(ctx, q, request, flags.yes)
	})
	flags.filter.flags(cmd.Flags())
	cmd.Flags().BoolVar(&flags.all, "all", false, "purge all letters")
	cmd.Flags().BoolVar(&flags.dryRun, "dry-run", false, "only count what would be purged")
	cmd.Flags().BoolVarP(&flags.yes, "yes", "y", false, "do not ask")
	return cmd
}

func purge(ctx context.Context, q *question, request *admin.LettersRequest, yes bool) error {
	if !yes {
		counts, err := q.client.DryRun(ctx, request)
		if err != nil {
			return err
		}
		if counts.Total == 0 {
			return exitWithf(exitNotFound, "no letter is selected")
		}
		sure, err := q.app.confirm(ctx, fmt.Sprintf("Delete %s for ever?", letters(counts.Total)))
		if err != nil {
			return err
		}
		if !sure {
			return exitWithf(exitFailure, "nothing was purged")
		}
	}
	purged, err := q.client.Purge(ctx, request)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(purged)
	}
	_, _ = fmt.Fprintf(q.out, "%s purged%s\n", letters(purged.Letters), skippedText(purged.Skipped))
	if len(purged.Skipped) > 0 {
		return exitWith(exitPartly, nil)
	}
	return nil
}
