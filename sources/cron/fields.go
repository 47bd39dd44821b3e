package cron

import (
	"math/bits"
	"time"

	robfig "github.com/robfig/cron/v3"
)

const (
	daySeconds = 24 * 60 * 60
	// lastYear is where every search ends: RFC 3339 has no later one.
	lastYear = 9999
)

// A wall is what the clock on the wall shows: seconds since 1970-01-01T00:00:00
// as if the zone had no offset. Arithmetic on it never meets daylight saving.
type wall = int64

// fields are the values that an expression allows, a bit each.
type fields struct {
	second, minute, hour, dom, month, dow uint64
	// either tells that one of dom and dow is enough, as both are restricted.
	either bool
	// aws, if it is set, says which days match, instead of dom and dow.
	aws *awsDays
}

func newFields(spec *robfig.SpecSchedule) fields {
	const values = ^uint64(starBit)
	return fields{
		second: spec.Second & values,
		minute: spec.Minute & values,
		hour:   spec.Hour & values,
		dom:    spec.Dom & values,
		month:  spec.Month & values,
		dow:    spec.Dow & values,
		either: spec.Dom&starBit == 0 && spec.Dow&starBit == 0,
	}
}

// possible tells whether there is a day that matches. Only a day of the month
// can be wanting: every date falls on every weekday sooner or later.
func (f *fields) possible() bool {
	if f.either {
		return true
	}
	for month := time.January; month <= time.December; month++ {
		lastDay := time.Date(2000, month+1, 0, 0, 0, 0, 0, time.UTC).Day() // of a leap year
		days := uint64(1)<<(lastDay+1) - 1
		if has(f.month, int(month)) && f.dom&days != 0 {
			return true
		}
	}
	return false
}

// next returns the first matching wall time at or after w.
func (f *fields) next(w wall) (wall, bool) {
	t := time.Unix(w, 0).UTC()
	year, month, day := t.Date()
	from := t.Hour()*3600 + t.Minute()*60 + t.Second()
	for year <= f.lastYear() {
		date := time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
		year, month, day = date.Date() // normalized
		if !has(f.month, int(month)) {
			month, day, from = month+1, 1, 0
			continue
		}
		if f.dayMatches(date) {
			if second, ok := f.clock(from); ok {
				return date.Unix() + int64(second), true
			}
		}
		day, from = day+1, 0
	}
	return 0, false
}

// lastYear is where a search ends.
func (f *fields) lastYear() int {
	if f.aws != nil {
		return lastAWSYear
	}
	return lastYear
}

func (f *fields) dayMatches(date time.Time) bool {
	if f.aws != nil {
		return f.aws.matches(f, date)
	}
	dom, dow := has(f.dom, date.Day()), has(f.dow, int(date.Weekday()))
	if f.either {
		return dom || dow
	}
	return dom && dow
}

// clock returns the first matching second of the day at or after from.
func (f *fields) clock(from int) (int, bool) {
	hour, minute, second := from/3600, from/60%60, from%60
	if has(f.hour, hour) {
		if has(f.minute, minute) {
			if s, ok := firstBit(f.second, second); ok {
				return hour*3600 + minute*60 + s, true
			}
		}
		if m, ok := firstBit(f.minute, minute+1); ok {
			return hour*3600 + m*60 + bits.TrailingZeros64(f.second), true
		}
	}
	h, ok := firstBit(f.hour, hour+1)
	return h*3600 + bits.TrailingZeros64(f.minute)*60 + bits.TrailingZeros64(f.second), ok
}

func has(set uint64, value int) bool { return set>>value&1 != 0 }

// firstBit returns the lowest member of set that is at least from.
func firstBit(set uint64, from int) (int, bool) {
	set = set >> from << from
	return bits.TrailingZeros64(set), set != 0
}
