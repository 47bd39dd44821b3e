package cron

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	robfig "github.com/robfig/cron/v3"
)

// maxExpression bounds an expression, in bytes. The longest useful one lists
// every minute and stays below.
const maxExpression = 1024

const (
	wantFields      = "write five fields (minute hour day-of-month month day-of-week), six with seconds first, or a name such as @daily"
	wantDescriptors = "write @yearly, @monthly, @weekly, @daily, @hourly or @every with a duration such as 5m"
	wantZone        = "write a name of the IANA time zone database, such as Europe/Berlin or UTC"
)

// starBit is how robfig's parser marks a field that has * or ? in its list.
const starBit = 1 << 63

// Parse reads an expression. Its fields are meant in zone, unless a prefix
// CRON_TZ=Zone or TZ=Zone names another. The error names the field, what was
// found, and what would be right.
func Parse(expression string, zone *time.Location) (*Schedule, error) {
	if len(expression) > maxExpression {
		return nil, fmt.Errorf("the schedule is %d bytes long: at most %d are allowed", len(expression), maxExpression)
	}
	name, rest, prefixed := cutZone(expression)
	if prefixed {
		var err error
		if zone, err = LoadZone(name); err != nil {
			return nil, err
		}
	}
	s := &Schedule{expression: rest, zone: zone}
	if form := awsForm.FindStringSubmatch(rest); form != nil {
		return s, s.parseAWS(form[1])
	}
	if strings.HasPrefix(rest, "@every") {
		return s, s.parseEvery()
	}
	return s, s.parseFields()
}

// LoadZone returns the zone of that name. Local is refused: it is another zone
// on every machine. The error says what a name looks like.
func LoadZone(name string) (*time.Location, error) {
	if name == "" || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone: %s", name, wantZone)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf("unknown time zone %q: %s", name, wantZone)
	}
	return zone, nil
}

// cutZone splits the zone's prefix off: what follows the equals sign up to the
// first blank is the name.
func cutZone(expression string) (zone, rest string, prefixed bool) {
	rest = strings.TrimSpace(expression)
	for _, prefix := range []string{"CRON_TZ=", "TZ="} {
		if after, found := strings.CutPrefix(rest, prefix); found {
			end := strings.IndexFunc(after+" ", unicode.IsSpace)
			return after[:end], strings.TrimSpace(after[end:]), true
		}
	}
	return "", rest, false
}

// parseEvery reads "@every 5m". Durations that robfig's parser would round are
// refused.
func (s *Schedule) parseEvery() error {
	text := strings.TrimSpace(strings.TrimPrefix(s.expression, "@every"))
	length, err := time.ParseDuration(text)
	switch {
	case err != nil || !strings.HasPrefix(s.expression, "@every "):
		return fmt.Errorf("@every: %q is not a duration: write a number with a unit, such as 30s, 5m or 1h30m", text)
	case length < time.Second:
		return fmt.Errorf("@every: %s is too short: write 1s or more", length)
	case length%time.Second != 0:
		return fmt.Errorf("@every: %s is not in whole seconds", length)
	}
	s.kind = every
	s.every = int64(length / time.Second)
	s.interval = true
	return nil
}

func (s *Schedule) parseFields() error {
	fields := strings.Fields(s.expression)
	named := strings.HasPrefix(s.expression, "@")
	if !named {
		if err := checkFields(s.expression, fields); err != nil {
			return err
		}
	}
	parsed, err := robfigParser().Parse(s.expression)
	spec, ok := parsed.(*robfig.SpecSchedule)
	switch {
	case named && (err != nil || !ok):
		return fmt.Errorf("unknown name %q: %s", s.expression, wantDescriptors)
	case err != nil:
		return fmt.Errorf("%q: %w", s.expression, err)
	case !ok:
		return fmt.Errorf("%q: %s", s.expression, wantFields)
	}
	s.fields = newFields(spec)
	s.interval = spec.Hour&starBit != 0
	if !named {
		minute, hour := fields[len(fields)-5], fields[len(fields)-4]
		s.interval = beginsWithStar(minute) || beginsWithStar(hour)
	}
	if !s.fields.possible() {
		return fmt.Errorf("%q never fires: no month that it names has that day", s.expression)
	}
	return nil
}

func robfigParser() robfig.Parser {
	return robfig.NewParser(robfig.SecondOptional | robfig.Minute | robfig.Hour |
		robfig.Dom | robfig.Month | robfig.Dow | robfig.Descriptor)
}

func beginsWithStar(field string) bool { return field[0] == '*' || field[0] == '?' }

// checkFields finds what is wrong before robfig's parser sees the fields: to say
// it better, and because that parser takes some slips in silence (an empty list,
// "*-5").
func checkFields(expression string, fields []string) error {
	kinds := fieldKinds()
	switch len(fields) {
	case 0:
		return errors.New("the schedule is empty: " + wantFields)
	case 5:
		kinds = kinds[1:]
	case 6:
	default:
		return fmt.Errorf("%q: the number of fields is %d: %s", expression, len(fields), wantFields)
	}
	var problems []error
	for i, kind := range kinds {
		if err := kind.check(fields[i]); err != nil {
			problems = append(problems, err)
		}
	}
	return errors.Join(problems...)
}
