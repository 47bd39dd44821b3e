package main

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// runCron runs "sluice cron …" and returns its output, the error message and
// the exit code.
func runCron(t *testing.T, stdin io.Reader, args ...string) (stdout, message string, code int) {
	t.Helper()
	var out strings.Builder
	a := &app{stdin: stdin, stdout: &out, stderr: io.Discard, lookup: func(string) (string, bool) { return "", false }}
	cmd := newCronCommand(a)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	code, message = exitCode(cmd.ExecuteContext(t.Context()))
	return out.String(), message, code
}

func TestCronNextPrints(t *testing.T) {
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{
			"a fixed-time job over the gap",
			[]string{"30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-03-28T12:00:00+01:00", "-n", "2"},
			`CRON_TZ=Europe/Berlin 30 2 * * *
fixed-time job: a skipped time fires right after the gap, a repeated one once
2026-03-29T03:00:00+02:00  Sun  in 14h 0m        for 02:30, which is skipped: the clock goes forward from 02:00 to 03:00
2026-03-30T02:30:00+02:00  Mon  in 1d 13h
`,
		},
		{
			"an interval job",
			[]string{"@every 90s", "--from", "2026-03-28T12:00:01Z", "-n", "2"},
			`CRON_TZ=UTC @every 90s
interval job: it goes on through skipped and repeated hours
2026-03-28T12:01:30Z       Sat  in 1m 29s
2026-03-28T12:03:00Z       Sat  in 2m 59s
`,
		},
		{
			"the last of all",
			[]string{"0 0 1 1 *", "--from", "9999-06-01T00:00:00Z"},
			"CRON_TZ=UTC 0 0 1 1 *\nfixed-time job: a skipped time fires right after the gap, a repeated one once\nno tick up to the year 9999\n",
		},
		{
			"json",
			[]string{"*/30 * * * *", "--timezone", "Europe/Berlin", "--from", "2026-10-25T02:00:00+02:00", "-n", "1", "-o", "json"},
			`{"expr":"*/30 * * * *","timezone":"Europe/Berlin","interval":true,"from":"2026-10-25T02:00:00+02:00","ticks":[` +
				`{"time":"2026-10-25T02:30:00+02:00","note":"02:30 for the first time of two: the clock goes back by 1h"}]}` + "\n",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, message, code := runCron(t, nil, append([]string{"next"}, test.args...)...)
			if code != exitOK || got != test.want {
				t.Errorf("exit %d %s\n got %s\nwant %s", code, message, got, test.want)
			}
		})
	}
}

func TestCronNextRefuses(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"0", "3", "*", "*", "*"}, exitUsage, `expected one expression, found 5 arguments: put it in quotes, such as "0 3 * * *"`},
		{nil, exitUsage, `expected one expression, found 0 arguments: put it in quotes, such as "0 3 * * *"`},
		{[]string{"0 25 * * *"}, exitUsage, `expression: hour "25": 25 is above 23: write 0 to 23`},
		{[]string{"@daily", "--timezone", "Berlin"}, exitUsage, `timezone: unknown time zone "Berlin": write a name of the IANA time zone database, such as Europe/Berlin or UTC`},
		{[]string{"@daily", "--from", "yesterday"}, exitUsage, `from: "yesterday" is not a time: write it as 2026-03-29T02:30:00+01:00`},
		{[]string{"@daily", "-n", "0"}, exitUsage, `n: 0 is not a number of ticks: write 1 to 1000`},
		{[]string{"@daily", "-n", "1001"}, exitUsage, `n: 1001 is not a number of ticks: write 1 to 1000`},
		{[]string{"@daily", "-o", "xml"}, exitUsage, `--output "xml": it is text or json`},
		{[]string{"@daily", "--cases", "-"}, exitUsage, `give either an expression or --cases`},
		{[]string{"--cases", "/nowhere/cases"}, exitNotFound, `there is no file "/nowhere/cases"`},
	} {
		_, message, code := runCron(t, nil, append([]string{"next"}, test.args...)...)
		if code != test.code || message != test.want {
			t.Errorf("%q: exit %d, want %d\n got %s\nwant %s", test.args, code, test.code, message, test.want)
		}
	}
}

func TestCronNextCases(t *testing.T) {
	cases := [][2]string{
		{
			`{"expr":"30 2 * * *","timezone":"Europe/Berlin","from":"2026-03-28T12:00:00Z","n":2}`,
			`{"next":["2026-03-29T03:00:00+02:00","2026-03-30T02:30:00+02:00"]}`,
		},
		{`{"expr":"@daily","from":"2026-01-01T00:00:00Z","why":"strictly after"}`, `{"next":["2026-01-02T00:00:00Z"]}`},
		{`{"expr":"@daily","timezone":"","from":"2026-01-01T00:00:00.5+01:00"}`, `{"next":["2026-01-01T00:00:00Z"]}`},
		{`{"expr":"TZ=Asia/Tokyo @daily","timezone":"UTC","from":"2026-01-01T00:00:00Z"}`, `{"next":["2026-01-02T00:00:00+09:00"]}`},
		{`{"expr":"0 12 * * *","timezone":"Africa/Monrovia","from":"1960-01-01T00:00:00Z"}`, `{"next":["1960-01-01T12:44:30Z"]}`},
		{`nonsense`, `{"error":"case: not a JSON object with expr, timezone, from and n: invalid character 'o' in literal null (expecting 'u')"}`},
		{``, `{"error":"case: not a JSON object with expr, timezone, from and n: unexpected end of JSON input"}`},
		{`{"expr":5}`, `{"error":"case: not a JSON object with expr, timezone, from and n: expr: found a number, want a string"}`},
		{`{"n":1.5}`, `{"error":"case: not a JSON object with expr, timezone, from and n: n: found a number, want a whole number"}`},
		{`7`, `{"error":"case: not a JSON object with expr, timezone, from and n: found a number, want an object"}`},
		{`{"expr":"@daily"}`, `{"error":"case: needs both \"expr\" and \"from\""}`},
		{`{"expr":"@daily","from":"2026-01-01"}`, `{"error":"from: \"2026-01-01\" is not a time: write it as 2026-03-29T02:30:00+01:00"}`},
		{`{"expr":"0 0 30 2 *","from":"2026-01-01T00:00:00Z"}`, `{"error":"expression: \"0 0 30 2 *\" never fires: no month that it names has that day"}`},
		{`{"expr":"@daily","timezone":"Mars","from":"2026-01-01T00:00:00Z"}`, `{"error":"timezone: unknown time zone \"Mars\": write a name of the IANA time zone database, such as Europe/Berlin or UTC"}`},
		{`{"expr":"@daily","from":"2026-01-01T00:00:00Z","n":0}`, `{"error":"n: 0 is not a number of ticks: write 1 to 1000"}`},
		{`{"expr":"@daily","from":"9999-12-31T00:00:00Z"}`, `{"error":"there is no tick up to the year 9999"}`},
		{
			`{"expr":"cron(30 2 * * ? *)","timezone":"Europe/Berlin","from":"2026-03-28T12:00:00+01:00"}`,
			`{"next":["2026-03-30T02:30:00+02:00"]}`,
		},
		{`{"expr":"rate(2 hours)","from":"2026-01-01T00:00:30Z","n":2}`, `{"next":["2026-01-01T02:00:30Z","2026-01-01T04:00:30Z"]}`},
		{`{"expr":"at(2026-06-01T12:00:00)","timezone":"Asia/Tokyo","from":"2026-01-01T00:00:00Z"}`, `{"next":["2026-06-01T12:00:00+09:00"]}`},
		{`{"expr":"at(2026-06-01T12:00:00)","from":"2027-01-01T00:00:00Z"}`, `{"error":"there is no tick up to the year 9999"}`},
		{`{"expr":"rate(1 hours)","from":"2026-01-01T00:00:00Z"}`, `{"error":"expression: rate: write rate(1 hour)"}`},
		{`{"expr":"@hourly","from":"2026-01-01T00:00:00Z"}`, `{"next":["2026-01-01T01:00:00Z"]}`},
	}
	var input, want strings.Builder
	for _, c := range cases {
		input.WriteString(c[0] + "\n")
		want.WriteString(c[1] + "\n")
	}
	got, message, code := runCron(t, iotest.OneByteReader(strings.NewReader(input.String())), "next", "--cases", "-")
	if code != exitOK || got != want.String() {
		t.Errorf("exit %d %s\n got %s\nwant %s", code, message, got, want.String())
	}
}
