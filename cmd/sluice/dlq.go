package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/cmd/sluice/internal/admin"
	"sluice/dlq"
	"sluice/event"
)

func newDLQCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", Short: "List, show, replay and purge dead letters", Args: noArguments,
		Long: `A delivery that is out of attempts, or that its sink has refused for good,
becomes a letter: the event, and what each attempt came to.`,
	}
	cmd.AddCommand(
		newDLQListCommand(app), newDLQShowCommand(app), newDLQReplayCommand(app), newDLQPurgeCommand(app),
	)
	cmd.AddCommand(newJobCommands(app, letterJobs())...)
	return cmd
}

// letterFilter holds the flags that select letters.
type letterFilter struct {
	trigger, kind, source, since, until, text, reason string
	status                                            int
}

func (f *letterFilter) flags(set *pflag.FlagSet) {
	set.StringVar(&f.trigger, "trigger", "", "letters of the trigger of this `NAME`")
	set.StringVar(&f.kind, "type", "", "letters of events of this `TYPE`")
	set.StringVar(&f.source, "source", "", "letters of events of the source of this `NAME`")
	set.StringVar(&f.since, "since", "", "letters that died at this `TIME` or later, or since so long ago: 2h, 7d")
	set.StringVar(&f.until, "until", "", "letters that died before this `TIME`, or longer ago")
	set.StringVar(&f.text, "error", "", "letters whose last error contains this `TEXT`, in any case of letters")
	set.StringVar(&f.reason, "reason", "", "exhausted, permanent, expired, poison or undecodable")
	set.IntVar(&f.status, "status", 0, "letters whose last answer had this status `CODE`")
}

// filter makes a filter of the flags and of delivery ids.
func (f *letterFilter) filter(ids []string, now time.Time) (dlq.Filter, error) {
	made := dlq.Filter{Trigger: f.trigger, Type: f.kind, Source: f.source, ErrorContains: f.text, Status: f.status, Reason: f.reason}
	if f.reason != "" && !slices.Contains(dlq.Reasons(), f.reason) {
		return made, exitWithf(exitUsage, "--reason %q: it is one of %s", f.reason, strings.Join(dlq.Reasons(), ", "))
	}
	if f.status != 0 && (f.status < 100 || f.status > 599) {
		return made, exitWithf(exitUsage, "--status %d: a status code is from 100 to 599", f.status)
	}
	for _, id := range ids {
		if _, err := event.ParseDeliveryID(id); err != nil {
			return made, exitWithf(exitUsage, "%q is not the id of a letter: `sluice dlq list` shows them", id)
		}
		made.IDs = append(made.IDs, id)
	}
	var err error
	if made.Since, err = parseWhen("since", f.since, now); err != nil {
		return made, err
	}
	made.Until, err = parseWhen("until", f.until, now)
	return made, err
}

// given tells whether the flags and ids select less than all.
func (f *letterFilter) given(ids []string) bool { return *f != letterFilter{} || len(ids) > 0 }

func newDLQListCommand(app *app) *cobra.Command {
	var flags letterFilter
	var group string
	var limit int
	var after uint64
	cmd := app.asks(&cobra.Command{
		Use: "list", Short: "List letters, or count them in groups", Args: noArguments,
		Example: `  sluice dlq list --trigger make-thumbnail --since 2h
  sluice dlq list --group error
  sluice dlq list --status 503 --group trigger`,
	}, func(ctx context.Context, q *question, _ []string) error {
		filter, err := flags.filter(nil, time.Now())
		if err != nil {
			return err
		}
		if group != "" {
			return groupLetters(ctx, q, &filter, group)
		}
		if limit < 1 || limit > 1000 {
			return exitWithf(exitUsage, "--limit %d: write 1 to 1000", limit)
		}
		return listLetters(ctx, q, &filter, after, limit)
	})
	flags.flags(cmd.Flags())
	cmd.Flags().StringVar(&group, "group", "", "count `BY` trigger, error, type or source")
	cmd.Flags().IntVar(&limit, "limit", 50, "how many to list, 1 to 1000")
	cmd.Flags().Uint64Var(&after, "after", 0, "go on after this `POSITION`, which the end of a list tells")
	return cmd
}

func listLetters(ctx context.Context, q *question, filter *dlq.Filter, after uint64, limit int) error {
	query := admin.FilterQuery(filter)
	query.Set("after", strconv.FormatUint(after, 10))
	query.Set("limit", strconv.Itoa(limit))
	page, err := q.client.Letters(ctx, query)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(page)
	}
	if len(page.Letters) == 0 {
		_, _ = fmt.Fprintln(q.out, "There are no such letters.")
		return nil
	}
	now := time.Now()
	rows := make([][]string, 0, len(page.Letters))
	for i := range page.Letters {
		rows = append(rows, letterRow(&page.Letters[i], now))
	}
	if err := table(q.out, []string{"DIED", "TRIGGER", "TYPE", "REASON", "STATUS", "ERROR", "LETTER"}, rows); err != nil {
		return err
	}
	if page.Next != 0 {
		_, _ = fmt.Fprintf(q.out, "\nThere are more: --after %d\n", page.Next)
	}
	return nil
}

func letterRow(l *admin.Letter, now time.Time) []string {
	if l.Problem != "" {
		return []string{"-", l.Trigger, "-", "unreadable", "-", clean(l.Problem, 48), l.ID}
	}
	return []string{
		ago(l.Died, now), l.Trigger, clean(l.Type, 40), l.Reason, statusText(l.Status), clean(l.Error, 48), l.ID,
	}
}

func statusText(status int) string {
	if status == 0 {
		return "-"
	}
	return strconv.Itoa(status)
}

func groupLetters(ctx context.Context, q *question, filter *dlq.Filter, group string) error {
	if !slices.Contains([]string{"trigger", "error", "type", "source"}, group) {
		return exitWithf(exitUsage, "--group %q: it is trigger, error, type or source", group)
	}
	counts, err := q.client.CountLetters(ctx, admin.FilterQuery(filter), group)
	if err != nil {
		return err
	}
	if q.json {
		return q.printJSON(counts)
	}
	if counts.Total == 0 {
		_, _ = fmt.Fprintln(q.out, "There are no such letters.")
		return nil
	}
	if err := printGroups(q.out, "LETTERS", group, counts.Groups); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(q.out, "\n%s\n", countsText(&counts))
	return nil
}

// printGroups prints the largest groups first.
func printGroups(w io.Writer, things, group string, groups map[string]int) error {
	names := slices.SortedFunc(maps.Keys(groups), func(a, b string) int {
		if groups[a] != groups[b] {
			return groups[b] - groups[a]
		}
		return strings.Compare(a, b)
	})
	rows := make([][]string, 0, len(names))
	for _, name := range names {
		rows = append(rows, []string{count(groups[name]), clean(name, 120)})
	}
	return table(w, []string{things, strings.ToUpper(group)}, rows)
}

// countsText says how many letters a replay would take, and why not the others.
func countsText(c *admin.Counts) string {
	text := fmt.Sprintf("%s, of which %s can be replayed", letters(c.Total), count(c.Replayable))
	return text + skippedText(c.Skipped)
}

func skippedText(skipped map[string]int) string {
	var text strings.Builder
	for _, reason := range slices.Sorted(maps.Keys(skipped)) {
		fmt.Fprintf(&text, "; %s left: %s", count(skipped[reason]), reason)
	}
	return text.String()
}

func newDLQShowCommand(app *app) *cobra.Command {
	var data string
	cmd := app.asks(&cobra.Command{
		Use: "show LETTER", Short: "Show one letter with its event and its attempts", Args: oneArgument,
		Long: `Shows one letter with its event and its attempts. A payload of more than 256 KiB
is kept apart, and only its size is shown; --data writes it, or a smaller one, to
a file.`,
	}, func(ctx context.Context, q *question, args []string) error {
		if _, err := event.ParseDeliveryID(args[0]); err != nil {
			return exitWithf(exitUsage, "%q is not the id of a letter: `sluice dlq list` shows them", args[0])
		}
		if data != "" {
			return writeData(ctx, q, data, func(ctx context.Context, to io.Writer) error {
				return q.client.LetterData(ctx, args[0], to)
			})
		}
		letter, err := q.client.Letter(ctx, args[0])
		if err != nil {
			return err
		}
		if q.json {
			return q.printJSON(letter)
		}
		return printLetter(q, &letter)
	})
	cmd.Flags().StringVar(&data, "data", "", dataUsage)
	return cmd
}

// letterData is the beginning of the payload, or where it is.
func letterData(l *admin.WholeLetter, e *event.Event) string {
	if l.Large != nil {
		return largeLine(l.Large, "sluice dlq show "+l.ID)
	}
	return dataLine(e)
}

func printLetter(q *question, l *admin.WholeLetter) error {
	p, now := q.app.newPaint(q.out), time.Now()
	var decoded event.Event
	if len(l.Event) > 0 {
		read, err := event.DecodeJSON(l.Event)
		if err != nil {
			return fmt.Errorf("the letter's event cannot be read: %w", err)
		}
		decoded = read
	}
	_, _ = fmt.Fprintf(q.out, "%s  %s\n", p.bold("Letter"), l.ID)
	for _, line := range [][2]string{
		{"trigger", l.Trigger},
		{"source", clean(l.Source, 0) + "  " + p.dim(clean(l.EventSource, 120))},
		{"event", fmt.Sprintf("%s  %s  %s", clean(l.Type, 80), clean(decoded.Subject, 80), p.dim(clean(l.EventID, 0)))},
		{"accepted", clock(l.Accepted, now) + "  " + p.dim(ago(l.Accepted, now))},
		{"died", clock(l.Died, now) + "  " + p.dim(ago(l.Died, now))},
		{"reason", p.red(l.Reason)},
		{"error", clean(l.Error, 0)},
		{"replay of", originText(l.Origin)},
		{"data", letterData(l, &decoded)},
	} {
		if line[1] != "" {
			_, _ = fmt.Fprintf(q.out, "  %-9s %s\n", line[0], line[1])
		}
	}
	_, _ = fmt.Fprintln(q.out)
	rows := make([][]string, 0, len(l.History))
	for i := range l.History {
		a := &l.History[i]
		rows = append(rows, []string{strconv.Itoa(a.Number), clock(a.Time, now), statusText(a.Status), millis(a.DurationMS), clean(a.Error, 120)})
	}
	if err := table(q.out, []string{"ATTEMPT", "AT", "STATUS", "TOOK", "ERROR"}, rows); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(q.out, "\n%s\n", p.dim("replay it: sluice dlq replay "+l.ID))
	return nil
}
