package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/event"
)

// The samples on the page are what the command prints.
func TestSamplesOfThePage(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../docs/function-events.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```console\n$ sluice ")[1:]
	compared := 0
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "\n```")
		line, want, found := strings.Cut(block, "\n")
		if !found {
			continue // a command whose output is not shown
		}
		compared++
		if got := sluice(t, nil, words(line)...); got.code != exitOK || got.stdout != want+"\n" {
			t.Errorf("sluice %s: code %d, %s\n%s\nthe page has\n%s", line, got.code, got.stderr, got.stdout, want)
		}
	}
	if compared < 12 {
		t.Errorf("only %d samples were compared", compared)
	}
}

// words splits a command line at spaces outside single quotes.
func words(line string) []string {
	var all []string
	for i, part := range strings.Split(line, "'") {
		if i%2 == 1 {
			all = append(all, part)
			continue
		}
		all = append(all, strings.Fields(part)...)
	}
	return all
}

func TestGenerateEventRefuses(t *testing.T) {
	for line, want := range map[string]string{
		"generate-event s4":                                   `sluice: unknown command "s4" for "sluice generate-event"; did you mean "s3"?` + "\nSee 'sluice generate-event --help'.\n",
		"generate-event sqs receive-mesage":                   `sluice: unknown command "receive-mesage" for "sluice generate-event sqs"; did you mean "receive-message"?` + "\nSee 'sluice generate-event sqs --help'.\n",
		"generate-event s3 put photos":                        `sluice: unexpected "photos": sluice generate-event s3 put takes flags only` + "\nSee 'sluice generate-event s3 put --help'.\n",
		"generate-event s3 put --shape lambda":                `sluice: --shape "lambda": it is aws, cloudevent or data` + "\n",
		"generate-event s3 put --count 0":                     "sluice: --count 0: write 1 to 10000\n",
		"generate-event s3 put --time later":                  `sluice: --time "later": write how long ago, such as 30m, 2h or 7d, or a time such as 2026-03-29T02:30:00Z or "2026-03-29 02:30"` + "\n",
		"generate-event kinesis get-records --sequence x":     `sluice: the event "5c3b0f2e-8a4d-4f6b-9d27-000000000001" of type "kinesis.record" cannot be given to a function in AWS's shape: its extension sequence is "x": want the place in the stream in decimal digits` + "\n",
		"generate-event apigateway aws-proxy --path orders":   `sluice: the values make no event: the path "orders" does not begin with a slash` + "\n",
		"generate-event eventbridge put-events --source a%zz": `sluice: the values make no event: source: "a%zz" is not a URI reference: '%' at byte 1 must be percent-encoded` + "\n",
	} {
		if got := sluice(t, nil, strings.Fields(line)...); got.code != exitUsage || got.stderr != want || got.stdout != "" {
			t.Errorf("sluice %s: code %d, printed %q and %q", line, got.code, got.stdout, got.stderr)
		}
	}
}

// A service without a word lists its events, and they are completed.
func TestGenerateEventHelps(t *testing.T) {
	if got := sluice(t, nil, "generate-event", "s3"); got.code != exitOK || !strings.Contains(got.stdout, "  put         An object was created\n") {
		t.Errorf("code %d, %s", got.code, got.stdout)
	}
	for _, line := range []string{"__complete generate-event s3 p", "__complete generate-event s3 put --shape "} {
		args := strings.Split(line, " ")
		if got := sluice(t, nil, args...); got.code != exitOK || !strings.HasPrefix(got.stdout, map[string]string{"p": "put\t", "": "aws\n"}[args[len(args)-1]]) {
			t.Errorf("%s: code %d, %s", line, got.code, got.stdout)
		}
	}
}

// A CloudEvent is a new one each time, because a source takes an id only once.
func TestGenerateEventMakesNewCloudEvents(t *testing.T) {
	var ids []string
	for range 2 {
		got := sluice(t, nil, "generate-event", "sqs", "receive-message", "--shape", "cloudevent")
		e, err := event.DecodeJSON([]byte(got.stdout))
		if err != nil || e.Validate() != nil || e.Type != "sqs.message" || e.Time.Year() < 2026 {
			t.Fatalf("code %d, %v, %s", got.code, err, got.stdout)
		}
		ids = append(ids, e.ID)
	}
	if ids[0] == ids[1] {
		t.Errorf("both have the id %s", ids[0])
	}
}

// What generate-event prints can be sent, and arrives as it is.
func TestSendTakesEvents(t *testing.T) {
	in := install(t, "up", nil)
	file := filepath.Join(t.TempDir(), "events.json")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(sluice(t, nil, "generate-event", "sqs", "receive-message", "--shape", "cloudevent", "--id", "m-1", "--count", "3").stdout)
	if out, code := in.send("--event", file, "--wait"); code != exitOK || !strings.Contains(out, "3 events: 6 delivered") && !strings.Contains(out, "3 delivered") {
		t.Errorf("code %d, %s", code, out)
	}
	if out, code := in.do("event", "--by", "id", "m-1-3"); code != exitOK || !strings.Contains(out, "sqs.message") || !strings.Contains(out, "sqs://orders") {
		t.Errorf("code %d, %s", code, out)
	}
	for text, want := range map[string]string{
		``:                 "not JSON",
		`[]`:               "the list is empty",
		`{"id":"1"}`:       "specversion",
		`[{"id":"1"}]`:     "event 0",
		`"text"`:           "found a string, want an event: an object",
		"[\n{\n\"id\": 7}": "not JSON",
	} {
		write(text)
		if out, code := in.send("--event", file); code != exitUsage || !strings.Contains(out, want) || !strings.Contains(out, "--event ") {
			t.Errorf("%q: code %d, %s", text, code, out)
		}
	}
	if out, code := in.send("--event", file+"x"); code != exitNotFound || !strings.Contains(out, "--event: there is no file") {
		t.Errorf("code %d, %s", code, out)
	}
	if out, code := in.send("--event", file, "--type", "a"); code != exitUsage || !strings.Contains(out, "[event type]") {
		t.Errorf("code %d, %s", code, out)
	}
}
