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

// A jobKind is how the replays of one kind are spoken of.
type jobKind struct {
	kind    string
	command string             // that makes them, and has those that steer them below it
	things  func(n int) string // so many of what they replay
	header  string             // of the column that says of how many, or how far
	far     func(j *admin.Job) string
	part    func(j *admin.Job) float64
	cancel  string // what becomes of the rest
}

func letterJobs() *jobKind {
	return &jobKind{
		kind: dlq.KindLetters, command: "dlq", things: letters,
		header: "OF",
		far:    func(j *admin.Job) string { return count(j.Total) },
		part:   func(j *admin.Job) float64 { return share(j.Replayed+skippedCount(j), j.Total) },
		cancel: "Ends a replay after the letters that it has in hand. What was replayed stays so;\nthe others stay letters.",
	}
}

func historyJobs() *jobKind {
	return &jobKind{
		kind: dlq.KindHistory, command: "replay", things: events,
		header: "READ",
		far:    func(j *admin.Job) string { return fmt.Sprintf("%.0f %%", math.Floor(100*scanned(j))) },
		part:   scanned,
		cancel: "Ends a replay after the events that it has in hand. What was replayed stays so.\nIt holds the history no longer that it has still to read.",
	}
}

func kindOf(j *admin.Job) *jobKind {
	if j.Kind == dlq.KindHistory {
		return historyJobs()
	}
	return letterJobs()
}

func letters(n int) string { return plural(n, "letter") }

func events(n int) string { return plural(n, "event") }

func share(part, whole int) float64 {
	if whole == 0 {
		return 1
	}
	return min(1, float64(part)/float64(whole))
}

// scanned is how much of its stretch of the log a replay of history has looked at.
func scanned(j *admin.Job) float64 {
	return share(int(j.Handled+1-j.First), int(j.Last+1-j.First))
}

func skippedCount(j *admin.Job) (n int) {
	for _, of := range j.Skipped {
		n += of
	}
	return n
}

// checkRate refuses what is no number of things a second.
func checkRate(rate float64, things string) error {
	if !(rate >= 0 && rate <= math.MaxFloat64) { // not a number is neither
		return exitWithf(exitUsage, "--rate %v: write %s a second, or 0 for as fast as it goes", rate, things)
	}
	return nil
}

// started follows a replay that was just made, or says how to.
func started(ctx context.Context, q *question, job admin.Job, detach bool) error {
	switch {
	case !detach:
		return follow(ctx, q, job)
	case q.json:
		return q.printJSON(job)
	}
	k := kindOf(&job)
	what := ""
	if k.kind == dlq.KindLetters {
		what = " of " + letters(job.Total)
	}
	_, _ = fmt.Fprintf(q.out, "The replay %s%s goes on in the service.\nFollow it with: sluice %s resume %s\n", job.ID, what, k.command, job.ID)
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
		return exitWithf(exitInterrupted, "the replay goes on in the service; follow it with: sluice %s resume %s", kindOf(&job).command, job.ID)
	}
	if err != nil {
		return err
	}
	return replayed(q, &job)
}

// replayed prints how a replay has ended.
func replayed(q *question, job *admin.Job) error {
	k, left := kindOf(job), skippedCount(job)
	nothing := job.State == dlq.Finished && job.Replayed+left == 0
	switch {
	case q.json:
		if err := q.printJSON(job); err != nil {
			return err
		}
	case nothing:
		return exitWithf(exitNotFound, "no %s is selected%s", strings.TrimPrefix(k.things(1), "1 "), goneText(job.Available))
	default:
		_, _ = fmt.Fprintf(q.out, "%s replayed%s%s\n", k.things(job.Replayed), skippedText(job.Skipped), goneText(job.Available))
	}
	switch {
	case job.State == dlq.Cancelled:
		why := ""
		if job.Reason != "" {
			why = ": " + job.Reason
		}
		return exitWithf(exitPartly, "the replay %s was cancelled%s; go on with: sluice %s resume %s", job.ID, why, k.command, job.ID)
	case nothing:
		return exitWith(exitNotFound, nil)
	case left > 0:
		return exitWith(exitPartly, nil)
	}
	return nil
}

// goneText says from when on there is history, when more was asked for.
func goneText(available time.Time) string {
	if available.IsZero() {
		return ""
	}
	return "; history is available from " + available.Local().Format(time.DateTime) + " on, what was accepted before has gone"
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
	k := kindOf(job)
	filled := int(barWidth * k.part(job))
	text := fmt.Sprintf("[%s%s] %s", strings.Repeat("█", filled), strings.Repeat("·", barWidth-filled), k.things(job.Replayed))
	if k.kind == dlq.KindLetters {
		text += " of " + count(job.Total)
	}
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

// newJobCommands are those that list and steer the replays of a kind.
func newJobCommands(app *app, k *jobKind) []*cobra.Command {
	list := app.asks(&cobra.Command{
		Use: "jobs", Short: "List the replays, also those that have ended", Args: noArguments,
	}, func(ctx context.Context, q *question, _ []string) error { return listJobs(ctx, q, k) })
	resume := app.asks(&cobra.Command{
		Use: "resume REPLAY", Short: "Follow a replay, or go on with one that was cancelled", Args: oneArgument,
		Long: "Follows a replay that is under way. One that was cancelled goes on where it was.",
	}, func(ctx context.Context, q *question, args []string) error {
		job, err := q.client.Job(ctx, args[0])
		if err == nil && job.State == dlq.Cancelled {
			job, err = q.client.ResumeJob(ctx, args[0])
		}
		if err != nil {
			return err
		}
		return follow(ctx, q, job)
	})
	cancel := app.asks(&cobra.Command{
		Use: "cancel REPLAY", Short: "End a replay", Args: oneArgument, Long: k.cancel,
	}, func(ctx context.Context, q *question, args []string) error {
		job, err := q.client.CancelJob(ctx, args[0])
		if err != nil {
			return err
		}
		if q.json {
			return q.printJSON(job)
		}
		_, _ = fmt.Fprintf(q.out, "%s is cancelled: %s\n", job.ID, cancelledText(&job))
		return nil
	})
	return []*cobra.Command{list, resume, cancel}
}

func cancelledText(j *admin.Job) string {
	if j.Kind == dlq.KindLetters {
		return fmt.Sprintf("%s of %s were replayed", count(j.Replayed), letters(j.Total))
	}
	return fmt.Sprintf("%s replayed, from %.0f %% of what there was to read", events(j.Replayed), math.Floor(100*scanned(j)))
}

func listJobs(ctx context.Context, q *question, k *jobKind) error {
	all, err := q.client.Jobs(ctx, k.kind)
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
		rows = append(rows, []string{j.ID, string(j.State), ago(j.Created, now), jobTrigger(j), count(j.Replayed), k.far(j), jobNote(j)})
	}
	return table(q.out, []string{"REPLAY", "STATE", "CREATED", "TRIGGER", "REPLAYED", k.header, "NOTE"}, rows)
}

func jobTrigger(j *admin.Job) string {
	switch {
	case j.History != nil:
		return j.History.Trigger
	case j.Filter.Trigger != "":
		return j.Filter.Trigger
	}
	return "-"
}

// jobNote says what else there is to know of a replay.
func jobNote(j *admin.Job) string {
	var notes []string
	for _, note := range []string{clean(j.Problem, 80), j.Reason, strings.TrimPrefix(skippedText(j.Skipped), "; "), strings.TrimPrefix(goneText(j.Available), "; ")} {
		if note != "" {
			notes = append(notes, note)
		}
	}
	return strings.Join(notes, "; ")
}
