package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/cmd/sluice/internal/admin"
	"sluice/dlq"
	"sluice/router/pattern"
)

// historyFlags are the flags of "sluice replay".
type historyFlags struct {
	trigger, source, kind, since, until, pattern string
	first, last                                  uint64
	all, dryRun, detach                          bool
	rate                                         float64
}

func (f *historyFlags) flags(set *pflag.FlagSet) {
	set.StringVar(&f.trigger, "trigger", "", "the `NAME` of the trigger that the events are for")
	set.StringVar(&f.since, "since", "", "events that were accepted at this `TIME` or later, or since so long ago: 2h, 7d")
	set.StringVar(&f.until, "until", "", "events that were accepted before this `TIME`, or longer ago")
	set.Uint64Var(&f.first, "first", 0, "events from this `SEQUENCE` on")
	set.Uint64Var(&f.last, "last", 0, "events up to this `SEQUENCE`")
	set.StringVar(&f.source, "source", "", "only events of the source of this `NAME`")
	set.StringVar(&f.kind, "type", "", "only events of this `TYPE`; s3.* stands for all that begin with s3.")
	set.StringVar(&f.pattern, "pattern", "", "only events that match this `PATTERN` too, in JSON")
	set.BoolVar(&f.all, "all", false, "replay all that the trigger takes of what is kept")
	set.Float64Var(&f.rate, "rate", 0, "at most so many events a `SECOND`; 0: as fast as it goes")
	set.BoolVar(&f.dryRun, "dry-run", false, "only count what would be replayed")
	set.BoolVar(&f.detach, "detach", false, "start the replay and do not wait for it")
}

// request makes what is asked of the service.
func (f *historyFlags) request(now time.Time) (*admin.HistoryRequest, error) {
	if f.trigger == "" {
		return nil, exitWithf(exitUsage, "--trigger is missing: name the trigger that the events are for")
	}
	if err := checkRate(f.rate, "events"); err != nil {
		return nil, err
	}
	made := dlq.HistoryFilter{Trigger: f.trigger, Source: f.source, Type: f.kind, First: f.first, Last: f.last}
	var err error
	if made.Since, err = parseWhen("since", f.since, now); err != nil {
		return nil, err
	}
	if made.Until, err = parseWhen("until", f.until, now); err != nil {
		return nil, err
	}
	if f.pattern != "" {
		if _, err := pattern.Compile([]byte(f.pattern)); err != nil {
			return nil, exitWithf(exitUsage, "--pattern: %w", err)
		}
		made.Pattern = json.RawMessage(f.pattern)
	}
	if f.all != made.Everything() {
		return nil, exitWithf(exitUsage, "say which events: --since TIME or another filter, or --all for all that is kept; not both")
	}
	return &admin.HistoryRequest{Filter: made, All: f.all, Rate: f.rate}, nil
}

func newReplayCommand(app *app) *cobra.Command {
	var flags historyFlags
	cmd := app.asks(&cobra.Command{
		Use: "replay --trigger NAME", Short: "Deliver events of the past again, to one trigger", Args: noArguments,
		Long: `Delivers events that are kept in the log to one trigger, also those that it has
had: of the events on its sources that its pattern takes, those that all filters
select. Each is a new delivery; the other triggers do not see it.

The replay is worked by the service: it goes on when this command is interrupted
or the service restarted, and takes each event once. It takes what was there when
it was made. Exit code 5: no event is selected; 6: some were left out, or the
replay was cancelled.`,
		Example: `  sluice replay --trigger make-thumbnail --since 24h --dry-run
  sluice replay --trigger make-thumbnail --since 2026-03-29T02:00:00Z --until 2026-03-29T04:30:00Z
  sluice replay --trigger book --since 7d --pattern '{"data":{"total":[{"numeric":[">",100]}]}}' --rate 50
  sluice replay jobs`,
	}, func(ctx context.Context, q *question, _ []string) error {
		request, err := flags.request(time.Now())
		if err != nil {
			return err
		}
		if flags.dryRun {
			return countHistory(ctx, q, request)
		}
		job, err := q.client.ReplayHistory(ctx, request)
		if err != nil {
			return err
		}
		return started(ctx, q, job, flags.detach)
	})
	flags.flags(cmd.Flags())
	cmd.AddCommand(newJobCommands(app, historyJobs())...)
	return cmd
}

// countHistory prints what a replay would take.
func countHistory(ctx context.Context, q *question, request *admin.HistoryRequest) error {
	c, err := q.client.CountHistory(ctx, request)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(c)
	}
	if c.Total == 0 {
		return exitWithf(exitNotFound, "no event is selected%s%s", skippedText(c.Skipped), goneText(c.Available))
	}
	if err := printGroups(q.out, "EVENTS", "type", c.Types); err != nil {
		return err
	}
	now := time.Now()
	_, _ = fmt.Fprintf(q.out, "\n%s would be replayed to %s, accepted from %s (sequence %d) to %s (sequence %d)%s%s\n",
		events(c.Total), request.Filter.Trigger, clock(c.FirstTime, now), c.First, clock(c.LastTime, now), c.Last, skippedText(c.Skipped), goneText(c.Available))
	return nil
}
