package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/cmd/sluice/internal/admin"
	"sluice/sources/cron"
)

// maxTicks is the largest number of ticks that one question may ask for.
const maxTicks = 1000

func newCronCommand(app *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cron",
		Short: "Try schedules",
		Args:  noArguments,
	}
	cmd.AddCommand(newCronNextCommand(app))
	return cmd
}

// cronNext holds the flags of "sluice cron next".
type cronNext struct {
	timezone, from, cases, output string
	n                             int
}

func newCronNextCommand(app *app) *cobra.Command {
	var flags cronNext
	cmd := &cobra.Command{
		Use:   "next EXPR",
		Short: "Print when a schedule ticks next",
		Long: `Prints the next ticks of a schedule, as a cron source with it would fire, with
the zone's offset, and says which of them daylight saving has moved or repeated.

EXPR has five fields (minute hour day-of-month month day-of-week), or six with
seconds first, or is @yearly, @monthly, @weekly, @daily, @hourly or "@every 5m".
Amazon's forms are cron(0 3 * * ? *), rate(5 minutes), counted from --from, and
at(2027-01-31T15:04:05). A prefix CRON_TZ=Zone goes before --timezone.

With --cases it reads many: one JSON object a line,
{"expr":"0 3 * * *","timezone":"Europe/Berlin","from":"2026-01-01T00:00:00Z","n":1},
and answers each with a line, {"next":["2026-01-01T03:00:00+01:00"]} or
{"error":"…"}. Without timezone it is UTC, without n one; other keys may hold
your notes.`,
		Example: `  sluice cron next "30 2 * * *" --timezone Europe/Berlin -n 3
  sluice cron next --cases - < cases.jsonl`,
		RunE: func(_ *cobra.Command, args []string) error { return app.cronNext(&flags, args) },
	}
	cmd.Flags().StringVar(&flags.timezone, "timezone", "UTC", "the time `ZONE` that the fields are meant in")
	cmd.Flags().StringVar(&flags.from, "from", "", "the `TIME` after which to look, RFC 3339 (default now)")
	cmd.Flags().IntVarP(&flags.n, "number", "n", 5, "how many ticks, 1 to 1000")
	cmd.Flags().StringVar(&flags.cases, "cases", "", "a `FILE` with many cases, one a line; - is standard input")
	cmd.Flags().StringVarP(&flags.output, "output", "o", "text", "text or json")
	return cmd
}

func (a *app) cronNext(flags *cronNext, args []string) error {
	switch {
	case flags.cases != "" && len(args) > 0:
		return exitWithf(exitUsage, "give either an expression or --cases")
	case flags.cases != "":
		return a.cases(flags.cases, func(line []byte) any { return answerCronCase(line) })
	case len(args) != 1:
		return exitWithf(exitUsage, "expected one expression, found %d arguments: put it in quotes, such as \"0 3 * * *\"", len(args))
	case flags.output != "text" && flags.output != "json":
		return exitWithf(exitUsage, "--output %q: it is text or json", flags.output)
	}
	from := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	if flags.from != "" {
		from = flags.from
	}
	plan, err := newTickPlan(args[0], flags.timezone, from, flags.n)
	if err != nil {
		return exitWith(exitUsage, err)
	}
	if flags.output == "json" {
		return writeLine(a.stdout, plan.report())
	}
	return plan.print(a.stdout)
}

// A tickPlan is a checked question, with its answer.
type tickPlan struct {
	schedule *cron.Schedule
	from     time.Time
	ticks    []time.Time
}

// newTickPlan checks the question and answers it. Its errors name the part that
// is wrong.
func newTickPlan(expression, timezone, from string, n int) (*tickPlan, error) {
	zone, err := cron.LoadZone(timezone)
	if err != nil {
		return nil, fmt.Errorf("timezone: %w", err)
	}
	schedule, err := cron.Parse(expression, zone)
	if err != nil {
		return nil, fmt.Errorf("expression: %w", err)
	}
	start, err := time.Parse(time.RFC3339, from)
	if err != nil {
		return nil, fmt.Errorf("from: %q is not a time: write it as 2026-03-29T02:30:00+01:00", from)
	}
	if n < 1 || n > maxTicks {
		return nil, fmt.Errorf("n: %d is not a number of ticks: write 1 to %d", n, maxTicks)
	}
	schedule = schedule.From(start)
	plan := &tickPlan{schedule: schedule, from: start}
	for at := start; len(plan.ticks) < n; {
		next, ok := schedule.Next(at)
		if !ok {
			break
		}
		plan.ticks = append(plan.ticks, next)
		at = next
	}
	return plan, nil
}

// print is for people.
func (p *tickPlan) print(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n%s\n", p.schedule, p.schedule.Behavior())
	for _, tick := range p.ticks {
		line := fmt.Sprintf("%-25s  %s  in %-12s  %s", tickText(tick), tick.Format("Mon"), relative(tick.Sub(p.from)), p.schedule.Note(tick))
		fmt.Fprintln(&out, strings.TrimRight(line, " "))
	}
	if len(p.ticks) == 0 {
		fmt.Fprintln(&out, "no tick up to the year 9999")
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return fmt.Errorf("print the ticks: %w", err)
	}
	return nil
}

// A tickReport is what "cron next" prints for programs.
type tickReport struct {
	Expr     string       `json:"expr"`
	Timezone string       `json:"timezone"`
	Interval bool         `json:"interval"`
	From     string       `json:"from"`
	Ticks    []tickOfPlan `json:"ticks"`
}

type tickOfPlan struct {
	Time string `json:"time"`
	Note string `json:"note,omitempty"`
}

func (p *tickPlan) report() tickReport {
	report := tickReport{
		Expr:     p.schedule.Expression(),
		Timezone: p.schedule.Zone().String(),
		Interval: p.schedule.Interval(),
		From:     p.from.Format(time.RFC3339Nano),
		Ticks:    []tickOfPlan{},
	}
	for _, tick := range p.ticks {
		report.Ticks = append(report.Ticks, tickOfPlan{Time: tickText(tick), Note: p.schedule.Note(tick)})
	}
	return report
}

// tickText is RFC 3339 with the zone's offset. An offset that is not in whole
// minutes, as before standard time, cannot be written that way: then it is UTC.
func tickText(tick time.Time) string {
	if _, offset := tick.Zone(); offset%60 != 0 {
		tick = tick.UTC()
	}
	return tick.Format(time.RFC3339)
}

// relative prints a length of time by its two largest units.
func relative(d time.Duration) string {
	d = d.Round(time.Second)
	days, rest := d/(24*time.Hour), d%(24*time.Hour)
	switch hours, minutes, seconds := rest/time.Hour, rest/time.Minute%60, rest/time.Second%60; {
	case days > 0:
		return fmt.Sprintf("%dd %dh", days, hours)
	case hours > 0:
		return fmt.Sprintf("%dh %dm", hours, minutes)
	case minutes > 0:
		return fmt.Sprintf("%dm %ds", minutes, seconds)
	default:
		return fmt.Sprintf("%ds", seconds)
	}
}

// A cronAnswer is a line of output.
type cronAnswer struct {
	Next  []string `json:"next,omitempty"`
	Error string   `json:"error,omitempty"`
}

// answerCronCase answers one line. Its errors begin with what is wrong: the
// case, or one of its keys.
func answerCronCase(line []byte) cronAnswer {
	var c struct {
		Expr     *string `json:"expr"`
		Timezone *string `json:"timezone"`
		From     *string `json:"from"`
		N        *int    `json:"n"`
	}
	if err := json.Unmarshal(line, &c); err != nil {
		return cronAnswer{Error: "case: not a JSON object with expr, timezone, from and n: " + admin.JSONText(err)}
	}
	if c.Expr == nil || c.From == nil {
		return cronAnswer{Error: `case: needs both "expr" and "from"`}
	}
	timezone, n := "UTC", 1
	if c.Timezone != nil && *c.Timezone != "" {
		timezone = *c.Timezone
	}
	if c.N != nil {
		n = *c.N
	}
	plan, err := newTickPlan(*c.Expr, timezone, *c.From, n)
	if err != nil {
		return cronAnswer{Error: err.Error()}
	}
	if len(plan.ticks) == 0 {
		return cronAnswer{Error: "there is no tick up to the year 9999"}
	}
	answer := cronAnswer{}
	for _, tick := range plan.ticks {
		answer.Next = append(answer.Next, tickText(tick))
	}
	return answer
}
