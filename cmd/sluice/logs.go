package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
)

// logsFlags are the flags of "sluice logs".
type logsFlags struct {
	tail                 bool
	since, until, filter string
	lines                int
}

// The lines that are shown when nothing says how many.
const (
	linesAtOnce  = 100
	linesAtFirst = 10 // before those that come
)

func newLogsCommand(app *app) *cobra.Command {
	var flags logsFlags
	cmd := app.asks(&cobra.Command{
		Use: "logs NAME", Short: "Show what a function logs", Args: oneArgument,
		Long: `Shows what a function has logged that sluice runs itself, with the START, END and
REPORT lines of each invocation: the newest 100 lines, or all since a time. In
front stand the time and the beginning of the request id.

With --tail it shows what comes, until it is interrupted. When the service goes
away, it waits for it and goes on where it was: nothing is missed.

A filter is a text that the line or its request id contains, or a regular
expression (RE2) between slashes. With -o json it prints one object a line: time,
request_id, worker, platform and text.`,
		Example: `  sluice logs thumbnail
  sluice logs thumbnail --tail --filter ERROR
  sluice logs thumbnail --since 10m --filter '/Duration: \d{4,}/'
  sluice logs thumbnail --since 2h --until 1h -o json`,
	}, func(ctx context.Context, q *question, args []string) error { return showLogs(ctx, q, args[0], &flags) })
	cmd.Flags().BoolVarP(&flags.tail, "tail", "t", false, "go on with what comes")
	cmd.Flags().StringVar(&flags.since, "since", "", "lines since a time, or so long `AGO`")
	cmd.Flags().StringVar(&flags.until, "until", "", "lines until a time, or so long `AGO`")
	cmd.Flags().StringVar(&flags.filter, "filter", "", "only lines with this `TEXT`, or that a /regular expression/ matches")
	cmd.Flags().IntVarP(&flags.lines, "lines", "n", 0, "the newest `N` lines at most (default 100, with --tail 10, with --since all)")
	return cmd
}

func (f *logsFlags) query(now time.Time) (url.Values, error) {
	query := url.Values{}
	for name, text := range map[string]string{"since": f.since, "until": f.until} {
		at, err := parseWhen(name, text, now)
		if err != nil {
			return nil, err
		}
		if !at.IsZero() {
			query.Set(name, at.Format(time.RFC3339Nano))
		}
	}
	if f.filter != "" {
		query.Set("filter", f.filter)
	}
	if f.tail {
		query.Set("follow", "true")
	}
	switch {
	case f.lines < 0:
		return nil, exitWithf(exitUsage, "--lines %d: write a number from 1", f.lines)
	case f.lines > 0:
		query.Set("last", strconv.Itoa(f.lines))
	case f.since == "" && f.tail:
		query.Set("last", strconv.Itoa(linesAtFirst))
	case f.since == "":
		query.Set("last", strconv.Itoa(linesAtOnce))
	}
	return query, nil
}

// showLogs prints lines; with --tail until it is interrupted, which is no
// failure.
func showLogs(ctx context.Context, q *question, name string, flags *logsFlags) error {
	query, err := flags.query(time.Now())
	if err != nil {
		return err
	}
	show, shown := printLogs(q), false
	ask := func() error {
		return q.client.FunctionLogs(ctx, name, query, func(line *admin.LogLine) error {
			shown = true
			return show(line)
		})
	}
	if flags.tail {
		return followStream(ctx, q, ask)
	}
	if err := ask(); err != nil || shown || q.json {
		return err
	}
	_, _ = fmt.Fprintf(q.app.stderr, "%s has logged nothing that was asked for.\n", name)
	return nil
}

// printLogs returns what prints one line.
func printLogs(q *question) func(*admin.LogLine) error {
	if q.json {
		encoder := json.NewEncoder(q.out)
		encoder.SetEscapeHTML(false)
		return func(line *admin.LogLine) error { return encoder.Encode(line.Entry) }
	}
	p := q.app.newPaint(q.out)
	return func(line *admin.LogLine) error {
		head := fmt.Sprintf("%s  %-8.8s", logClock(line.Time, time.Now()), escaped(line.RequestID))
		_, err := fmt.Fprintf(q.out, "%s  %s\n", p.dim(head), p.logText(withoutHead(line.Text, line.RequestID), line.Platform))
		return err
	}
}

// withoutHead is a line without the time and the request id that runtimes such as
// Node's put in front: they stand there already.
func withoutHead(text, requestID string) string {
	when, rest, _ := strings.Cut(text, "\t")
	if _, err := time.Parse(time.RFC3339, when); err != nil || requestID == "" {
		return text
	}
	if shorter, found := strings.CutPrefix(rest, requestID+"\t"); found {
		return shorter
	}
	return text
}

// logClock shows a time to the millisecond, in local time.
func logClock(at, now time.Time) string {
	return clock(at, now) + at.Local().Format(".000")
}

// retryFollow is how long followStream waits before it asks a service again that has
// gone.
const retryFollow = time.Second

// followStream asks for a stream until it is interrupted, and again when the service
// has gone and come back. It is an error when it was never there.
func followStream(ctx context.Context, q *question, ask func() error) error {
	connected, away := false, false
	for {
		err := ask()
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // to be interrupted is how it ends
		case errors.Is(err, admin.ErrStreamEnded):
			connected, away = true, false
		case !errors.Is(err, admin.ErrUnreachable) || !connected:
			return err
		}
		if !away {
			_, _ = fmt.Fprintln(q.app.stderr, "sluice: the service has gone; waiting for it")
			away = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryFollow):
		}
	}
}
