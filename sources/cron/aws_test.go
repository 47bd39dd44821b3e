package cron

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Amazon's forms, with the examples of the EventBridge Scheduler user guide
// ("Schedule types"), and its rules for daylight saving ("Daylight savings time").
func TestAWSForms(t *testing.T) {
	for _, test := range []struct{ expression, zone, from, want string }{
		{"cron(0 10 * * ? *)", "UTC", "2027-01-01T10:00:00Z", "2027-01-02T10:00:00Z 2027-01-03T10:00:00Z"},
		{"cron(15 12 * * ? *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-01T12:15:00Z 2027-01-02T12:15:00Z"},
		{"cron(0 18 ? * MON-FRI *)", "UTC", "2027-01-01T18:00:00Z", "2027-01-04T18:00:00Z 2027-01-05T18:00:00Z"},
		{"cron(0 8 1 * ? *)", "UTC", "2027-01-01T08:00:00Z", "2027-02-01T08:00:00Z 2027-03-01T08:00:00Z"},
		{"cron(0/15 * * * ? *)", "UTC", "2027-01-01T00:40:00Z", "2027-01-01T00:45:00Z 2027-01-01T01:00:00Z"},
		{"cron(0/10 * ? * MON-FRI *)", "UTC", "2027-01-02T00:00:00Z", "2027-01-04T00:00:00Z 2027-01-04T00:10:00Z"},
		{"cron(0/5 8-17 ? * mon-fri *)", "UTC", "2027-01-01T17:55:00Z", "2027-01-04T08:00:00Z 2027-01-04T08:05:00Z"},
		{"cron(15 10 ? * 6L 2027-2028)", "UTC", "2027-01-01T00:00:00Z", "2027-01-29T10:15:00Z 2027-02-26T10:15:00Z"},
		{"cron(0 0 L * ? *)", "UTC", "2028-02-01T00:00:00Z", "2028-02-29T00:00:00Z 2028-03-31T00:00:00Z"},
		{"cron(0 0 LW * ? *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-29T00:00:00Z 2027-02-26T00:00:00Z"},
		{"cron(0 0 1W * ? *)", "UTC", "2027-05-01T00:00:00Z", "2027-05-03T00:00:00Z 2027-06-01T00:00:00Z"},
		{"cron(0 0 15W * ? *)", "UTC", "2027-05-01T00:00:00Z", "2027-05-14T00:00:00Z 2027-06-15T00:00:00Z"},
		{"cron(0 0 31W * ? *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-29T00:00:00Z 2027-03-31T00:00:00Z"},
		{"cron(0 0 ? * 6#3 *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-15T00:00:00Z 2027-02-19T00:00:00Z"},
		{"cron(0 0 ? * 2#5 *)", "UTC", "2027-01-01T00:00:00Z", "2027-03-29T00:00:00Z 2027-05-31T00:00:00Z"},
		{"cron(0 0 ? * L *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-02T00:00:00Z 2027-01-09T00:00:00Z"},
		{"cron(0 0 ? * 1 *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-03T00:00:00Z 2027-01-10T00:00:00Z"},
		{"cron(0 12 31 12 ? 2027)", "UTC", "2027-01-01T00:00:00Z", "2027-12-31T12:00:00Z never"},
		{"cron(0 0 1 1 ? 2020)", "UTC", "2027-01-01T00:00:00Z", "never"},
		{"cron(0 0 29 2 ? *)", "UTC", "2027-01-01T00:00:00Z", "2028-02-29T00:00:00Z 2032-02-29T00:00:00Z"},
		{"CRON_TZ=Asia/Tokyo cron(0 9 * * ? *)", "UTC", "2027-01-01T00:00:00Z", "2027-01-02T09:00:00+09:00 2027-01-03T09:00:00+09:00"},
		// The skipped hour is skipped, the repeated one runs once.
		{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-03-27T00:00:00Z", "2027-03-27T02:30:00+01:00 2027-03-29T02:30:00+02:00"},
		{"cron(30 2 * * ? *)", "Europe/Berlin", "2027-10-30T12:00:00Z", "2027-10-31T02:30:00+02:00 2027-11-01T02:30:00+01:00"},
		{"cron(0/30 * * * ? *)", "Europe/Berlin", "2027-10-31T00:00:00Z", "2027-10-31T02:30:00+02:00 2027-10-31T03:00:00+01:00"},
		{"cron(0/30 * * * ? *)", "Europe/Berlin", "2027-03-28T00:30:00Z", "2027-03-28T03:00:00+02:00 2027-03-28T03:30:00+02:00"},
		{"rate(5 minutes)", "Europe/Berlin", "2027-01-01T00:02:03Z", "2027-01-01T01:07:03+01:00 2027-01-01T01:12:03+01:00"},
		{"rate(1 day)", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-28T14:00:00+02:00 2027-03-29T14:00:00+02:00"},
		{"at(2027-06-01T12:00:00)", "Europe/Berlin", "2027-01-01T00:00:00Z", "2027-06-01T12:00:00+02:00 never"},
		{"at(2027-10-31T02:30:00)", "Europe/Berlin", "2027-01-01T00:00:00Z", "2027-10-31T02:30:00+02:00 never"},
		{"at(2026-06-01T12:00:00)", "UTC", "2027-01-01T00:00:00Z", "never"},
	} {
		t.Run(test.expression+" "+test.from, func(t *testing.T) {
			zone, err := LoadZone(test.zone)
			if err != nil {
				t.Fatal(err)
			}
			schedule, err := Parse(test.expression, zone)
			if err != nil {
				t.Fatal(err)
			}
			from, _ := time.Parse(time.RFC3339, test.from)
			if got := twoTicks(schedule.From(from), from); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func twoTicks(schedule *Schedule, from time.Time) string {
	var ticks []string
	for range 2 {
		next, ok := schedule.Next(from)
		if !ok {
			ticks = append(ticks, "never")
			break
		}
		ticks = append(ticks, next.Format(time.RFC3339))
		from = next
	}
	return strings.Join(ticks, " ")
}

func TestAWSFormsAreRefused(t *testing.T) {
	berlin, err := LoadZone("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	const fields = "write cron(minutes hours day-of-month month day-of-week year), such as cron(0 3 * * ? *)"
	const rates = "write rate(5 minutes), with minutes, hours or days, or rate(1 hour)"
	for expression, want := range map[string]string{
		"cron(0 3 * * ? *":          `"cron(0 3 * * ? *" does not end with a parenthesis`,
		"cron(0 3 * * ?)":           `"cron(0 3 * * ?)": the number of fields is 5: ` + fields,
		"cron()":                    `"cron()": the number of fields is 0: ` + fields,
		"cron(0 3 * * * *)":         `"cron(0 3 * * * *)": one of day-of-month and day-of-week is ?, and the other says which days`,
		"cron(0 3 ? * ? *)":         `"cron(0 3 ? * ? *)": one of day-of-month and day-of-week is ?, and the other says which days`,
		"cron(? 3 * * ? *)":         `minute "?": ? stands alone, for day-of-month or day-of-week`,
		"cron(0 3 * * ? 1969)":      `year "1969": 1969 is below 1970: write 1970 to 2199`,
		"cron(0 3 ? * 0 *)":         `day-of-week "0": 0 is below 1: write 1 to 7 or SUN to SAT, where 1 is Sunday`,
		"cron(0 3 ? * 6#6 *)":       `day-of-week "6#6": "6#6" is not a value: write 1 to 7 or SUN to SAT, where 1 is Sunday`,
		"cron(0 3 32W * ? *)":       `day-of-month "32W": "32W" is not a value: write 1 to 31`,
		"cron(60 24 * * ? *)":       "minute \"60\": 60 is above 59: write 0 to 59\nhour \"24\": 24 is above 23: write 0 to 23",
		"cron(0 0 30 2 ? *)":        `"cron(0 0 30 2 ? *)" never fires: no month and year that it names has that day`,
		"cron(0 0 29 2 ? 2027)":     `"cron(0 0 29 2 ? 2027)" never fires: no month and year that it names has that day`,
		"rate(5)":                   `rate: "5" is not a number and a unit: ` + rates,
		"rate(0 minutes)":           `rate: "0" is not a whole number from 1: ` + rates,
		"rate(-1 minutes)":          `rate: "-1" is not a whole number from 1: ` + rates,
		"rate(1.5 hours)":           `rate: "1.5" is not a whole number from 1: ` + rates,
		"rate(5 seconds)":           `rate: unknown unit "seconds": ` + rates,
		"rate(1 minutes)":           "rate: write rate(1 minute)",
		"rate(2 day)":               "rate: write rate(2 days)",
		"at(2027-01-01)":            `at: "2027-01-01" is not a time without a zone: write at(2027-01-31T15:04:05)`,
		"at(2027-01-01T00:00:00Z)":  `at: "2027-01-01T00:00:00Z" is not a time without a zone: write at(2027-01-31T15:04:05)`,
		"at(2027-03-28T02:30:00)":   "at: there is no 2027-03-28T02:30:00 in Europe/Berlin: the clock goes forward over it",
		"cron(0 3 1,L * ? *)":       `day-of-month "1,L": "L" is not a value: write 1 to 31`,
		"cron(0 3 ? * MON,?,TUE *)": `day-of-week "MON,?,TUE": ? stands alone, for day-of-month or day-of-week`,
	} {
		schedule, err := Parse(expression, berlin)
		if err == nil {
			t.Errorf("%q: %s, want an error", expression, schedule)
		} else if err.Error() != want {
			t.Errorf("%q:\n got %s\nwant %s", expression, err, want)
		}
	}
}

// A tick of cron(…) is the first instant at which the clock shows its time: over
// two years and every change of the zone, compared with a clock that is looked at
// every minute.
func TestAWSTicksAgainstAWatchedClock(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Santiago", "Asia/Tehran"} {
		zone, err := LoadZone(name)
		if err != nil {
			t.Fatal(err)
		}
		schedule, err := Parse("cron(0/20 1-3 * * ? *)", zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)
		end := at.AddDate(2, 0, 0)
		next, _ := schedule.Next(at)
		shown := map[string]bool{}
		for at = at.Add(time.Minute); at.Before(end); at = at.Add(time.Minute) {
			local := at.In(zone)
			text := local.Format("2006-01-02T15:04")
			matches := local.Minute()%20 == 0 && local.Hour() >= 1 && local.Hour() <= 3 && !shown[text]
			shown[text] = matches || shown[text]
			if fires := next.Equal(at); fires != matches {
				t.Fatalf("%s at %s: fires: %v, the clock says: %v", name, local, fires, matches)
			}
			if matches {
				next, _ = schedule.Next(at)
			}
		}
	}
}

func ExampleSchedule_Behavior() {
	for _, expression := range []string{"30 2 * * *", "*/5 * * * *", "cron(30 2 * * ? *)", "rate(1 day)", "at(2027-01-01T00:00:00)"} {
		schedule, err := Parse(expression, time.UTC)
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s\n  %s\n", schedule, schedule.Behavior())
	}
	// Output:
	// CRON_TZ=UTC 30 2 * * *
	//   fixed-time job: a skipped time fires right after the gap, a repeated one once
	// CRON_TZ=UTC */5 * * * *
	//   interval job: it goes on through skipped and repeated hours
	// CRON_TZ=UTC cron(30 2 * * ? *)
	//   Amazon's form: a skipped time does not fire, a repeated one fires once
	// CRON_TZ=UTC rate(1 day)
	//   Amazon's form: it counts real time, from its first start
	// CRON_TZ=UTC at(2027-01-01T00:00:00)
	//   Amazon's form: it fires once
}
