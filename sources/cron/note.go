package cron

import (
	"fmt"
	"strings"
	"time"
)

// Note says in words what daylight saving, or another change of the zone's
// offset, has to do with a tick; it is empty for nearly all ticks.
func (s *Schedule) Note(tick time.Time) string {
	if s.kind == every || s.kind == rate || s.kind == once {
		return ""
	}
	instant := tick.Unix()
	p := s.periodAt(instant)
	before := period{offset: p.offset}
	if p.start > instant-lookBack {
		before = s.periodAt(p.start - 1)
	}
	if note := s.gapNote(instant, before, p); note != "" {
		return note
	}
	shown := instant + p.offset
	if again := shown - before.offset; before.offset > p.offset && again < p.start {
		return clockText(shown) + " for the second time: the clock has gone back by " + span(before.offset-p.offset)
	}
	if p.end > instant+lookBack {
		return ""
	}
	after := s.periodAt(p.end)
	switch {
	case after.offset >= p.offset || shown-after.offset < p.end:
		return ""
	case s.interval:
		return clockText(shown) + " for the first time of two: the clock goes back by " + span(p.offset-after.offset)
	default:
		return clockText(shown) + " comes twice, as the clock goes back by " + span(p.offset-after.offset) + ": it fires the first time only"
	}
}

// gapNote is the note of the first tick after the clock has gone forward over
// times that the schedule names.
func (s *Schedule) gapNote(instant int64, before, p period) string {
	if before.offset >= p.offset {
		return ""
	}
	from, to := p.start+before.offset, p.start+p.offset
	skipped, ok := s.fields.next(from)
	if !ok || skipped >= to {
		return ""
	}
	first, ok := s.Next(time.Unix(p.start-1, 0))
	if !ok || first.Unix() != instant {
		return ""
	}
	jump := "the clock goes forward from " + clockText(from) + " to " + clockText(to)
	if to-from >= daySeconds {
		jump = "the clock goes forward from " + dateText(from) + " to " + dateText(to)
	}
	switch {
	case s.interval:
		return jump
	case s.kind == awsCron:
		return clockText(skipped) + " was skipped and did not fire: " + jump
	}
	return "for " + clockText(skipped) + ", which is skipped: " + jump
}

func clockText(w wall) string {
	t := time.Unix(w, 0).UTC()
	if t.Second() != 0 {
		return t.Format(time.TimeOnly)
	}
	return t.Format("15:04")
}

func dateText(w wall) string { return time.Unix(w, 0).UTC().Format("2006-01-02 15:04") }

// span prints a length of time without the units that are nought.
func span(seconds int64) string {
	var text strings.Builder
	for _, unit := range []struct {
		length int64
		name   string
	}{{3600, "h"}, {60, "m"}, {1, "s"}} {
		if n := seconds / unit.length; n > 0 {
			fmt.Fprintf(&text, "%d%s", n, unit.name)
		}
		seconds %= unit.length
	}
	return text.String()
}
