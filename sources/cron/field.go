package cron

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A fieldKind is one of the six fields, for checking and for messages.
type fieldKind struct {
	name     string
	min, max int
	names    []string // of the values from min
	want     string
}

func fieldKinds() []fieldKind {
	months := strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")
	days := strings.Fields("sun mon tue wed thu fri sat")
	return []fieldKind{
		{name: "second", max: 59, want: "0 to 59"},
		{name: "minute", max: 59, want: "0 to 59"},
		{name: "hour", max: 23, want: "0 to 23"},
		{name: "day-of-month", min: 1, max: 31, want: "1 to 31"},
		{name: "month", min: 1, max: 12, names: months, want: "1 to 12 or JAN to DEC"},
		{name: "day-of-week", max: 6, names: days, want: "0 to 6 or SUN to SAT, where 0 is Sunday"},
	}
}

// check returns what is wrong with a field, or nil.
func (k fieldKind) check(field string) error {
	for element := range strings.SplitSeq(field, ",") {
		if err := k.checkElement(element); err != nil {
			return fmt.Errorf("%s %q: %w", k.name, field, err)
		}
	}
	return nil
}

func (k fieldKind) checkElement(element string) error {
	if element == "" {
		return errors.New("there is an empty element in the list: " + k.wanted())
	}
	span, step, stepped := strings.Cut(element, "/")
	if n, ok := number(step); stepped && (!ok || n == 0) {
		return fmt.Errorf("the step %q is not a whole number from 1", step)
	}
	if span == "*" || span == "?" {
		return nil
	}
	low, high, ranged := strings.Cut(span, "-")
	from, err := k.value(low)
	if err != nil || !ranged {
		return err
	}
	to, err := k.value(high)
	if err == nil && from > to {
		err = fmt.Errorf("%s comes after %s: a range rises; write two, such as %[1]s-%[3]d,%[4]d-%[2]s", low, high, k.max, k.min)
	}
	return err
}

// value reads one number or name.
func (k fieldKind) value(text string) (int, error) {
	for i, name := range k.names {
		if strings.EqualFold(text, name) {
			return k.min + i, nil
		}
	}
	n, ok := number(text)
	switch {
	case !ok:
		return 0, fmt.Errorf("%q is not a value: %s", text, k.wanted())
	case n < k.min:
		return 0, fmt.Errorf("%d is below %d: %s", n, k.min, k.wanted())
	case n > k.max:
		return 0, fmt.Errorf("%d is above %d: %s", n, k.max, k.wanted())
	}
	return n, nil
}

func (k fieldKind) wanted() string { return "write " + k.want }

// number reads decimal digits, nothing else.
func number(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil
}
