package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"sluice/functions"
	"sluice/functions/logs"
)

// work is the function of these tests.
func work(ctx context.Context, in map[string]any) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	switch {
	case in["say"] != nil:
		fmt.Println(in["say"])
	case in["fail"] != nil:
		return nil, errors.New("it was asked to fail")
	case in["pid"] != nil:
		fmt.Println("pid", os.Getpid())
		time.Sleep(time.Minute) // until it is killed
	case in["env"] != nil:
		return os.Getenv(fmt.Sprint(in["env"])), nil
	}
	return map[string]any{"id": lc.AwsRequestID, "got": in}, nil
}

// functionsFile has the test binary as a function.
func functionsFile(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`
functions:
  work: {http: {url: "WORKER"}}
  thumb:
    handler: %q
    runtime: custom
    memory: 512MiB
    timeout: 50s
    init_timeout: 50s
    environment: {BUCKET: thumbs}
`, self)
}

// alone writes a file for commands that need no service.
func alone(t *testing.T, worker string) *installation {
	t.Helper()
	in := &installation{t: t, path: filepath.Join(t.TempDir(), "sluice.yaml"), server: "none", ingest: "none"}
	in.write(strings.ReplaceAll(functionsFile(t), "WORKER", worker))
	return in
}

// invokeWith runs "sluice invoke" with an event on standard input.
func (in *installation) invokeWith(ctx context.Context, event string, args ...string) (stdout, stderr string, code int) {
	in.t.Helper()
	var out, errs lockedBuffer
	a := &app{stdin: strings.NewReader(event), stdout: &out, stderr: &errs, lookup: in.lookup}
	args = append([]string{"invoke"}, args...)
	if !slices.Contains(args, "--server") {
		args = append(args, "-c", in.path)
	}
	code = run(ctx, a, args)
	return out.String(), errs.String(), code
}

var (
	shortID = regexp.MustCompile(`TIME  [0-9a-f]{8}  `)
	logDate = regexp.MustCompile(`\d{4}/\d\d/\d\d TIME`)
)

// reported replaces the numbers of a REPORT line.
func reported(text string, in *installation) string {
	text = logDate.ReplaceAllString(steady(text, in), "THEN")
	for line := range strings.Lines(text) {
		if head, _, found := strings.Cut(line, "\tDuration: "); found {
			text = strings.Replace(text, line, head+" …\n", 1)
		}
	}
	return text
}

func TestInvoke(t *testing.T) {
	in := alone(t, "http://127.0.0.1:1")
	write := func(name, text string) string {
		path := filepath.Join(filepath.Dir(in.path), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	file := write("event.json", `{"say": "\u001b[31mhello"}`)
	variables := write("env.json", `{"thumb": {"BUCKET": "others", "N": 7}, "Parameters": {"BUCKET": "all", "LEVEL": true}}`)
	const start, end = "START RequestId: UUID Version: $LATEST\n", "END RequestId: UUID\nREPORT RequestId: UUID …\n"
	for _, c := range []struct {
		name, event, stdout, stderr string
		args                        []string
		code                        int
	}{
		{"nothing", "", `{"got":{},"id":"UUID"}` + "\n", start + end, []string{"thumb"}, exitOK},
		{"no event", "", `{"got":{},"id":"UUID"}` + "\n", start + end, []string{"thumb", "--no-event"}, exitOK},
		{"a file", "", `{"got":{"say":"\u001b[31mhello"},"id":"UUID"}` + "\n", start + `\x1b[31mhello` + "\n" + end, []string{"thumb", "-e", file}, exitOK},
		{"standard input", `{"a":1}`, `{"got":{"a":1},"id":"UUID"}` + "\n", start + end, []string{"thumb", "-e", "-"}, exitOK},
		{"an error of the function", `{"fail":1}`, `{"errorMessage":"it was asked to fail","errorType":"errorString"}` + "\n", start + said + end, []string{"thumb", "-e", "-"}, exitFailure},
		{"environment", `{"env":"BUCKET"}`, `"thumbs"` + "\n", start + end, []string{"thumb", "-e", "-"}, exitOK},
		{"another environment", `{"env":"BUCKET"}`, `"others"` + "\n", start + end, []string{"thumb", "-e", "-", "--env-vars", variables}, exitOK},
		{"a number of it", `{"env":"N"}`, `"7"` + "\n", start + end, []string{"thumb", "-e", "-", "--env-vars", variables}, exitOK},
		{"what is for all", `{"env":"LEVEL"}`, `"true"` + "\n", start + end, []string{"thumb", "-e", "-", "--env-vars", variables}, exitOK},
		{
			"a shape", `{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{"n":1}}`, `{"got":{"n":1},"id":"UUID"}` + "\n", start + end,
			[]string{"thumb", "-e", "-", "--shape=data"},
			exitOK,
		},
		{"its own shape", `{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"2026-03-01T00:00:00Z"}`, `{"got":{"account":"000000000000","detail":{},"detail-type":"t","id":"1","region":"us-east-1","resources":[],"source":"/x","time":"2026-03-01T00:00:00Z","version":"0"},"id":"UUID"}` + "\n", start + end, []string{"thumb", "-e", "-", "--shape"}, exitOK},
		{"no CloudEvent", `{}`, "", "sluice: with --shape the event is a CloudEvent in JSON: specversion: missing: every event needs specversion \"1.0\"\n", []string{"thumb", "-e", "-", "--shape"}, exitUsage},
		{"no shape", `{}`, "", "sluice: --shape \"sns\": it is aws, cloudevent, data\n", []string{"thumb", "-e", "-", "--shape=sns"}, exitUsage},
		{"no JSON", `{a}`, "", "sluice: the event in - is no JSON: invalid character 'a' looking for beginning of object key string\n", []string{"thumb", "-e", "-"}, exitUsage},
		{"no file", "", "", "sluice: --event: there is no file \"missing.json\"\n", []string{"thumb", "-e", "missing.json"}, exitNotFound},
		{"too large", `"` + strings.Repeat("a", 6<<20) + `"`, "", "sluice: the event has more than 6291456 bytes, which is the most that a function is given\n", []string{"thumb", "-e", "-"}, exitUsage},
		{"no function", "", "", "sluice: there is no function \"thum\": did you mean \"thumb\"?\n", []string{"thum"}, exitNotFound},
		{"both", "", "", "sluice: --event and --no-event: remove one of them\n", []string{"thumb", "-e", "-", "--no-event"}, exitUsage},
		{"environment of nobody", "", "", "sluice: --env-vars: FILE has nothing for \"thumb\", nor Parameters for all: it has [\"say\"]\n", []string{"thumb", "--env-vars", write("other.json", `{"say":{}}`)}, exitUsage},
		{"environment of lists", "", "", "sluice: --env-vars: FILE: A: a variable is a text, a number, true or false, found a list\n", []string{"thumb", "--env-vars", write("list.json", `{"thumb":{"A":[]}}`)}, exitUsage},
		{"no environment", "", "", "sluice: --env-vars: FILE: found a string, want an object: write {\"thumb\": {\"KEY\": \"value\"}}\n", []string{"thumb", "--env-vars", write("text.json", `"a"`)}, exitUsage},
		{"a reserved variable", "", "", "reserved", []string{"thumb", "--env-vars", write("reserved.json", `{"thumb":{"_HANDLER":"x"}}`)}, exitInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, code := in.invokeWith(t.Context(), c.event, c.args...)
			for _, arg := range c.args {
				if strings.HasPrefix(arg, "/") {
					stderr = strings.ReplaceAll(stderr, arg, "FILE")
				}
			}
			stdout, stderr = steady(stdout, in), reported(stderr, in)
			if c.stderr == "reserved" && strings.Contains(stderr, "_HANDLER") {
				stderr = c.stderr
			}
			if stdout != c.stdout || stderr != c.stderr || code != c.code {
				t.Errorf("exit code %d, want %d\nstdout %s\nwant   %s\nstderr %s\nwant   %s", code, c.code, stdout, c.stdout, stderr, c.stderr)
			}
		})
	}
}

// TestInvokeIsInterrupted also sees that nothing of the worker is left.
func TestInvokeIsInterrupted(t *testing.T) {
	in := alone(t, "http://127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	a := &app{stdin: strings.NewReader(`{"pid":1}`), stdout: &out, stderr: &errs, lookup: in.lookup}
	ended := make(chan int, 1)
	go func() { ended <- run(ctx, a, []string{"invoke", "thumb", "-e", "-", "-c", in.path}) }()
	pid := 0
	in.eventually("the function runs", func() bool {
		_, after, found := strings.Cut(errs.String(), "pid ")
		text, _, whole := strings.Cut(after, "\n")
		pid, _ = strconv.Atoi(text)
		return found && whole
	})
	cancel()
	if code := <-ended; code != exitInterrupted || out.String() != "" {
		t.Errorf("exit code %d, printed %q", code, out.String())
	}
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("the worker %d is still there: %v", pid, err)
	}
}

// TestInvokeOfOtherKinds delivers an event once, for real.
func TestInvokeOfOtherKinds(t *testing.T) {
	got := make(chan string, 1)
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- r.Header.Get("Ce-Type") + " " + string(body)
		if strings.Contains(string(body), "bad") {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, `{"done":true}`)
	}))
	t.Cleanup(worker.Close)
	in := alone(t, worker.URL)
	for _, c := range []struct {
		event, want, stdout, stderr string
		args                        []string
		code                        int
	}{
		{`{"a":1}`, `sluice.invocation {"a":1}`, "{\"done\":true}\n", "delivered to work (http, status 200)\n", []string{"work", "-e", "-"}, exitOK},
		{`{"specversion":"1.0","id":"1","source":"/x","type":"order","data":[1]}`, "order [1]", "{\"done\":true}\n", "delivered to work (http, status 200)\n", []string{"work", "-e", "-", "--shape"}, exitOK},
		{`"bad"`, `sluice.invocation "bad"`, "{\"done\":true}\n", "sluice: the delivery to work (http, status 503) has failed: answered 503 Service Unavailable: \"{\\\"done\\\":true}\"\n", []string{"work", "-e", "-"}, exitFailure},
		{`[]`, "", "", "sluice: the function \"work\" takes one event at a time, and there are 0\n", []string{"work", "-e", "-", "--shape"}, exitUsage},
		{"", "", "", "sluice: the function \"work\" is a sink of the kind http, whose workers sluice does not run: it has neither shapes nor an environment here\n", []string{"work", "--shape=aws"}, exitUsage},
	} {
		stdout, stderr, code := in.invokeWith(t.Context(), c.event, c.args...)
		delivered := ""
		select {
		case delivered = <-got:
		default:
		}
		if stdout != c.stdout || stderr != c.stderr || code != c.code || delivered != c.want {
			t.Errorf("%s: exit code %d, %q, %q, delivered %q", c.event, code, stdout, stderr, delivered)
		}
	}
}

// said is what Amazon's client logs of an error.
const said = "THEN {\"errorMessage\":\"it was asked to fail\",\"errorType\":\"errorString\"}\n"

// withFunctions is an installation with a function.
func withFunctions(t *testing.T) *installation {
	t.Helper()
	return install(t, "up", func(text string) string {
		_, work, _ := strings.Cut(text, `work: {http: {url: "`)
		worker, _, _ := strings.Cut(work, `"`)
		return strings.Replace(text, "\nfunctions:\n  work: {http: {url: \""+worker+"\"}}\n", strings.ReplaceAll(functionsFile(t), "WORKER", worker), 1)
	})
}

// TestLogs looks at the lines of a running service.
func TestLogs(t *testing.T) {
	in := withFunctions(t)
	for _, event := range []string{`{"say":"one"}`, `{"say":"\u001b[31mtwo"}`, `{"fail":1}`} {
		stdout, stderr, _ := in.invokeWith(t.Context(), event, "thumb", "-e", "-", "--server", in.server)
		if !strings.HasPrefix(stderr, "START RequestId: ") || !strings.Contains(stderr, "\nREPORT RequestId: ") || !strings.HasPrefix(stdout, "{") {
			t.Errorf("%s: %q, %q", event, stdout, stderr)
		}
	}
	logged := func(args ...string) string {
		t.Helper()
		got, code := in.do(append([]string{"logs", "thumb"}, args...)...)
		if code != exitOK {
			t.Errorf("%q: exit code %d", args, code)
		}
		return shortID.ReplaceAllString(reported(got, in), "TIME  ID  ")
	}
	in.eventually("all is written", func() bool { return strings.Count(logged(), "REPORT") == 3 })
	const start, end = "TIME  ID  START RequestId: UUID Version: $LATEST\n", "TIME  ID  END RequestId: UUID\nTIME  ID  REPORT RequestId: UUID …\n"
	all := start + "TIME  ID  one\n" + end + start + `TIME  ID  \x1b[31mtwo` + "\n" + end + start + "TIME  ID  " + said + end
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, all},
		{[]string{"--since", "1h"}, all},
		{[]string{"--since", "1h", "-n", "2"}, end},
		{[]string{"--until", "1h"}, "thumb has logged nothing that was asked for.\n"},
		{[]string{"--filter", "one"}, "TIME  ID  one\n"},
		{[]string{"--filter", "/^(one|.*two)$/"}, "TIME  ID  one\n" + `TIME  ID  \x1b[31mtwo` + "\n"},
	} {
		if got := logged(c.args...); got != c.want {
			t.Errorf("%q prints\n%s\nwant\n%s", c.args, got, c.want)
		}
	}
	var line logs.Entry
	if got, code := in.do("logs", "thumb", "--filter", "two", "-o", "json"); code != exitOK || json.Unmarshal([]byte(got), &line) != nil || line.Text != "\x1b[31mtwo" || line.RequestID == "" || line.Worker == "" {
		t.Errorf("as JSON: %s", got)
	}
	in.want("sluice: there is no function \"thum\": did you mean \"thumb\"?\n", exitNotFound, "logs", "thum")
	in.want("sluice: the function \"work\" is a sink of the kind http: sluice runs no worker of it\n", exitUsage, "logs", "work")
	in.want("sluice: the filter \"/(/\" is no regular expression: error parsing regexp: missing closing ): `(`\n", exitUsage, "logs", "thumb", "--filter", "/(/")
	in.want("sluice: until is for lines that are there: leave it out to follow\n", exitUsage, "logs", "thumb", "--tail", "--until", "1m")
	in.want("sluice: last \"10001\": write a number from 1 to 10000\n", exitUsage, "logs", "thumb", "-n", "10001")
}

// TestLogsFollowOverARestart sees each line once.
func TestLogsFollowOverARestart(t *testing.T) {
	in := withFunctions(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs lockedBuffer
	ended := make(chan int, 1)
	go func() {
		a := &app{stdin: strings.NewReader(""), stdout: &out, stderr: &errs, lookup: in.lookup}
		ended <- run(ctx, a, []string{"logs", "thumb", "--tail", "--filter", "said"})
	}()
	say := func(what string) {
		if _, stderr, code := in.invokeWith(t.Context(), `{"say":"said `+what+`"}`, "thumb", "-e", "-", "--server", in.server); code != exitOK {
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		in.eventually("it is shown", func() bool { return strings.Contains(out.String(), "said "+what) })
	}
	say("one")
	in.stop()
	in.eventually("it waits", func() bool { return strings.Contains(errs.String(), "the service has gone") })
	in.start("up")
	say("two")
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d: %s", code, errs.String())
	}
	if got := out.String(); strings.Count(got, "said one") != 1 || strings.Count(got, "said two") != 1 {
		t.Errorf("shown:\n%s", got)
	}
}

// TestUsageCost is the example of the service's price list: a million requests
// of 200 ms at 512 MB.
func TestUsageCost(t *testing.T) {
	in := withFunctions(t)
	in.stop()
	store, err := logs.Open(logs.Options{Dir: filepath.Join(filepath.Dir(in.path), "data", "functions")})
	if err != nil {
		t.Fatal(err)
	}
	one := functions.Report{Function: "thumb", Start: time.Now(), Billed: 200 * time.Millisecond, Memory: 512 << 20, Outcome: functions.OutcomeSuccess}
	for range 1_000_000 {
		store.Report(one)
	}
	one.Function, one.Billed, one.Outcome = "small", time.Millisecond, functions.OutcomeError
	store.Report(one)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := errors.Join(store.Run(ctx), store.Close()); err != nil {
		t.Fatal(err)
	}
	in.start("up")
	in.want("FUNCTION  REQUESTS  ERRORS  GB-SECONDS  COST\n"+
		"small  1  1  0.00050  $0.00000021\n"+
		"thumb  1,000,000  0  100,000.00  $1.87\n"+
		"total  1,000,001  1  100,000.00  $1.87\n", exitOK, "usage")
	in.want("FUNCTION  REQUESTS  ERRORS  GB-SECONDS  COST\n"+
		"small  1  1  0.00050  $0.00050\n"+
		"thumb  1,000,000  0  100,000.00  $100,001.00\n"+
		"total  1,000,001  1  100,000.00  $100,001.00\n", exitOK, "usage", "--price-requests", "1", "--price-gb-second", "1")
	in.want("No function was invoked since 2025-01-01.\n", exitOK, "usage", "--since", "2025-01-01T00:00:00Z", "--until", "2025-01-02T00:00:00Z")
	in.want("sluice: a price is not below 0\n", exitUsage, "usage", "--price-requests", "-1")
	var answer struct {
		Functions []used `json:"functions"`
		Total     used   `json:"total"`
	}
	got, code := in.do("usage", "-o", "json")
	if code != exitOK || json.Unmarshal([]byte(got), &answer) != nil || len(answer.Functions) != 2 || answer.Functions[1].Requests != 1_000_000 || answer.Functions[1].GBSeconds != 100_000 || answer.Total.Errors != 1 {
		t.Errorf("as JSON:\n%s", got)
	}
}
