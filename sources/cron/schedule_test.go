package cron

import (
	"fmt"
	"math"
	"testing"
	"time"
	_ "time/tzdata" // the same zones on every machine

	"pgregory.net/rapid"
)

func mustParse(tb testing.TB, expression, zone string) *Schedule {
	tb.Helper()
	location, err := LoadZone(zone)
	if err != nil {
		tb.Fatal(err)
	}
	schedule, err := Parse(expression, location)
	if err != nil {
		tb.Fatal(err)
	}
	return schedule
}

func mustTime(tb testing.TB, text string) time.Time {
	tb.Helper()
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		tb.Fatal(err)
	}
	return parsed
}

// ticks returns the next n ticks as text.
func ticks(s *Schedule, from time.Time, n int) []string {
	var all []string
	for range n {
		next, ok := s.Next(from)
		if !ok {
			return append(all, "none")
		}
		all = append(all, next.Format(time.RFC3339))
		from = next
	}
	return all
}

func TestNext(t *testing.T) {
	for _, test := range []struct {
		name, expression, zone, from string
		want                         []string
	}{
		{
			"strictly after", "0 3 * * *", "UTC", "2026-01-01T03:00:00Z",
			[]string{"2026-01-02T03:00:00Z", "2026-01-03T03:00:00Z"},
		},
		{
			"fractions of a second", "* * * * * *", "UTC", "2026-01-01T03:00:00.9Z",
			[]string{"2026-01-01T03:00:01Z", "2026-01-01T03:00:02Z"},
		},
		{
			"seconds", "15,45 59 23 31 12 *", "UTC", "2026-12-31T23:59:15Z",
			[]string{"2026-12-31T23:59:45Z", "2027-12-31T23:59:15Z"},
		},
		{
			"either day", "0 0 13 * FRI", "UTC", "2026-01-31T00:00:00Z",
			[]string{"2026-02-06T00:00:00Z", "2026-02-13T00:00:00Z", "2026-02-20T00:00:00Z", "2026-02-27T00:00:00Z", "2026-03-06T00:00:00Z", "2026-03-13T00:00:00Z"},
		},
		{
			"one day field", "0 0 * * 0", "UTC", "2026-01-31T00:00:00Z",
			[]string{"2026-02-01T00:00:00Z", "2026-02-08T00:00:00Z"},
		},
		{
			"leap years around 2100", "0 0 29 2 *", "UTC", "2095-01-01T00:00:00Z",
			[]string{"2096-02-29T00:00:00Z", "2104-02-29T00:00:00Z"},
		},
		{
			"the last year", "0 0 1 1 *", "UTC", "9998-06-01T00:00:00Z",
			[]string{"9999-01-01T00:00:00Z", "none"},
		},
		{
			"prefix over zone", "TZ=Asia/Kolkata 30 9 * * 1-5", "UTC", "2026-11-20T12:00:00Z",
			[]string{"2026-11-23T09:30:00+05:30"},
		},
		{"yearly", "@yearly", "UTC", "2026-06-01T00:00:00Z", []string{"2027-01-01T00:00:00Z"}},
		{"monthly", "@monthly", "UTC", "2026-06-01T00:00:00Z", []string{"2026-07-01T00:00:00Z"}},
		{"weekly", "@weekly", "UTC", "2026-06-01T00:00:00Z", []string{"2026-06-07T00:00:00Z"}},
		{"daily", "@daily", "UTC", "2026-06-01T00:00:00Z", []string{"2026-06-02T00:00:00Z"}},
		{
			"every is anchored at the epoch", "@every 11h", "UTC", "2026-01-01T00:00:00Z",
			[]string{"2026-01-01T01:00:00Z", "2026-01-01T12:00:00Z"},
		},
		{
			"every before the epoch", "@every 7m", "UTC", "1969-12-31T23:50:00Z",
			[]string{"1969-12-31T23:53:00Z", "1970-01-01T00:00:00Z", "1970-01-01T00:07:00Z"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ticks(mustParse(t, test.expression, test.zone), mustTime(t, test.from), len(test.want))
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func TestNextOverDaylightSaving(t *testing.T) {
	const berlin = "Europe/Berlin" // 2026-03-29 02:00 becomes 03:00, 2026-10-25 03:00 becomes 02:00
	for _, test := range []struct {
		name, expression, zone, from string
		want                         []string
	}{
		{
			"fixed in the gap", "30 2 * * *", berlin, "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"several in the gap are one tick", "0,30 2 * * *", berlin, "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00", "2026-03-30T02:30:00+02:00"},
		},
		{
			"gap and its end are one tick", "0 2,3 * * *", berlin, "2026-03-29T01:00:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"},
		},
		{
			"fixed by minute across the gap", "30 1-3 * * *", berlin, "2026-03-29T00:00:00+01:00",
			[]string{"2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"},
		},
		{
			"fixed in the repeated hour", "30 2 * * *", berlin, "2026-10-24T12:00:00+02:00",
			[]string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"},
		},
		{
			"fixed, asked within the repeated hour", "30 2 * * *", berlin, "2026-10-25T02:10:00+01:00",
			[]string{"2026-10-26T02:30:00+01:00"},
		},
		{
			"fixed at the end of the repeated hour", "0 3 * * *", berlin, "2026-10-25T02:10:00+02:00",
			[]string{"2026-10-25T03:00:00+01:00"},
		},
		{
			"interval over the gap", "*/20 * * * *", berlin, "2026-03-29T01:30:00+01:00",
			[]string{"2026-03-29T01:40:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:20:00+02:00"},
		},
		{
			"interval over the repeated hour", "*/30 * * * *", berlin, "2026-10-25T01:30:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:30:00+01:00", "2026-10-25T03:00:00+01:00"},
		},
		{
			"hourly over the repeated hour", "@hourly", berlin, "2026-10-25T01:00:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"},
		},
		{
			"star in the hour is an interval", "30 */2 * * *", berlin, "2026-03-29T00:00:00+01:00",
			[]string{"2026-03-29T00:30:00+01:00", "2026-03-29T04:30:00+02:00"},
		},
		{
			"star in the minute is an interval", "*/30 2 * * *", berlin, "2026-03-28T12:00:00+01:00",
			[]string{"2026-03-30T02:00:00+02:00"},
		},
		{
			"every hour by number is fixed", "0 0-23 * * *", berlin, "2026-10-25T01:00:00+02:00",
			[]string{"2026-10-25T02:00:00+02:00", "2026-10-25T03:00:00+01:00"},
		},
		{
			"every in real time", "@every 30m", berlin, "2026-03-29T01:30:00+01:00",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"},
		},
		{
			"New York, gap", "15 2 * * *", "America/New_York", "2026-03-08T00:00:00-05:00",
			[]string{"2026-03-08T03:00:00-04:00", "2026-03-09T02:15:00-04:00"},
		},
		{
			"New York, repeated", "15 1 * * *", "America/New_York", "2026-11-01T00:00:00-04:00",
			[]string{"2026-11-01T01:15:00-04:00", "2026-11-02T01:15:00-05:00"},
		},
		{
			"half an hour, gap", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00+10:30",
			[]string{"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"},
		},
		{
			"half an hour, repeated", "45 1 * * *", "Australia/Lord_Howe", "2026-04-05T00:00:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"},
		},
		{
			"half an hour, interval", "*/15 * * * *", "Australia/Lord_Howe", "2026-04-05T01:30:00+11:00",
			[]string{"2026-04-05T01:45:00+11:00", "2026-04-05T01:30:00+10:30", "2026-04-05T01:45:00+10:30", "2026-04-05T02:00:00+10:30"},
		},
		{
			"no midnight in Sao Paulo", "0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"},
		},
		{
			"Sunday without midnight in Sao Paulo", "@weekly", "America/Sao_Paulo", "2018-11-03T12:00:00-03:00",
			[]string{"2018-11-04T01:00:00-02:00", "2018-11-11T00:00:00-02:00"},
		},
		{
			"the day's last hour repeated in Sao Paulo", "30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00:00-02:00",
			[]string{"2018-02-17T23:30:00-02:00", "2018-02-18T23:30:00-03:00"},
		},
		{
			"no midnight in Beirut", "0 0 * * *", "Asia/Beirut", "2022-03-26T12:00:00+02:00",
			[]string{"2022-03-27T01:00:00+03:00", "2022-03-28T00:00:00+03:00"},
		},
		{
			"no midnight in Cairo", "@daily", "Africa/Cairo", "2024-04-25T12:00:00+02:00",
			[]string{"2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"},
		},
		{
			"a day that Samoa skipped", "0 12 * * *", "Pacific/Apia", "2011-12-29T13:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2011-12-31T12:00:00+14:00"},
		},
		{
			"a date that Samoa skipped", "0 12 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00-10:00",
			[]string{"2011-12-31T00:00:00+14:00", "2012-12-30T12:00:00+14:00"},
		},
		{
			"an interval over the day that Samoa skipped", "0 */12 * * *", "Pacific/Apia", "2011-12-29T11:00:00-10:00",
			[]string{"2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00"},
		},
		{
			"a day that Alaska had twice", "TZ=America/Juneau 0 12 * * *", "UTC", "1867-10-18T00:00:00Z",
			[]string{"1867-10-19T12:00:00+15:02", "1867-10-20T12:00:00-08:57"},
		},
		{
			"winter as the exception in Dublin, gap", "30 1 * * *", "Europe/Dublin", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T02:00:00+01:00", "2026-03-30T01:30:00+01:00"},
		},
		{
			"winter as the exception in Dublin, repeated", "30 1 * * *", "Europe/Dublin", "2026-10-24T12:00:00+01:00",
			[]string{"2026-10-25T01:30:00+01:00", "2026-10-26T01:30:00Z"},
		},
		{
			"two hours at the Troll station", "30 1 * * *", "Antarctica/Troll", "2026-03-28T12:00:00Z",
			[]string{"2026-03-29T03:00:00+02:00", "2026-03-30T01:30:00+02:00"},
		},
		{
			"standard time moved in Pyongyang", "45 23 * * *", "Asia/Pyongyang", "2018-05-04T12:00:00+08:30",
			[]string{"2018-05-05T00:00:00+09:00", "2018-05-05T23:45:00+09:00"},
		},
		{
			"interval on the last day of a far leap year", "0 */12 * * *", berlin, "2040-12-31T00:00:00+01:00",
			[]string{"2040-12-31T12:00:00+01:00", "2041-01-01T00:00:00+01:00", "2041-01-01T12:00:00+01:00"},
		},
		{
			"fixed on the last day of a far leap year", "30 23 * * *", berlin, "2040-12-31T12:00:00+01:00",
			[]string{"2040-12-31T23:30:00+01:00", "2041-01-01T23:30:00+01:00"},
		},
		{
			"by the rule of a far year", "30 2 * * *", berlin, "2203-03-26T12:00:00+01:00",
			[]string{"2203-03-27T03:00:00+02:00", "2203-03-28T02:30:00+02:00"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := ticks(mustParse(t, test.expression, test.zone), mustTime(t, test.from), len(test.want))
			if fmt.Sprint(got) != fmt.Sprint(test.want) {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// walk finds the ticks in (from, to] the slow way: it goes through every second
// and looks at the clock. It shares nothing with Next but the parsed fields.
func walk(s *Schedule, from, to int64) []int64 {
	allowed := func(w wall) bool {
		c := time.Unix(w, 0).UTC()
		f := s.fields
		return has(f.second, c.Second()) && has(f.minute, c.Minute()) && has(f.hour, c.Hour()) &&
			has(f.month, int(c.Month())) && f.dayMatches(c)
	}
	var found []int64
	virtual := wall(math.MinInt64)
	for t := from - 25*3600; t <= to; t++ {
		_, offset := time.Unix(t, 0).In(s.zone).Zone()
		clock := t + int64(offset)
		first := max(virtual+1, clock-25*3600)
		virtual = max(virtual, clock)
		switch {
		case t <= from:
		case s.interval && allowed(clock):
			found = append(found, t)
		case !s.interval:
			for w := first; w <= clock; w++ {
				if allowed(w) {
					found = append(found, t)
					break
				}
			}
		}
	}
	return found
}

// edges returns moments at which the zone's offset changes.
func edges(zone *time.Location) []int64 {
	var all []int64
	at := time.Date(1860, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 400 {
		_, end := at.In(zone).ZoneBounds()
		if end.IsZero() || end.Year() > 2100 {
			break
		}
		all = append(all, end.Unix())
		at = end
	}
	return all
}

func zones() []string {
	return []string{
		"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Beirut",
		"Africa/Cairo", "Pacific/Apia", "Europe/Dublin", "Antarctica/Troll", "Asia/Pyongyang", "America/Juneau",
		"Africa/Casablanca", "Asia/Gaza", "America/Caracas", "Asia/Kathmandu", "Pacific/Kwajalein",
		"Asia/Manila", "Africa/Monrovia", "America/St_Johns", "Asia/Tehran", "Europe/London", "Pacific/Chatham", "UTC",
	}
}

func drawExpression(t *rapid.T) string {
	minute := rapid.SampledFrom([]string{"0", "30", "15,45", "*/20", "59", "0,30", "*", "7-9"}).Draw(t, "minute")
	hour := rapid.SampledFrom([]string{"*", "*/2", "0", "1", "2", "3", "0-3", "23", "0,2,12", "0-23", "22,23"}).Draw(t, "hour")
	days := rapid.SampledFrom([]string{"* * *", "* * 0", "1-7 * *", "*/2 * 6", "? * SUN,SAT", "30 12 *", "1 * 5"}).Draw(t, "days")
	seconds := rapid.SampledFrom([]string{"", "", "0 ", "30 ", "0,59 "}).Draw(t, "seconds")
	return seconds + minute + " " + hour + " " + days
}

// Around any edge of any zone, Next finds exactly the ticks that walking through
// every second finds, from whichever moment it is asked.
func TestNextAgreesWithWalking(t *testing.T) {
	known := map[string][]int64{}
	for _, name := range zones() {
		zone, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		known[name] = append(edges(zone), time.Date(2026, 2, 28, 0, 0, 0, 0, time.UTC).Unix())
	}
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.SampledFrom(zones()).Draw(t, "zone")
		edge := rapid.SampledFrom(known[name]).Draw(t, "edge")
		from := edge - rapid.Int64Range(-2*3600, 12*3600).Draw(t, "before")
		zone, _ := LoadZone(name)
		schedule, err := Parse(drawExpression(t), zone)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, schedule, from, from+26*3600)
	})
}

func compare(t *rapid.T, schedule *Schedule, from, to int64) {
	want := walk(schedule, from, to)
	at := from
	for i := 0; ; i++ {
		next, ok := schedule.Next(time.Unix(at, 0))
		if !ok || next.Unix() > to {
			if i != len(want) {
				t.Fatalf("%s after %s: %d ticks, want %d; the first that is missing: %s", schedule, time.Unix(from, 0).In(schedule.zone), i, len(want), time.Unix(want[i], 0).In(schedule.zone))
			}
			return
		}
		if i >= len(want) || want[i] != next.Unix() {
			t.Fatalf("%s after %s: tick %d is %s, want %v", schedule, time.Unix(from, 0).In(schedule.zone), i, next, want)
		}
		at = next.Unix()
	}
}

// Whatever moments Next is asked from, the ticks are the same: the id of an event
// does not depend on when the process started (I5).
func TestNextDoesNotDependOnTheStart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, _ := LoadZone(rapid.SampledFrom(zones()).Draw(t, "zone"))
		expression := rapid.OneOf(rapid.Custom(drawExpression), rapid.SampledFrom([]string{"@every 7s", "@every 90m", "@daily"})).Draw(t, "expression")
		schedule, err := Parse(expression, zone)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Unix(rapid.Int64Range(-3e9, 6e9).Draw(t, "from"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns"))
		next, ok := schedule.Next(from)
		if !ok || !next.After(from) || next.Nanosecond() != 0 {
			t.Fatalf("%s after %s: %s, %v", schedule, from, next, ok)
		}
		between := from.Add(time.Duration(rapid.Int64Range(0, int64(next.Sub(from))-1).Draw(t, "between")))
		if again, _ := schedule.Next(between); !again.Equal(next) {
			t.Fatalf("%s after %s: %s, but after %s: %s", schedule, from, next, between, again)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, expression := range []string{"0 3 * * *", "*/10 * * * *", "0 0 29 2 *", "@every 5m"} {
		b.Run(expression, func(b *testing.B) {
			schedule := mustParse(b, expression, "Europe/Berlin")
			at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for b.Loop() {
				schedule.Next(at)
			}
		})
	}
}
