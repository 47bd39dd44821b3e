package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/event"
	"sluice/functions"
	"sluice/router"
	"sluice/router/ledger"
)

// devLines is how many lines may wait for a terminal that does not take them.
const devLines = 4096

// A devLog prints lines from any goroutine. It never blocks: what a terminal
// does not take in time is left out, and counted.
type devLog struct {
	paint paint
	out   io.Writer
	lines chan string
}

func newDevLog(p paint, out io.Writer) *devLog {
	return &devLog{paint: p, out: out, lines: make(chan string, devLines)}
}

// run prints until ctx ends, and then what is left.
func (d *devLog) run(ctx context.Context) {
	for {
		select {
		case line := <-d.lines:
			d.write(line)
		case <-ctx.Done():
			for len(d.lines) > 0 {
				d.write(<-d.lines)
			}
			return
		}
	}
}

func (d *devLog) write(line string) {
	_, _ = io.WriteString(d.out, line) // there is nobody to tell
}

// print hands a text with its line feed over.
func (d *devLog) print(text string) {
	select {
	case d.lines <- text:
	default:
	}
}

// Write takes a record of the logger.
func (d *devLog) Write(record []byte) (int, error) {
	d.print(d.paint.yellow(strings.TrimRight(string(record), "\n")) + "\n")
	return len(record), nil
}

// Line is for functions.Observer: it shows what a function has written itself.
func (d *devLog) Line(line functions.Line) {
	if line.Platform {
		return
	}
	head := d.paint.dim(line.Time.Local().Format("15:04:05.000")) + "  " + d.paint.bold(clean(line.Function, 0))
	d.print(head + " │ " + d.paint.logText(withoutHead(line.Text, line.RequestID), false) + "\n")
}

// Report is for functions.Observer: the line of the delivery says it.
func (d *devLog) Report(functions.Report) {}

// head says which event it is: by its sequence where it is known.
func (d *devLog) head(source string, sequence uint64, kind, subject string) string {
	text := fmt.Sprintf("%s  %s ─ ", d.paint.dim(time.Now().Format("15:04:05.000")), d.paint.bold(sourceName(source, kind)))
	if sequence != 0 {
		text += fmt.Sprintf("#%d ", sequence)
	}
	text += clean(kind, 80)
	if subject != "" {
		text += "  " + clean(subject, 100)
	}
	return text
}

// accepted shows an event that no trigger wants; the others are shown by what
// becomes of them.
func (d *devLog) accepted(source string, e *event.Event, triggers int) {
	if triggers > 0 {
		return
	}
	d.print(fmt.Sprintf("%s → %s  %s\n", d.head(source, 0, e.Type, e.Subject), d.paint.yellow("no trigger wants it;"),
		"why: sluice event --by id "+shellWord(e.ID)))
}

// observe shows the end of an attempt, or of a delivery.
func (d *devLog) observe(o router.Observation) {
	text := fmt.Sprintf("%s → %s", d.head(o.Source, o.Sequence, o.Type, o.Subject), d.paint.bold(o.Trigger))
	d.print(text + "  " + outcomeText(d.paint, &o) + "\n")
}

// outcomeText says how an attempt, or a delivery, has ended.
func outcomeText(p paint, o *router.Observation) string {
	facts := ""
	if o.Status != 0 {
		facts += fmt.Sprintf("  %d", o.Status)
	}
	if o.Duration > 0 {
		facts += "  " + span(o.Duration)
	}
	problem := ""
	if o.Error != "" {
		problem = "  " + clean(o.Error, 160)
	}
	switch o.Outcome {
	case "done":
		return p.green("✓ delivered") + attemptText(o.Attempt) + facts
	case "retry":
		return p.yellow(fmt.Sprintf("↻ attempt %d failed", o.Attempt)) + facts + "  again in " + span(o.RetryIn) + problem
	case "throttled":
		if o.Reason == ledger.PausedGone {
			return p.yellow("⏸ the sink is gone, the trigger is paused") + facts + problem
		}
		return p.yellow("↻ no room") + facts + "  again in " + span(o.RetryIn) + problem
	case "dying":
		return p.red(fmt.Sprintf("✗ attempt %d failed, the last one (%s)", o.Attempt, o.Reason)) + facts + problem
	case "dead":
		return p.red("✗ dead: ") + "sluice dlq show " + o.DeliveryID
	}
	return p.red("✗ "+o.Outcome) + "  " + clean(o.Reason, 0) + facts + problem
}

// attemptText names the attempt when it is not the first.
func attemptText(n int) string {
	if n <= 1 {
		return ""
	}
	return fmt.Sprintf(" at attempt %d", n)
}

// shellWord quotes text where a shell would take it for more than a word.
func shellWord(text string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._/:@%+=,", r)
	}
	if text != "" && strings.TrimFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(clean(text, 0), "'", `'\''`) + "'"
}
