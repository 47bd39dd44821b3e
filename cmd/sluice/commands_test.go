package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/admin"
)

// TestTheWayOfAnEvent goes through the commands as an operator would.
func TestTheWayOfAnEvent(t *testing.T) {
	in := install(t, "up", nil)
	if got, code := in.send("--type", "good", "--id", "a", "--data", `{"size":1}`, "--wait"); code != exitOK {
		t.Fatalf("exit code %d: %s", code, got)
	}
	in.want(`Event 1  good
  id  a
  source  orders  /sluice/send
  accepted  TIME  AGO
  data  {"size":1}

✓ all  delivered
  ATTEMPT  AT  STATUS  TOOK  OUTCOME  ERROR
  1  TIME  200  SPAN  delivered

– big  its pattern refuses the event
  NO no match
  NO data.size: asked for {"numeric":[">",100]}; found 1
`, exitOK, "event", "1")

	got, code := in.send("--type", "bad", "--id", "b", "--wait")
	if code != exitPartly || !strings.Contains(steady(got, in), `✗ all  dead: exhausted
  ATTEMPT  AT  STATUS  TOOK  OUTCOME  ERROR
  1  TIME  503  SPAN  failed, next at TIME  answered 503 Service Unavailable: "no\x1b[31m\n"
  2  TIME  503  SPAN  failed, the last  answered 503 Service Unavailable: "no\x1b[31m\n"
  its letter: sluice dlq show LOG.2.all
`) {
		t.Fatalf("exit code %d:\n%s", code, got)
	}
	in.want(`DIED  TRIGGER  TYPE  REASON  STATUS  ERROR  LETTER
AGO  all  bad  exhausted  503  answered 503 Service Unavailable: "no\x1b[31m\n"  LOG.2.all
`, exitOK, "dlq", "list")
	in.want("LETTERS  TRIGGER\n1  all\n\n1 letter, of which 1 can be replayed\n", exitOK, "dlq", "list", "--group", "trigger")
	in.want("LETTERS  TRIGGER\n1  all\n\n1 letter, of which 1 would be replayed\n", exitOK, "dlq", "replay", "--status", "503", "--dry-run")
	in.want("sluice: no letter is selected\n", exitNotFound, "dlq", "replay", "--status", "404", "--dry-run")

	in.mended.Store(true)
	in.want("1 letter replayed\n", exitOK, "dlq", "replay", "--all")
	in.eventually("the letter is delivered", func() bool { return in.got.Load() == 2 })
	in.eventually("everything is settled", func() bool {
		found, _ := in.do("audit")
		return strings.Contains(steady(found, in), "all  3  2  1")
	})
	in.want(`TRIGGER  MATCHED  DELIVERED  DEAD  DISCARDED  WAITING  OFF BY
all  3  2  1  0  0  -
big  0  0  0  0  0  -

conserved: 3 events checked
`, exitOK, "audit")
	in.want("REPLAY  STATE  CREATED  TRIGGER  REPLAYED  OF  NOTE\nJOB  finished  AGO  -  1  1\n", exitOK, "dlq", "jobs")
	if got, _ := in.do("event", "2"); !strings.Contains(got, "its letter has gone: it was replayed or purged") {
		t.Errorf("the replayed event still has a letter:\n%s", got)
	}
	// By its id an event is found together with its replay.
	if got, _ := in.do("event", "b"); strings.Count(got, "Event ") != 2 || !strings.Contains(got, "only for  all") {
		t.Errorf("found by its id:\n%s", got)
	}
	if code := in.stop(); code != exitOK {
		t.Errorf("sluice up ended with %d:\n%s", code, in.out.String())
	}
}

func TestTriggersArePausedOverARestart(t *testing.T) {
	in := install(t, "up", nil)
	in.want("all is paused\n", exitOK, "triggers", "pause", "all")
	in.send("--count", "250")
	if code := in.stop(); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	in.start("up")
	in.eventually("the lag is known", func() bool {
		got, _ := in.do("triggers", "list")
		return strings.Contains(steady(got, in), "all  paused  0  0  0  0  0  0")
	})
	if got := in.got.Load(); got != 0 {
		t.Errorf("the paused trigger has delivered %d events", got)
	}
	in.want("all is resumed\nsluice: there is no trigger \"bigg\": did you mean \"big\"?\n", exitPartly, "triggers", "resume", "all", "bigg")
	in.eventually("all are delivered", func() bool { return in.got.Load() == 250 })
}

func TestPurgeAsksFirst(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--type", "bad", "--count", "3", "--wait")
	in.want("sluice: there is no terminal to ask on: say --yes if you mean it\n", exitUsage, "dlq", "purge", "--all")
	in.want("LETTERS  TRIGGER\n3  all\n\n3 letters, of which 3 could be replayed instead of being purged\n", exitOK, "dlq", "purge", "--all", "--dry-run")
	in.want("3 letters purged\n", exitOK, "dlq", "purge", "--type", "bad", "--yes")
	in.want("There are no such letters.\n", exitOK, "dlq", "list")
	if status, _ := in.request(http.MethodPost, "/api/v1/letters/purge", `{"filter":{}}`); status != http.StatusBadRequest {
		t.Errorf("an empty filter purges: status %d", status)
	}
}

func TestTailGoesOnOverARestart(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--id", "first")
	ctx, cancel := context.WithCancel(t.Context())
	var out lockedBuffer
	a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &in.out, lookup: in.lookup}
	var tailed sync.WaitGroup
	var code int
	tailed.Go(func() { code = run(ctx, a, []string{"tail", "--from", "1", "--trigger", "all", "-o", "json"}) })
	in.eventually("the first is shown", func() bool { return strings.Count(out.String(), "\n") == 1 })
	in.stop()
	in.eventually("the end is noticed", func() bool { return strings.Contains(in.out.String(), "the service has gone; waiting for it") })
	in.start("up")
	in.send("--id", "second")
	in.eventually("the second is shown", func() bool { return strings.Count(out.String(), "\n") == 2 })
	cancel()
	tailed.Wait()
	if code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for i, text := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		var line admin.TailLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatal(err)
		}
		if want := []string{"first", "second"}[i]; !strings.Contains(string(line.Event), `"id":"`+want+`"`) {
			t.Errorf("line %d is %s", i, text)
		}
	}
}

func TestBadInputOfCommands(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--id", "1", "--wait")
	two := filepath.Join(t.TempDir(), "two.yaml")
	text := "sources: {nightly: {cron: {schedule: \"0 3 * * *\"}}, uploads: {s3: {endpoint: \"http://127.0.0.1:9000\", bucket: photos, prefix: in/}}, looks: {http: {path: /looks, methods: [GET], shape: request}}}\n" +
		"triggers: {all: {on: nightly, to: {http: {url: \"http://127.0.0.1:1\"}}}}\n"
	if err := os.WriteFile(two, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"triggers", "list", "-o", "yaml"}, exitUsage, `--output "yaml": it is table or json`},
		{[]string{"triggers", "pause", "al"}, exitNotFound, `there is no trigger "al": did you mean "all"?`},
		{[]string{"triggers", "pause", "something"}, exitNotFound, `there is no trigger "something": there is all, big`},
		{[]string{"triggers", "pause", "a/b"}, exitNotFound, `there is no trigger "a/b": did you mean "all"?`},
		{[]string{"tail", "--source", "order"}, exitNotFound, `there is no source "order": did you mean "orders"?`},
		{[]string{"tail", "--trigger", "bigger"}, exitNotFound, `there is no trigger "bigger": there is all, big`},
		{[]string{"tail", "--from", "yesterday"}, exitUsage, `--from "yesterday": write how long ago, such as 30m, 2h or 7d, or a time such as 2026-03-29T02:30:00Z or "2026-03-29 02:30"`},
		{[]string{"tail", "--pattern", "{"}, exitUsage, "the pattern is invalid: "},
		{[]string{"event", "9"}, exitNotFound, `there is no event "9" among 1 to 1, which is all that is kept`},
		{[]string{"event", "--by", "name", "9"}, exitUsage, `--by "name": it is id or sequence`},
		{[]string{"event", "--by", "sequence", "x"}, exitUsage, `ref "x": a sequence is a number`},
		{[]string{"dlq", "list", "--status", "99"}, exitUsage, "--status 99: a status code is from 100 to 599"},
		{[]string{"dlq", "list", "--reason", "bored"}, exitUsage, `--reason "bored": it is one of exhausted, permanent, expired, poison, undecodable`},
		{[]string{"dlq", "list", "--since", "-1h"}, exitUsage, `--since "-1h": write how long ago, such as 30m, 2h or 7d, or a time such as 2026-03-29T02:30:00Z or "2026-03-29 02:30"`},
		{[]string{"dlq", "list", "--group", "color"}, exitUsage, `--group "color": it is trigger, error, type or source`},
		{[]string{"dlq", "list", "--limit", "0"}, exitUsage, "--limit 0: write 1 to 1000"},
		{[]string{"dlq", "show", "7"}, exitUsage, "\"7\" is not the id of a letter: `sluice dlq list` shows them"},
		{[]string{"dlq", "show", "0XXv1yTMH2oUmkkMKCv8Tr.7.all"}, exitNotFound, `there is no letter "0XXv1yTMH2oUmkkMKCv8Tr.7.all"`},
		{[]string{"dlq", "replay"}, exitUsage, "say which letters: their ids, a filter such as --trigger NAME, or --all; not two of these with --all"},
		{[]string{"dlq", "replay", "--all", "--type", "x"}, exitUsage, "say which letters: their ids, a filter such as --trigger NAME, or --all; not two of these with --all"},
		{[]string{"dlq", "replay", "--all", "--rate", "-1"}, exitUsage, "--rate -1: write letters a second, or 0 for as fast as it goes"},
		{[]string{"dlq", "cancel", "dlq-1"}, exitNotFound, `there is no replay "dlq-1": not found`},
		{[]string{"dlq", "resume", "dlq-1"}, exitNotFound, `there is no replay "dlq-1": not found`},
		{[]string{"replay"}, exitUsage, "--trigger is missing: name the trigger that the events are for"},
		{[]string{"replay", "--trigger", "all"}, exitUsage, "say which events: --since TIME or another filter, or --all for all that is kept; not both"},
		{[]string{"replay", "--trigger", "all", "--all", "--type", "x"}, exitUsage, "say which events: --since TIME or another filter, or --all for all that is kept; not both"},
		{[]string{"replay", "--trigger", "bigg", "--all"}, exitNotFound, `there is no trigger "bigg": did you mean "big"?`},
		{[]string{"replay", "--trigger", "all", "--source", "order"}, exitUsage, `the trigger "all" is not on a source "order": it is on [orders]`},
		{[]string{"replay", "--trigger", "all", "--since", "1h", "--until", "2h"}, exitUsage, "is not before until"},
		{[]string{"replay", "--trigger", "all", "--since", "2999-01-01"}, exitUsage, "lies in the future: it is"},
		{[]string{"replay", "--trigger", "all", "--until", "1h"}, exitNotFound, "no event was accepted in that time"},
		{[]string{"replay", "--trigger", "all", "--first", "9"}, exitUsage, "first 9 lies in the future: the log ends at 1"},
		{[]string{"replay", "--trigger", "all", "--pattern", `{"type":["a"`}, exitUsage, "--pattern: line 1, column 12: not JSON: unexpected end of JSON input"},
		{[]string{"replay", "--trigger", "all", "--all", "--rate", "-1"}, exitUsage, "--rate -1: write events a second, or 0 for as fast as it goes"},
		{[]string{"replay", "resume", "replay-1"}, exitNotFound, `there is no replay "replay-1": not found`},
		{[]string{"send", "order", "-c", in.path}, exitNotFound, `there is no source "order": did you mean "orders"?`},
		{[]string{"send", "nightly", "-c", two}, exitUsage, `the source "nightly" is of the kind cron, and events can be sent to http sources only`},
		{[]string{"send", "uploads", "-c", two}, exitUsage, `of the kind s3, and events can be sent to http sources only: put an object into its bucket, such as: curl -T FILE http://127.0.0.1:9000/photos/in/FILE`},
		{[]string{"send", "looks", "-c", two}, exitUsage, `the source "looks" takes GET, and events are sent by POST: send a request such as: curl -X GET http://127.0.0.1:4800/looks`},
		{[]string{"send", "orders", "-c", in.path, "--count", "0"}, exitUsage, "--count 0: write 1 to 1000000"},
		{[]string{"send", "orders", "-c", in.path, "--timeout", "-1s"}, exitUsage, "--timeout -1s: write a time such as 1m"},
		{[]string{"send", "orders", "-c", in.path, "--data", "@none"}, exitNotFound, `--data: there is no file "none"`},
		{[]string{"send", "orders", "-c", in.path, "--type", ""}, exitUsage, "type"},
		{[]string{"send", "orders", "-c", "none.yaml"}, exitNotFound, `there is no file "none.yaml": name another with --config`},
		{[]string{"up", "-c", in.path, "--log-level", "loud"}, exitUsage, `--log-level "loud": it is debug, info, warn or error`},
		{[]string{"up", "-c", in.path, "--log-format", "xml"}, exitUsage, `--log-format "xml": it is text or json`},
		{[]string{"up", "-c", in.path, "--drain", "0s"}, exitUsage, "--drain 0s: write a time such as 25s"},
		{[]string{"up", "-c", in.path}, exitFailure, "is in use by"},
		{[]string{"audit", "--server", "localhost"}, exitUsage, `the server "localhost" is no URL: write one such as http://127.0.0.1:4801`},
		{[]string{"audit", "--server", "http://" + in.ingest}, exitFailure, `something answers that is not sluice's admin listener: status 404, "application/json"`},
		{[]string{"audit", "--server", "http://127.0.0.1:1"}, exitUnreachable, "cannot reach sluice at http://127.0.0.1:1: is `sluice up` running?"},
		{[]string{"tail", "--server", "http://127.0.0.1:1"}, exitUnreachable, "cannot reach sluice at http://127.0.0.1:1: is `sluice up` running?"},
	} {
		got, code := in.do(test.args...)
		if code != test.code || !strings.HasPrefix(got, "sluice: ") || !strings.Contains(got, test.want) {
			t.Errorf("sluice %s: exit code %d, want %d; got %swant %s", strings.Join(test.args, " "), code, test.code, got, test.want)
		}
	}
}

func TestTheAdminListenerRefuses(t *testing.T) {
	in := install(t, "up", nil)
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"another host", "GET", "/readyz", "", []string{"Host", "evil.example"}, 403, `the host \"evil.example\" is not this machine: ask for 127.0.0.1 or localhost`},
		{"another site", "POST", "/api/v1/triggers/all/pause", "", []string{"Sec-Fetch-Site", "cross-site"}, 403, "a browser sends this for another site"},
		{"no such path", "GET", "/api/v2/triggers", "", nil, 404, `there is nothing at \"/api/v2/triggers\"`},
		{"unknown trigger", "POST", "/api/v1/triggers/alll/pause", "", nil, 404, `there is no trigger \"alll\": did you mean \"all\"?`},
		{"a key that is unknown", "POST", "/api/v1/letters/replay", `{"al":true}`, nil, 400, `unknown field \"al\"`},
		{"two bodies", "POST", "/api/v1/letters/replay", `{"all":true}{}`, nil, 400, "something follows the JSON object"},
		{"a large body", "POST", "/api/v1/letters/replay", `{"filter":{"type":"` + strings.Repeat("x", 1<<20) + `"}}`, nil, 413, "the body is too large: at most 1048576 bytes"},
		{"all and a filter", "POST", "/api/v1/letters/replay", `{"all":true,"filter":{"type":"x"}}`, nil, 400, "one of them, not both"},
		{"a negative rate", "POST", "/api/v1/letters/replay", `{"all":true,"rate":-1}`, nil, 400, "rate -1: ask for letters a second"},
		{"history for nobody", "POST", "/api/v1/history/replay", `{"all":true}`, nil, 400, "filter.trigger is missing"},
		{"history without a filter", "POST", "/api/v1/history/replay", `{"filter":{"trigger":"all"}}`, nil, 400, "one of them, not both"},
		{"history with a bad pattern", "POST", "/api/v1/history/replay", `{"filter":{"trigger":"all","pattern":{"type":"x"}}}`, nil, 400, "the pattern is invalid: line 1, column 9: "},
		{"a bad kind of jobs", "GET", "/api/v1/jobs?kind=event", "", nil, 400, `kind \"event\": it is letters or history`},
		{"a bad time", "GET", "/api/v1/letters?since=1h", "", nil, 400, `since \"1h\": write a time as 2026-03-29T02:30:00Z`},
		{"a bad number", "GET", "/api/v1/letters?limit=many", "", nil, 400, `limit \"many\": write a number from 1 to 1000`},
		{"a bad group", "GET", "/api/v1/letters?group=day", "", nil, 400, `group \"day\": group by trigger, error, type or source`},
		{"no limit", "GET", "/api/v1/letters?limit=0", "", nil, 400, `limit \"0\": write a number from 1 to 1000`},
		{"an unknown parameter", "GET", "/api/v1/letters?triger=all", "", nil, 400, `there is no parameter \"triger\": did you mean \"trigger\"?`},
		{"an unknown parameter of tail", "GET", "/api/v1/tail?since=1", "", nil, 400, `there is no parameter \"since\"`},
		{"bad parameters", "GET", "/api/v1/events/1?by=%zz", "", nil, 400, `the parameters cannot be read: invalid URL escape \"%zz\"`},
		{"another method", "DELETE", "/api/v1/triggers", "", nil, 405, `method \"DELETE\": send GET`},
		{"reading what changes", "GET", "/api/v1/triggers/all/pause", "", nil, 405, `method \"GET\": send POST`},
		{"a filter for what is no id", "POST", "/api/v1/letters/replay", `{"filter":{"ids":["x"]}}`, nil, 400, `the filter's ids[0]: \"x\" is not a delivery id`},
		{"a filter for what is no status", "POST", "/api/v1/letters/purge", `{"filter":{"status":1}}`, nil, 400, `the filter's status: 1 is no status code: write 100 to 599`},
		{"a filter for what is no reason", "GET", "/api/v1/letters?reason=bored", "", nil, 400, `the filter's reason: \"bored\" is none: write one of exhausted, permanent, expired, poison, undecodable`},
		{"an array", "POST", "/api/v1/letters/replay", `[]`, nil, 400, "expected here: found an array, want an object"},
		{"a string for a number", "POST", "/api/v1/letters/replay", `{"all":true,"rate":"x"}`, nil, 400, "rate: found a string, want a number"},
		{"a number for a string", "POST", "/api/v1/letters/replay", `{"filter":{"trigger":1}}`, nil, 400, "filter.trigger: found a number, want a string"},
		{"no time", "POST", "/api/v1/letters/replay", `{"filter":{"since":"1h"}}`, nil, 400, "a time is written as 2026-03-29T02:30:00Z"},
		{"nothing", "POST", "/api/v1/letters/replay", ``, nil, 400, "it is empty: want an object"},
		{"a part", "POST", "/api/v1/letters/replay", `{`, nil, 400, "the object is cut off"},
		{"no reference", "GET", "/api/v1/events", "", nil, 400, "ref is missing: give the sequence or the id of an event"},
		{"a bad begin", "GET", "/api/v1/tail?from=x", "", nil, 400, `from \"x\": write a sequence, or a time as 2026-03-29T02:30:00Z`},
	} {
		t.Run(test.name, func(t *testing.T) {
			status, body := in.request(test.method, test.path, test.body, test.header...)
			if status != test.status || !strings.Contains(body, test.want) || !strings.Contains(body, `"status":`) {
				t.Errorf("status %d, want %d; got %s\nwant %s", status, test.status, body, test.want)
			}
		})
	}
}

func TestWithATokenNobodyElseAsks(t *testing.T) {
	secured := install(t, "up", nil)
	secured.stop()
	secured.env[envToken] = adminToken
	secured.start("up")
	for path, want := range map[string]int{
		"/livez": 200, "/readyz": 200, "/readyz?verbose": 401, "/metrics": 401, "/api/v1/triggers": 401, "/api/v1/tail": 401, "/": 401,
	} {
		if status, body := secured.request(http.MethodGet, path, ""); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
	if status, _ := secured.request(http.MethodGet, "/metrics", "", "Authorization", "Bearer "+adminToken); status != 200 {
		t.Errorf("with the token: status %d", status)
	}
	if got, code := secured.do("triggers", "list"); code != exitOK {
		t.Errorf("with the token: exit code %d: %s", code, got)
	}
	secured.env[envToken] = "another"
	secured.want("sluice: the service asks for its admin token: set SLUICE_TOKEN\n", exitFailure, "triggers", "list")
	secured.want("sluice: the service asks for its admin token: set SLUICE_TOKEN\n", exitFailure, "tail")
}

func TestMetricsHaveOnePrefix(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--wait")
	status, body := in.request(http.MethodGet, "/metrics", "")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	for _, want := range []string{
		`sluice_source_events_total{source="orders"} 1`, `sluice_source_up{source="orders"} 1`,
		`sluice_outcomes_total{outcome="done",trigger="all"} 1`, `sluice_stream_messages{stream="events"} `,
		`sluice_deliveries_total{state="delivered",trigger="all"} 1`, "sluice_build_info{", "go_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for line := range strings.Lines(body) {
		name := strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE ")
		if !strings.HasPrefix(name, "sluice_") && !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("a metric without the prefix: %s", line)
		}
	}
}

func TestTailBeginsAtATime(t *testing.T) {
	in := install(t, "up", nil)
	in.send("--id", "old", "--wait")
	found, _ := in.do("event", "old", "--by", "id", "-o", "json")
	var life admin.Found
	if err := json.Unmarshal([]byte(found), &life); err != nil {
		t.Fatal(err)
	}
	between := life.Events[0].Accepted.Add(time.Millisecond)
	in.eventually("the time has passed", func() bool { return time.Now().After(between) })
	in.send("--id", "new", "--wait")
	client, err := in.app().newClient(in.server)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	query := url.Values{"from": {between.Format(time.RFC3339Nano)}}
	seen := errors.New("seen")
	err = client.Tail(t.Context(), query, func(line *admin.TailLine) error {
		if !strings.Contains(string(line.Event), `"id":"new"`) {
			t.Errorf("it begins with %s", line.Event)
		}
		return seen
	})
	if !errors.Is(err, seen) {
		t.Error(err)
	}
}

func TestUpReadsTheFileAgainAtSIGHUP(t *testing.T) {
	in := install(t, "up", nil)
	text, err := os.ReadFile(in.path)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.FindProcess(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	hangUp := func() {
		if err := self.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	in.write(string(text) + "  third: {on: nowhere, to: work}\n")
	hangUp()
	in.eventually("the mistake is logged", func() bool {
		return strings.Contains(in.out.String(), `msg="the configuration is not taken over; the old one goes on"`)
	})
	in.write(strings.Replace(string(text), "max_bytes: 64MiB", "max_bytes: 65MiB", 1) + "  third: {on: orders, to: work}\n")
	hangUp()
	in.eventually("it is taken over", func() bool {
		return strings.Contains(in.out.String(), `msg="configuration taken over" sources="" triggers="added third"`) &&
			strings.Contains(in.out.String(), `msg="a change takes effect at the next start only" sections=[bus]`)
	})
	got, _ := in.do("triggers", "list")
	if !strings.Contains(got, "third") {
		t.Errorf("the new trigger is not listed:\n%s", got)
	}
}
