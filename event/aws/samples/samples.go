// Package samples makes events for trying functions: of each kind that
// package aws knows a shape for, with values that can be chosen.
package samples

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/event"
)

// A Sample is one kind of event. People know the names from the service's own
// tool.
type Sample struct {
	Service, Name string
	// Short says in a few words what the event tells.
	Short string
	// Options are the values that can be chosen.
	Options []Option

	build func(o *options) (event.Event, error)
}

// An Option is one value of a sample.
type Option struct {
	Name string
	// Usage says what the value is. One word is in backquotes: the kind of value.
	Usage   string
	Default string
}

// A Request says which events are wanted.
type Request struct {
	// Values are those of the options by name; what is missing has its default.
	Values map[string]string
	// ID is that of the first event; a fixed one when it is empty.
	ID string
	// Time is that of the events; the beginning of 2026 when it is zero.
	Time time.Time
	// Count is how many events, 1 or more. They differ in their ids, and in their
	// places in a stream.
	Count int
	// Region and Account are for samples whose data names them.
	Region, Account string
}

// options are what one event is made of.
type options struct {
	*Request
	number int // of the event, from 0
	id     string
}

func (o *options) value(name string) string { return o.Values[name] }

// place returns a place in a stream: the option's value, and one more for each
// event after the first.
func (o *options) place(name string) string { return increment(o.value(name), o.number) }

// Events makes the events of a sample.
func (s *Sample) Events(r Request) ([]*event.Event, error) {
	values := make(map[string]string, len(s.Options))
	for _, option := range s.Options {
		values[option.Name] = option.Default
	}
	for name, value := range r.Values {
		if _, found := values[name]; !found {
			return nil, fmt.Errorf("a %s of %s has no option %q", s.Name, s.Service, name)
		}
		values[name] = value
	}
	r.Values = values
	if r.Time.IsZero() {
		r.Time = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	events := make([]*event.Event, r.Count)
	for i := range events {
		e, err := s.build(&options{Request: &r, number: i, id: id(r.ID, i)})
		if err == nil {
			err = e.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("the values make no event: %w", err)
		}
		events[i] = &e
	}
	return events, nil
}

// id returns the id of an event, from 0.
func id(first string, number int) string {
	switch {
	case first == "":
		return fmt.Sprintf("5c3b0f2e-8a4d-4f6b-9d27-%012x", number+1)
	case number == 0:
		return first
	}
	return fmt.Sprintf("%s-%d", first, number+1)
}

// increment adds n to a number in decimal digits, which may have very many of
// them. What is no number stays as it is.
func increment(number string, n int) string {
	digits := []byte(number)
	for i := len(digits) - 1; i >= 0 && n > 0; i-- {
		if digits[i] < '0' || digits[i] > '9' {
			return number
		}
		n += int(digits[i] - '0')
		digits[i] = byte('0' + n%10)
		n /= 10
	}
	if n > 0 && number != "" {
		return strconv.Itoa(n) + string(digits)
	}
	return string(digits)
}

// All returns every sample, by service and name.
func All() []Sample {
	var all []Sample
	for _, list := range [][]Sample{
		gatewaySamples(), bridgeSamples(), tableSamples(), iotSamples(), kafkaSamples(), kinesisSamples(), resultSamples(), brokerSamples(),
		bucketSamples(), topicSamples(), queueSamples(),
	} {
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b Sample) int {
		return cmp.Or(strings.Compare(a.Service, b.Service), strings.Compare(a.Name, b.Name))
	})
	return all
}
