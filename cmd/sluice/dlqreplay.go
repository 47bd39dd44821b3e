package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/dlq"
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
	if !(f.rate >= 0 && f.rate <= math.MaxFloat64) { // not a number is neither
		return nil, exitWithf(exitUsage, "--rate %v: write letters a second, or 0 for as fast as it goes", f.rate)
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
		if flags.detach {
			return detached(q, &job)
		}
		return follow(ctx, q, job)
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
	if err := printGroups(q.out, "trigger", counts.Groups); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(q.out, "\n%s, of which %s %s%s\n", letters(counts.Total), count(counts.Replayable), what, skippedText(counts.Skipped))
	return nil
}

func detached(q *question, job *admin.Job) error {
	if q.json {
		return q.printJSON(job)
	}
	_, _ = fmt.Fprintf(q.out, "The replay %s of %s goes on in the service.\nFollow it with: sluice dlq resume %s\n", job.ID, letters(job.Total), job.ID)
	return nil
}

// follow waits for the end of a replay and shows how far it is.
func follow(ctx context.Context, q *question, job admin.Job) error {
	bar := newProgress(q)
	err := admin.Poll(ctx, func(ctx context.Context) (bool, error) {
		now, err := q.client.Job(ctx, job.ID)
		if err != nil {
			return false, err
		}
		job = now
		bar.show(&job)
		return job.State != dlq.Running, nil
	})
	bar.end()
	if errors.Is(err, context.Canceled) {
		return exitWithf(exitInterrupted, "the replay goes on in the service; follow it with: sluice dlq resume %s", job.ID)
	}
	if err != nil {
		return err
	}
	return replayed(q, &job)
}

// replayed prints how a replay has ended.
func replayed(q *question, job *admin.Job) error {
	left := 0
	for _, n := range job.Skipped {
		left += n
	}
	switch {
	case q.json:
		if err := q.printJSON(job); err != nil {
			return err
		}
	case job.Total == 0:
		return exitWithf(exitNotFound, "no letter is selected")
	default:
		_, _ = fmt.Fprintf(q.out, "%s replayed%s\n", letters(job.Replayed), skippedText(job.Skipped))
	}
	switch {
	case job.State == dlq.Cancelled:
		return exitWithf(exitPartly, "the replay %s was cancelled; go on with: sluice dlq resume %s", job.ID, job.ID)
	case job.Total == 0:
		return exitWith(exitNotFound, nil)
	case left > 0:
		return exitWith(exitPartly, nil)
	}
	return nil
}

// A progress is a bar on the terminal; without one it shows nothing.
type progress struct {
	q     *question
	on    bool
	shown bool
}

func newProgress(q *question) *progress {
	return &progress{q: q, on: onTerminal(q.app.stderr) && !q.json}
}

// barWidth is the number of cells of the bar.
const barWidth = 30

func (p *progress) show(job *admin.Job) {
	if !p.on {
		return
	}
	p.shown = true
	_, _ = fmt.Fprintf(p.q.app.stderr, "\r\x1b[K%s", progressText(job))
}

// progressText is one line that says how far a replay is.
func progressText(job *admin.Job) string {
	done := job.Replayed
	for _, n := range job.Skipped {
		done += n
	}
	filled := barWidth
	if job.Total > 0 {
		filled = min(barWidth, barWidth*done/job.Total)
	}
	text := fmt.Sprintf("[%s%s] %s of %s", strings.Repeat("█", filled), strings.Repeat("·", barWidth-filled), count(done), letters(job.Total))
	if job.Problem != "" {
		text += "  held up: " + clean(job.Problem, 60)
	}
	return text
}

func (p *progress) end() {
	if p.shown {
		_, _ = fmt.Fprint(p.q.app.stderr, "\r\x1b[K")
	}
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

func newDLQJobsCommand(app *app) *cobra.Command {
	return app.asks(&cobra.Command{
		Use: "jobs", Short: "List the replays, also those that have ended", Args: noArguments,
	}, func(ctx context.Context, q *question, _ []string) error {
		all, err := q.client.Jobs(ctx)
		if err != nil {
			return err
		}
		if q.json {
			return q.printJSON(all)
		}
		if len(all) == 0 {
			_, _ = fmt.Fprintln(q.out, "There are no replays.")
			return nil
		}
		now := time.Now()
		rows := make([][]string, 0, len(all))
		for i := range all {
			j := &all[i]
			skipped := strings.TrimPrefix(skippedText(j.Skipped), "; ")
			rows = append(rows, []string{j.ID, string(j.State), ago(j.Created, now), count(j.Replayed), count(j.Total), skipped + clean(j.Problem, 60)})
		}
		return table(q.out, []string{"REPLAY", "STATE", "CREATED", "REPLAYED", "OF", "NOTE"}, rows)
	})
}

func newDLQResumeCommand(app *app) *cobra.Command {
	return app.asks(&cobra.Command{
		Use: "resume REPLAY", Short: "Follow a replay, or go on with one that was cancelled", Args: oneArgument,
		Long: `Follows a replay that is under way. One that was cancelled is begun again with
the same filter and rate: what it has replayed is no letter any more.`,
	}, func(ctx context.Context, q *question, args []string) error {
		job, err := q.client.Job(ctx, args[0])
		if err != nil {
			return err
		}
		if job.State == dlq.Cancelled {
			// An empty filter is one that has selected all.
			request := &admin.LettersRequest{Filter: job.Filter, Rate: job.Rate, All: len(admin.FilterQuery(&job.Filter)) == 0}
			if job, err = q.client.Replay(ctx, request); err != nil {
				return err
			}
		}
		return follow(ctx, q, job)
	})
}

func newDLQCancelCommand(app *app) *cobra.Command {
	return app.asks(&cobra.Command{
		Use: "cancel REPLAY", Short: "End a replay", Args: oneArgument,
		Long: "Ends a replay after the letters that it has in hand. What was replayed stays so;\nthe others stay letters.",
	}, func(ctx context.Context, q *question, args []string) error {
		job, err := q.client.CancelJob(ctx, args[0])
		if err != nil {
			return err
		}
		if q.json {
			return q.printJSON(job)
		}
		_, _ = fmt.Fprintf(q.out, "%s is cancelled: %s of %s were replayed\n", job.ID, count(job.Replayed), letters(job.Total))
		return nil
	})
}
