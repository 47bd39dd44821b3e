package cron

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseRefuses(t *testing.T) {
	const fields = "write five fields (minute hour day-of-month month day-of-week), six with seconds first, or a name such as @daily"
	for expression, want := range map[string]string{
		"":                        "the schedule is empty: " + fields,
		" \t ":                    "the schedule is empty: " + fields,
		"* * * *":                 `"* * * *": the number of fields is 4: ` + fields,
		"* * * * * * *":           `"* * * * * * *": the number of fields is 7: ` + fields,
		"60 * * * *":              `minute "60": 60 is above 59: write 0 to 59`,
		"0 24 * * *":              `hour "24": 24 is above 23: write 0 to 23`,
		"0 0 0 * *":               `day-of-month "0": 0 is below 1: write 1 to 31`,
		"0 0 1 13 *":              `month "13": 13 is above 12: write 1 to 12 or JAN to DEC`,
		"0 0 * * 7":               `day-of-week "7": 7 is above 6: write 0 to 6 or SUN to SAT, where 0 is Sunday`,
		"0 0 * * MONDAY":          `day-of-week "MONDAY": "MONDAY" is not a value: write 0 to 6 or SUN to SAT, where 0 is Sunday`,
		"61 * * * * *":            `second "61": 61 is above 59: write 0 to 59`,
		"0 3,,4 * * *":            `hour "3,,4": there is an empty element in the list: write 0 to 23`,
		", * * * *":               `minute ",": there is an empty element in the list: write 0 to 59`,
		"*/0 * * * *":             `minute "*/0": the step "0" is not a whole number from 1`,
		"*/ * * * *":              `minute "*/": the step "" is not a whole number from 1`,
		"*/x * * * *":             `minute "*/x": the step "x" is not a whole number from 1`,
		"1/2/3 * * * *":           `minute "1/2/3": the step "2/3" is not a whole number from 1`,
		"*-5 * * * *":             `minute "*-5": "*" is not a value: write 0 to 59`,
		"+5 * * * *":              `minute "+5": "+5" is not a value: write 0 to 59`,
		"-5 * * * *":              `minute "-5": "" is not a value: write 0 to 59`,
		"1-2-3 * * * *":           `minute "1-2-3": "2-3" is not a value: write 0 to 59`,
		"0 22-2 * * *":            `hour "22-2": 22 comes after 2: a range rises; write two, such as 22-23,0-2`,
		"0 9999999999999 * * *":   `hour "9999999999999": "9999999999999" is not a value: write 0 to 23`,
		"0 a\x1bb * * *":          `hour "a\x1bb": "a\x1bb" is not a value: write 0 to 23`,
		"60 24 * * *":             "minute \"60\": 60 is above 59: write 0 to 59\nhour \"24\": 24 is above 23: write 0 to 23",
		"0 0 30 2 *":              `"0 0 30 2 *" never fires: no month that it names has that day`,
		"0 0 31 4,6,9,11 *":       `"0 0 31 4,6,9,11 *" never fires: no month that it names has that day`,
		"@reboot":                 `unknown name "@reboot": write @yearly, @monthly, @weekly, @daily, @hourly or @every with a duration such as 5m`,
		"@Daily":                  `unknown name "@Daily": write @yearly, @monthly, @weekly, @daily, @hourly or @every with a duration such as 5m`,
		"@every":                  `@every: "" is not a duration: write a number with a unit, such as 30s, 5m or 1h30m`,
		"@every 5":                `@every: "5" is not a duration: write a number with a unit, such as 30s, 5m or 1h30m`,
		"@everything 5m":          `@every: "thing 5m" is not a duration: write a number with a unit, such as 30s, 5m or 1h30m`,
		"@every 999ms":            `@every: 999ms is too short: write 1s or more`,
		"@every -5m":              `@every: -5m0s is too short: write 1s or more`,
		"@every 1.5s":             `@every: 1.5s is not in whole seconds`,
		"TZ=UTC":                  "the schedule is empty: " + fields,
		"CRON_TZ= 0 3 * * *":      `"" is not a time zone: write a name of the IANA time zone database, such as Europe/Berlin or UTC`,
		"TZ=Mars 0 3 * * *":       `unknown time zone "Mars": write a name of the IANA time zone database, such as Europe/Berlin or UTC`,
		"TZ=../etc 0 3 * * *":     `unknown time zone "../etc": write a name of the IANA time zone database, such as Europe/Berlin or UTC`,
		"TZ=Local 0 3 * * *":      `"Local" is not a time zone: write a name of the IANA time zone database, such as Europe/Berlin or UTC`,
		strings.Repeat("0", 1025): "the schedule is 1025 bytes long: at most 1024 are allowed",
	} {
		schedule, err := Parse(expression, time.UTC)
		if err == nil {
			t.Errorf("%q: %s, want an error", expression, schedule)
		} else if err.Error() != want {
			t.Errorf("%q:\n got %s\nwant %s", expression, err, want)
		}
	}
}

func TestParseTellsJobsApart(t *testing.T) {
	for expression, want := range map[string]bool{
		"*/10 * * * *":              true,
		"0 * * * *":                 true,
		"0 */2 * * *":               true,
		"0 ? * * *":                 true,
		"* 2 * * *":                 true,
		"@hourly":                   true,
		"@every 24h":                true,
		"CRON_TZ=UTC * * * * *":     true,
		"0 3 * * *":                 false,
		"0,30 0-23 * * *":           false,
		"0/10 2 * * *":              false,
		"*/10 30 2 * * *":           false,
		"5,* 2 * * *":               false,
		"@daily":                    false,
		"  CRON_TZ=UTC 0 3 * * *  ": false,
	} {
		schedule, err := Parse(expression, time.UTC)
		if err != nil {
			t.Errorf("%q: %v", expression, err)
		} else if schedule.Interval() != want {
			t.Errorf("%q: interval is %v", expression, !want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"*/10 * * * *", "0 3 * * MON-FRI", "15,45 0-10/5 1 JAN ?", "@every 1h30m", "CRON_TZ=Europe/Berlin 30 2 * * *",
		"TZ=", "TZ=UTC", "@hourly", "0 0 30 2 *", "*-5 * * * *", ", * * * *", "0 0 29 2 1/3", "59 59 23 31 12 6",
		"cron(0/15 8-17 ? * MON-FRI 2026-2030)", "cron(0 0 LW * ? *)", "cron(0 0 15W * ? *)", "cron(0 0 ? * 6#3 *)", "cron(0 0 ? * 6L *)",
		"rate(5 minutes)", "rate(1 day)", "at(2027-01-31T15:04:05)", "cron(", "rate()", "at(2027-01-31T15:04:05Z)",
	} {
		f.Add(seed)
	}
	from := time.Date(2026, 3, 29, 0, 30, 0, 1, time.UTC)
	f.Fuzz(func(t *testing.T, expression string) {
		schedule, err := Parse(expression, time.UTC)
		if err != nil {
			if strings.ContainsFunc(strings.ReplaceAll(err.Error(), "\n", ""), func(r rune) bool { return r < ' ' }) {
				t.Errorf("a control character in %q", err)
			}
			return
		}
		next, ok := schedule.Next(from)
		if mayEnd := schedule.kind == awsCron || schedule.kind == once; !ok && !mayEnd && schedule.every < 1e10 {
			t.Fatalf("%q was accepted and never fires", expression)
		}
		if ok && (!next.After(from) || next.Nanosecond() != 0) {
			t.Fatalf("%q: %s does not follow %s", expression, next, from)
		}
		if again, err := Parse(schedule.String(), time.UTC); err != nil || again.String() != schedule.String() || !reflect.DeepEqual(again.fields, schedule.fields) {
			t.Fatalf("%q does not read back: %v", schedule, err)
		}
	})
}
