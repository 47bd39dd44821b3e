package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/event"
)

// tailFlags are the flags of "sluice tail".
type tailFlags struct{ source, trigger, kind, from, pattern string }

func newTailCommand(app *app) *cobra.Command {
	var flags tailFlags
	cmd := app.asks(&cobra.Command{
		Use: "tail", Short: "Show events as they are accepted", Args: noArguments,
		Long: `Shows events as they are accepted, until it is interrupted. When the service goes
away, it waits for it and goes on where it was: nothing is missed.

With -o json it prints one object a line: sequence, source, accepted and event.
A payload of more than 256 KiB is kept apart: the event is shown without it, and
"large" says its size.`,
		Example: `  sluice tail
  sluice tail --source uploads --from 1h
  sluice tail --trigger make-thumbnail --from 42 -o json
  sluice tail --pattern '{"data":{"size":[{"numeric":[">",1000000]}]}}'`,
	}, func(ctx context.Context, q *question, _ []string) error { return tail(ctx, q, &flags) })
	cmd.Flags().StringVar(&flags.source, "source", "", "only events of the source of this `NAME`")
	cmd.Flags().StringVar(&flags.trigger, "trigger", "", "only events that the trigger of this `NAME` takes")
	cmd.Flags().StringVar(&flags.kind, "type", "", "only events of this `TYPE`; s3.* stands for all that begin with s3.")
	cmd.Flags().StringVar(&flags.from, "from", "", "begin at a sequence, a time, or so long `AGO` (default: what comes next)")
	cmd.Flags().StringVar(&flags.pattern, "pattern", "", "only events that match this `PATTERN`, in JSON")
	return cmd
}

func (f *tailFlags) query(now time.Time) (url.Values, error) {
	query := url.Values{}
	for name, value := range map[string]string{"source": f.source, "trigger": f.trigger, "type": f.kind, "pattern": f.pattern} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if f.from == "" {
		return query, nil
	}
	if _, err := strconv.ParseUint(f.from, 10, 64); err == nil {
		query.Set("from", f.from)
		return query, nil
	}
	at, err := parseWhen("from", f.from, now)
	if err != nil {
		return nil, err
	}
	query.Set("from", at.Format(time.RFC3339Nano))
	return query, nil
}

// tail prints until it is interrupted, which is no failure.
func tail(ctx context.Context, q *question, flags *tailFlags) error {
	query, err := flags.query(time.Now())
	if err != nil {
		return err
	}
	show := printTail(q)
	return followStream(ctx, q, func() error { return q.client.Tail(ctx, query, show) })
}

// printTail returns what prints one line.
func printTail(q *question) func(*admin.TailLine) error {
	if q.json {
		encoder := json.NewEncoder(q.out)
		encoder.SetEscapeHTML(false)
		return func(line *admin.TailLine) error { return encoder.Encode(line) }
	}
	p := q.app.newPaint(q.out)
	return func(line *admin.TailLine) error {
		_, err := fmt.Fprintln(q.out, tailText(p, line, time.Now()))
		return err
	}
}

func tailText(p paint, line *admin.TailLine, now time.Time) string {
	e, err := event.DecodeJSON(line.Event)
	source := sourceName(line.Source, e.Type)
	head := fmt.Sprintf("%s  %s  %s", p.dim(clock(line.Accepted, now)), p.dim(fmt.Sprintf("%6d", line.Sequence)), p.bold(source))
	if line.Directed != "" {
		head += " → " + line.Directed
	}
	if line.Problem != "" {
		return head + "  " + p.red(clean(line.Problem, 0))
	}
	if err != nil {
		return head + "  " + p.red(clean(err.Error(), 0))
	}
	text := fmt.Sprintf("%s ─ %s", head, clean(e.Type, 80))
	if e.Subject != "" {
		text += "  " + clean(e.Subject, 80)
	}
	data := clean(dataLine(&e), 100)
	if line.Large != nil {
		data = humanize.IBytes(uint64(line.Large.Size)) + ", kept apart"
	}
	return fmt.Sprintf("%s  %s  %s", text, p.dim(clean(e.ID, 40)), data)
}
