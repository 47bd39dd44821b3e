package cron

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// The forms of Amazon EventBridge Scheduler, as its user guide has them under
// "Schedule types".
const (
	wantAWS  = "write cron(minutes hours day-of-month month day-of-week year), such as cron(0 3 * * ? *)"
	wantRate = "write rate(5 minutes), with minutes, hours or days, or rate(1 hour)"
	wantAt   = "write at(2027-01-31T15:04:05)"

	firstAWSYear = 1970
	lastAWSYear  = 2199
)

var awsForm = regexp.MustCompile(`^(cron|rate|at)\s*\(`)

// parseAWS reads cron(…), rate(…) and at(…).
func (s *Schedule) parseAWS(form string) error {
	_, inner, _ := strings.Cut(s.expression, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !closed {
		return fmt.Errorf("%q does not end with a parenthesis", s.expression)
	}
	inner = strings.TrimSpace(inner)
	switch form {
	case "cron":
		s.kind = awsCron
		return s.parseAWSFields(inner)
	case "rate":
		s.kind = rate
		return s.parseRate(inner)
	default:
		s.kind = once
		return s.parseAt(inner)
	}
}

// parseRate reads "5 minutes". One of a unit is written in the singular.
func (s *Schedule) parseRate(text string) error {
	words := strings.Fields(text)
	if len(words) != 2 {
		return fmt.Errorf("rate: %q is not a number and a unit: %s", text, wantRate)
	}
	n, ok := number(words[0])
	if !ok || n == 0 {
		return fmt.Errorf("rate: %q is not a whole number from 1: %s", words[0], wantRate)
	}
	unit, plural := strings.CutSuffix(words[1], "s")
	seconds := map[string]int64{"minute": 60, "hour": 3600, "day": daySeconds}[unit]
	switch {
	case seconds == 0:
		return fmt.Errorf("rate: unknown unit %q: %s", words[1], wantRate)
	case plural == (n == 1):
		right := unit
		if n != 1 {
			right += "s"
		}
		return fmt.Errorf("rate: write rate(%d %s)", n, right)
	}
	s.every = int64(n) * seconds
	s.interval = true
	return nil
}

// parseAt reads a time of the schedule's zone.
func (s *Schedule) parseAt(text string) error {
	at, err := time.Parse("2006-01-02T15:04:05", text)
	if err != nil {
		return fmt.Errorf("at: %q is not a time without a zone: %s", text, wantAt)
	}
	w := at.Unix()
	p := s.periodAt(w - lookBack)
	for w-p.offset >= p.end {
		p = s.periodAt(p.end)
	}
	if s.at = w - p.offset; s.at < p.start {
		return fmt.Errorf("at: there is no %s in %s: the clock goes forward over it", text, s.zone)
	}
	return nil
}

// awsKinds are the fields of cron(…) after the seconds, which are always 0.
func awsKinds() []fieldKind {
	kinds := fieldKinds()[1:]
	kinds[4] = fieldKind{name: "day-of-week", min: 1, max: 7, names: kinds[4].names, want: "1 to 7 or SUN to SAT, where 1 is Sunday"}
	return append(kinds, fieldKind{name: "year", min: firstAWSYear, max: lastAWSYear, want: "1970 to 2199"})
}

// The places of the fields in cron(…).
const (
	awsMinute = iota
	awsHour
	awsDom
	awsMonth
	awsDow
	awsYear
	awsFields
)

func (s *Schedule) parseAWSFields(text string) error {
	fields := strings.Fields(text)
	if len(fields) != awsFields {
		return fmt.Errorf("%q: the number of fields is %d: %s", s.expression, len(fields), wantAWS)
	}
	if (fields[awsDom] == "?") == (fields[awsDow] == "?") {
		return fmt.Errorf("%q: one of day-of-month and day-of-week is ?, and the other says which days", s.expression)
	}
	rule := &awsDays{}
	var sets [awsFields]map[int]bool
	var problems []error
	for i, kind := range awsKinds() {
		field := strings.ToUpper(fields[i])
		days := i == awsDom && (field == "?" || rule.special(field)) || i == awsDow && (field == "?" || rule.weekday(field))
		if days {
			continue
		}
		set, err := kind.set(fields[i])
		problems, sets[i] = append(problems, err), set
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	s.fields = fieldsOf(sets, rule)
	if _, ok := s.fields.next(0); !ok {
		return fmt.Errorf("%q never fires: no month and year that it names has that day", s.expression)
	}
	return nil
}

func fieldsOf(sets [awsFields]map[int]bool, rule *awsDays) fields {
	rule.years = sets[awsYear]
	f := fields{second: 1, minute: bitsOf(sets[awsMinute], 0), hour: bitsOf(sets[awsHour], 0), month: bitsOf(sets[awsMonth], 0), aws: rule}
	if set := sets[awsDom]; set != nil {
		rule.kind, f.dom = daysOfMonth, bitsOf(set, 0)
	}
	if set := sets[awsDow]; set != nil {
		rule.kind, f.dow = daysOfWeek, bitsOf(set, 1)
	}
	return f
}

func bitsOf(values map[int]bool, less int) (bits uint64) {
	for v := range values {
		bits |= 1 << (v - less)
	}
	return bits
}

// set checks a field and returns its values.
func (k fieldKind) set(field string) (map[int]bool, error) {
	if strings.Contains(field, "?") {
		return nil, fmt.Errorf("%s %q: ? stands alone, for day-of-month or day-of-week", k.name, field)
	}
	if err := k.check(field); err != nil {
		return nil, err
	}
	values := map[int]bool{}
	for element := range strings.SplitSeq(field, ",") {
		from, to, step := k.span(element)
		for v := from; v <= to; v += step {
			values[v] = true
		}
	}
	return values, nil
}

// span returns the range of a checked element.
func (k fieldKind) span(element string) (from, to, step int) {
	text, by, stepped := strings.Cut(element, "/")
	step = 1
	if stepped {
		step, _ = number(by)
	}
	if text == "*" {
		return k.min, k.max, step
	}
	low, high, ranged := strings.Cut(text, "-")
	from, _ = k.value(low)
	switch to = from; {
	case ranged:
		to, _ = k.value(high)
	case stepped:
		to = k.max
	}
	return from, to, step
}

// An awsDays says which days a cron(…) is on.
type awsDays struct {
	kind  dayKind
	n     int // the day of the month of nearestWorkday, the weekday of others, from 0
	nth   int // of nthWeekday
	years map[int]bool
}

type dayKind uint8

const (
	daysOfMonth    dayKind = iota // the bits of fields.dom
	daysOfWeek                    // the bits of fields.dow
	lastDay                       // L
	lastWorkday                   // LW
	nearestWorkday                // 15W
	anyWeekday                    // L of day-of-week
	lastWeekday                   // 6L
	nthWeekday                    // 6#3
)

// special reads L, LW and 15W of day-of-month.
func (d *awsDays) special(field string) bool {
	switch field {
	case "L":
		d.kind = lastDay
	case "LW":
		d.kind = lastWorkday
	default:
		day, found := strings.CutSuffix(field, "W")
		n, ok := number(day)
		if !found || !ok || n < 1 || n > 31 {
			return false
		}
		d.kind, d.n = nearestWorkday, n
	}
	return true
}

// weekday reads L, 6L and 6#3 of day-of-week.
func (d *awsDays) weekday(field string) bool {
	kind := awsKinds()[awsDow]
	if day, found := strings.CutSuffix(field, "L"); found {
		if day == "" { // the last day of the week
			d.kind, d.n = anyWeekday, int(time.Saturday)
			return true
		}
		n, err := kind.value(day)
		d.kind, d.n = lastWeekday, n-1
		return err == nil
	}
	day, nth, found := strings.Cut(field, "#")
	n, err := kind.value(day)
	count, ok := number(nth)
	if !found || err != nil || !ok || count < 1 || count > 5 {
		return false
	}
	d.kind, d.n, d.nth = nthWeekday, n-1, count
	return true
}

// matches tells whether a date is one of the days; f has the bits.
func (d *awsDays) matches(f *fields, date time.Time) bool {
	year, month, day := date.Date()
	if !d.years[year] {
		return false
	}
	last := time.Date(year, month+1, 0, 0, 0, 0, 0, time.UTC).Day()
	switch d.kind {
	case daysOfMonth:
		return has(f.dom, day)
	case daysOfWeek:
		return has(f.dow, int(date.Weekday()))
	case lastDay:
		return day == last
	case lastWorkday:
		return day == workday(date, last, last)
	case nearestWorkday:
		return d.n <= last && day == workday(date, d.n, last)
	case anyWeekday:
		return int(date.Weekday()) == d.n
	case lastWeekday:
		return int(date.Weekday()) == d.n && day > last-7
	case nthWeekday:
		return int(date.Weekday()) == d.n && (day-1)/7+1 == d.nth
	}
	return false
}

// workday returns the day from Monday to Friday that is nearest to a day of
// date's month, within that month.
func workday(date time.Time, day, last int) int {
	year, month, _ := date.Date()
	switch time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Weekday() {
	case time.Saturday:
		if day == 1 {
			return 3
		}
		return day - 1
	case time.Sunday:
		if day == last {
			return day - 2
		}
		return day + 1
	default:
		return day
	}
}
