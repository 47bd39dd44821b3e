package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/config"
	"sluice/event"
	"sluice/event/aws"
	"sluice/router/ledger"
)

func newEventCommand(app *app) *cobra.Command {
	var by, data string
	cmd := app.asks(&cobra.Command{
		Use: "event SEQUENCE|ID", Short: "Show the whole life of an event", Args: oneArgument,
		Long: `Shows the whole life of an event: where it came from, which triggers took it or
which clause refused it, every attempt, and how it ended.

The event is named by its sequence, as other commands show it, or by its
CloudEvents id, which is looked for from the newest event backwards. What
consists of digits is a sequence, unless --by id says otherwise.

A payload of more than 256 KiB is kept apart, and only its size is shown. --data
writes it, or a smaller one, to a file; of several events with one id the
newest one's.`,
		Example: "  sluice event 42\n  sluice event --by id 20260329\n  sluice event 3f1c0a52-5c1e-4b0e-9d53-0f4b2f1f6a11 -o json\n  sluice event 42 --data photo.jpg",
	}, func(ctx context.Context, q *question, args []string) error {
		return showEvent(ctx, q, args[0], by, data)
	})
	cmd.Flags().StringVar(&by, "by", "", "id or sequence")
	cmd.Flags().StringVar(&data, "data", "", dataUsage)
	return cmd
}

func showEvent(ctx context.Context, q *question, ref, by, data string) error {
	if by != "" && by != "id" && by != "sequence" {
		return exitWithf(exitUsage, "--by %q: it is id or sequence", by)
	}
	found, err := q.client.Events(ctx, ref, by)
	if err != nil {
		return err
	}
	if len(found.Events) == 0 {
		return noEvent(ref, &found)
	}
	if data != "" {
		return writeData(ctx, q, data, func(ctx context.Context, to io.Writer) error {
			return q.client.EventData(ctx, found.Events[0].Sequence, to)
		})
	}
	if q.json {
		return q.printJSON(found)
	}
	now := time.Now()
	for i := range found.Events {
		if i > 0 {
			_, _ = fmt.Fprintln(q.out)
		}
		printEvent(q.out, q.app.newPaint(q.out), &found.Events[i], now)
	}
	return nil
}

// sourceName names where an entry came from; directed ones come from no source,
// and what they are is told by the type of the event.
func sourceName(name, kind string) string {
	switch {
	case name != "":
		return clean(name, 0)
	case kind == aws.TypeSuccess || kind == aws.TypeFailure:
		return "(result)"
	case kind == aws.TypeInvocation:
		return "(invocation)"
	}
	return "(replay)"
}

// noEvent says how far was looked.
func noEvent(ref string, found *admin.Found) error {
	switch {
	case found.SearchedTo < found.SearchedFrom || found.SearchedTo == 0:
		return exitWithf(exitNotFound, "there is no event %q: there are no events yet", ref)
	case found.Complete:
		return exitWithf(exitNotFound, "there is no event %q among %d to %d, which is all that is kept", ref, found.SearchedFrom, found.SearchedTo)
	}
	return exitWithf(exitNotFound, "there is no event %q among the newest, %d to %d; older ones are found by their sequence", ref, found.SearchedFrom, found.SearchedTo)
}

// printEvent prints one event for people.
func printEvent(w io.Writer, p paint, e *admin.Event, now time.Time) {
	var decoded event.Event
	if len(e.Event) > 0 {
		if read, err := event.DecodeJSON(e.Event); err == nil {
			decoded = read
		}
	}
	title := fmt.Sprintf("%s  %s  %s", p.bold(fmt.Sprintf("Event %d", e.Sequence)), clean(decoded.Type, 80), clean(decoded.Subject, 80))
	_, _ = fmt.Fprintln(w, strings.TrimRight(title, " "))
	line := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(w, "  %-9s %s\n", name, value)
		}
	}
	line("id", clean(decoded.ID, 0))
	line("source", fmt.Sprintf("%s  %s", sourceName(e.Source, decoded.Type), p.dim(clean(decoded.Source, 120))))
	line("accepted", fmt.Sprintf("%s  %s", clock(e.Accepted, now), p.dim(ago(e.Accepted, now))))
	if e.Directed != "" {
		line("only for", fmt.Sprintf("%s  %s", e.Directed, p.dim(directedText(e.Directed, e.Origin))))
	}
	if e.Directed == "" && e.Origin != "" {
		line("reply to", clean(e.Origin, 0))
	}
	line("problem", clean(e.Problem, 0))
	if e.Large != nil {
		line("data", largeLine(e.Large, fmt.Sprintf("sluice event %d", e.Sequence)))
	}
	line("data", dataLine(&decoded))
	for i := range e.Triggers {
		_, _ = fmt.Fprintln(w)
		printStanding(w, p, &e.Triggers[i], now)
	}
	if len(e.Triggers) == 0 {
		_, _ = fmt.Fprintf(w, "\n  No trigger is on the source %q.\n", e.Source)
	}
}

// directedText says why an entry is for one trigger only. A replay is for the
// trigger whose letter it was.
func directedText(trigger, origin string) string {
	id, err := event.ParseDeliveryID(origin)
	switch {
	case origin == "":
		return "asynchronous invocation"
	case err == nil && id.Trigger != trigger && isResult(trigger):
		return "the result of " + clean(origin, 0)
	}
	return "replayed from " + originText(origin)
}

// isResult tells whether a trigger by its name may be one for results; another
// may have had another name when its letter was written.
func isResult(trigger string) bool {
	return strings.HasSuffix(trigger, config.SuffixOnSuccess) || strings.HasSuffix(trigger, config.SuffixOnFailure)
}

// originText names what a replay was made from: a letter by the id of its
// delivery, an event of the past by its sequence.
func originText(origin string) string {
	if id, err := event.ParseEntryID(origin); err == nil {
		return fmt.Sprintf("history, event %d", id.Sequence)
	}
	return clean(origin, 0)
}

// dataLine is the beginning of the payload on one line.
func dataLine(e *event.Event) string {
	const most = 160
	switch {
	case len(e.Data) == 0:
		return ""
	case event.IsJSON(e.DataContentType):
		var compact bytes.Buffer
		if json.Compact(&compact, e.Data) == nil {
			return clean(compact.String(), most)
		}
	case !strings.HasPrefix(e.DataContentType, "text/"):
		return fmt.Sprintf("%s of %s", humanize.IBytes(uint64(len(e.Data))), clean(e.DataContentType, 80))
	}
	return clean(string(e.Data[:min(len(e.Data), 4*most)]), most)
}

func printStanding(w io.Writer, p paint, s *admin.Standing, now time.Time) {
	mark, state := standingMark(p, s)
	_, _ = fmt.Fprintf(w, "%s %s  %s", mark, p.bold(s.Trigger), state)
	if s.Reason != "" {
		_, _ = fmt.Fprintf(w, ": %s", reasonText(s.Reason))
	}
	_, _ = fmt.Fprintln(w)
	rows := make([][]string, 0, len(s.Attempts))
	for i := range s.Attempts {
		rows = append(rows, attemptRow(&s.Attempts[i], now))
	}
	if len(rows) > 0 {
		var text bytes.Buffer
		if table(&text, []string{"ATTEMPT", "AT", "STATUS", "TOOK", "OUTCOME", "ERROR"}, rows) == nil {
			indent(w, text.String(), "    ")
		}
	}
	if s.Explanation != nil {
		indent(w, s.Explanation.Text("ok", "NO"), "    ")
	}
	switch {
	case s.State == "dead" && s.Letter:
		_, _ = fmt.Fprintf(w, "    %s\n", p.dim("its letter: sluice dlq show "+s.DeliveryID))
	case s.State == "dead":
		_, _ = fmt.Fprintf(w, "    %s\n", p.dim("its letter has gone: it was replayed or purged"))
	}
}

// reasonText is why a delivery has ended as it did.
func reasonText(reason string) string {
	switch reason {
	case ledger.ReasonDebounced:
		return "debounced, a later one has taken its place"
	case ledger.ReasonFiltered:
		return "filtered, its transform yields nothing"
	}
	return clean(reason, 0)
}

// standingMark is a sign and a word for what became of a delivery.
func standingMark(p paint, s *admin.Standing) (mark, state string) {
	switch s.State {
	case "done":
		return p.green("✓"), "delivered"
	case "dead":
		return p.red("✗"), p.red("dead")
	case "discarded":
		if s.Reason == ledger.ReasonDebounced || s.Reason == ledger.ReasonFiltered {
			return "–", s.State // as its trigger asks for
		}
		return p.red("✗"), p.red(s.State)
	case "dying":
		return p.red("✗"), p.red(s.State)
	case admin.StandingRefused:
		return "–", "its pattern refuses the event"
	case admin.StandingBefore:
		return "–", "the event was there before the trigger"
	case admin.StandingPending:
		return p.yellow("…"), "not attempted yet"
	}
	return p.yellow("…"), p.yellow("waits for its next attempt")
}

func attemptRow(a *admin.Attempt, now time.Time) []string {
	outcome := a.Outcome
	switch {
	case outcome == "done":
		outcome = "delivered"
	case outcome == "dying":
		outcome = "failed, the last"
	case outcome == "throttled":
		outcome = "not counted"
	case !a.Due.IsZero():
		outcome = "failed, next at " + clock(a.Due, now)
	}
	status := "-"
	if a.Status != 0 {
		status = strconv.Itoa(a.Status)
	}
	return []string{strconv.Itoa(a.Number), clock(a.Time, now), status, millis(a.DurationMS), outcome, clean(a.Error, 100)}
}

func indent(w io.Writer, text, by string) {
	for line := range strings.Lines(text) {
		_, _ = fmt.Fprintf(w, "%s%s\n", by, strings.TrimRight(line, "\n"))
	}
}
