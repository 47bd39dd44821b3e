package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/dustin/go-humanize"

	"sluice/config"
)

// table prints rows below a header, in columns.
func table(w io.Writer, header []string, rows [][]string) error {
	columns := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{header}, rows...) {
		line := strings.TrimRight(strings.Join(row, "\t"), "\t ")
		if _, err := fmt.Fprintln(columns, line); err != nil {
			return fmt.Errorf("print the table: %w", err)
		}
	}
	if err := columns.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return nil
}

// clean escapes the control characters of text from outside, and shortens it to
// most characters, 0 for all.
func clean(text string, most int) string {
	if strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) || !unicode.IsPrint(r) && r != ' ' }) {
		quoted := strconv.Quote(text)
		text = quoted[1 : len(quoted)-1]
	}
	if runes := []rune(text); most > 0 && len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// clock shows a time of today or of another day, in local time.
func clock(at, now time.Time) string {
	if at.IsZero() {
		return "-"
	}
	at, now = at.Local(), now.Local()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04:05")
}

// ago shows how long ago, or how far ahead, a time is.
func ago(at, now time.Time) string {
	switch {
	case at.IsZero():
		return "-"
	case now.Sub(at).Abs() < time.Second:
		return "now"
	}
	return humanize.RelTime(at, now, "ago", "from now")
}

// span shows a duration to three digits.
func span(d time.Duration) string {
	switch {
	case d >= time.Minute:
		return d.Round(time.Second).String()
	case d >= time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d >= time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	}
	return d.Round(time.Microsecond).String()
}

func millis(ms float64) string { return span(time.Duration(ms * float64(time.Millisecond))) }

// count shows a number with its thousands.
func count[N int | int64 | uint64](n N) string { return humanize.Comma(int64(n)) }

// parseWhen reads a time: RFC 3339, a local date with or without a time, or how
// long ago.
func parseWhen(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", time.DateOnly} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return at, nil
		}
	}
	var past config.Duration
	if err := past.UnmarshalText([]byte(text)); err != nil {
		return time.Time{}, exitWithf(exitUsage, "--%s %q: write how long ago, such as 30m, 2h or 7d, or a time such as 2026-03-29T02:30:00Z or \"2026-03-29 02:30\"", flag, text)
	}
	return now.Add(-time.Duration(past)), nil
}

// A paint colors text on a terminal; one that does not leaves it as it is.
type paint struct{ on bool }

// newPaint colors what goes to w, unless NO_COLOR is set (https://no-color.org).
func (a *app) newPaint(w io.Writer) paint {
	value, _ := a.lookup("NO_COLOR")
	return paint{on: value == "" && onTerminal(w)}
}

func (p paint) with(code, text string) string {
	if !p.on {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p paint) bold(text string) string   { return p.with("1", text) }
func (p paint) dim(text string) string    { return p.with("2", text) }
func (p paint) red(text string) string    { return p.with("31", text) }
func (p paint) green(text string) string  { return p.with("32", text) }
func (p paint) yellow(text string) string { return p.with("33", text) }
