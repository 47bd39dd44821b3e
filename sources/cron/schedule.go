package cron

import (
	"math"
	"time"
)

// lookBack is how far back a change of the offset can still repeat times that
// are shown now, in seconds. The largest step back of any zone is a day.
const lookBack = 2 * daySeconds

// A Schedule says when a source ticks. It never changes and may be used by many
// goroutines at once.
type Schedule struct {
	expression string // without the zone's prefix
	zone       *time.Location
	kind       kind
	every      int64 // seconds, of every and rate
	anchor     int64 // of rate: its ticks are multiples of every from here on
	at         int64 // of once
	fields     fields
	interval   bool
}

// A kind is the form that an expression has.
type kind uint8

const (
	crontab kind = iota
	every        // @every
	awsCron      // cron(…)
	rate         // rate(…)
	once         // at(…)
)

// Rate tells whether the ticks depend on where they are counted from.
func (s *Schedule) Rate() bool { return s.kind == rate }

// From returns the schedule with its ticks counted from a moment, of which only
// the whole second counts. It is the same one unless Rate.
func (s *Schedule) From(anchor time.Time) *Schedule {
	if !s.Rate() {
		return s
	}
	anchored := *s
	anchored.anchor = anchor.Unix()
	return &anchored
}

// Zone returns the zone that the expression is meant in.
func (s *Schedule) Zone() *time.Location { return s.zone }

// Expression returns the expression without a prefix for the zone.
func (s *Schedule) Expression() string { return s.expression }

// Interval tells whether the schedule is an interval job: one that goes on
// through skipped and repeated hours.
func (s *Schedule) Interval() bool { return s.interval }

// Behavior says in a line what the schedule does when the clock is changed.
func (s *Schedule) Behavior() string {
	switch {
	case s.kind == awsCron:
		return "Amazon's form: a skipped time does not fire, a repeated one fires once"
	case s.kind == rate:
		return "Amazon's form: it counts real time, from its first start"
	case s.kind == once:
		return "Amazon's form: it fires once"
	case s.interval:
		return "interval job: it goes on through skipped and repeated hours"
	default:
		return "fixed-time job: a skipped time fires right after the gap, a repeated one once"
	}
}

// String returns the expression with the zone, such as
// "CRON_TZ=Europe/Berlin 0 3 * * *".
func (s *Schedule) String() string {
	return "CRON_TZ=" + s.zone.String() + " " + s.expression
}

// Next returns the first tick after the given time, in the schedule's zone: a
// whole second. It is false when there is none up to the year 9999.
func (s *Schedule) Next(after time.Time) (time.Time, bool) {
	if after.Year() > lastYear {
		return time.Time{}, false
	}
	var tick int64
	ok := true
	switch second := after.Unix(); {
	case s.kind == every || s.kind == rate:
		tick = nextMultiple(second-s.anchor, s.every) + s.anchor
	case s.kind == once:
		tick, ok = s.at, second < s.at
	case s.kind == awsCron:
		tick, ok = s.nextOnce(second)
	case s.interval:
		tick, ok = s.nextShown(second)
	default:
		tick, ok = s.nextPassed(second)
	}
	next := time.Unix(tick, 0).In(s.zone)
	if !ok || next.Year() > lastYear {
		return time.Time{}, false
	}
	return next, true
}

// nextMultiple returns the first multiple of step after the given second.
func nextMultiple(after, step int64) int64 {
	over := after % step
	if over < 0 {
		over += step
	}
	return after - over + step
}

// nextShown is the step of interval jobs: the first instant at which the clock
// shows a matching time.
func (s *Schedule) nextShown(after int64) (int64, bool) {
	instant := after + 1
	for {
		p := s.periodAt(instant)
		w, ok := s.fields.next(instant + p.offset)
		if !ok || w-p.offset < p.end {
			return w - p.offset, ok
		}
		instant = p.end
	}
}

// nextPassed is the step of fixed-time jobs: a time ticks at the first instant at
// which the clock shows it or a later one. That is its first occurrence when it
// is repeated, and the end of the gap when it is skipped.
func (s *Schedule) nextPassed(after int64) (int64, bool) {
	w, ok := s.fields.next(s.latestShown(after) + 1)
	if !ok {
		return 0, false
	}
	p := s.periodAt(after)
	for w-p.offset >= p.end {
		p = s.periodAt(p.end)
	}
	return max(w-p.offset, p.start), true
}

// nextOnce is the step of cron(…): a time ticks at its first occurrence, and not
// at all when it is skipped.
func (s *Schedule) nextOnce(after int64) (int64, bool) {
	p := s.periodAt(after)
	w, ok := s.fields.next(s.latestShown(after) + 1)
	for ok {
		for w-p.offset >= p.end {
			p = s.periodAt(p.end)
		}
		if w-p.offset >= p.start {
			return w - p.offset, true
		}
		w, ok = s.fields.next(w + 1)
	}
	return 0, false
}

// latestShown returns the latest time that the clock has shown up to the instant:
// more than it shows now, when it has been set back a short while ago.
func (s *Schedule) latestShown(instant int64) wall {
	p := s.periodAt(instant)
	latest := instant + p.offset
	for p.start > instant-lookBack {
		last := p.start - 1
		p = s.periodAt(last)
		latest = max(latest, last+p.offset)
	}
	return latest
}

// A period is a stretch of time over which a zone's offset stays the same; the
// next one may have the same again. All are seconds; start is part of it, end is
// not.
type period struct{ start, end, offset int64 }

func (s *Schedule) periodAt(instant int64) period {
	t := time.Unix(instant, 0).In(s.zone)
	_, offset := t.Zone()
	start, end := t.ZoneBounds()
	p := period{start: math.MinInt64, end: math.MaxInt64, offset: int64(offset)}
	if !start.IsZero() {
		p.start = start.Unix()
	}
	if !end.IsZero() {
		p.end = end.Unix()
	}
	if p.end <= instant {
		// Where the rule of a zone is extended beyond its table (from 2038), the
		// time package ends every year after 365 days: on the last day of a leap
		// year the end is in the past. No zone changes on that day.
		p.end = nextMultiple(instant, daySeconds)
	}
	return p
}
