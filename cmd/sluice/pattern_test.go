package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// runPattern runs "sluice pattern …" and returns its output, the error message
// and the exit code.
func runPattern(t *testing.T, stdin io.Reader, args ...string) (stdout, message string, code int) {
	t.Helper()
	var out strings.Builder
	a := &app{stdin: stdin, stdout: &out, stderr: io.Discard, lookup: func(string) (string, bool) { return "", false }}
	cmd := newPatternCommand(a)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	code, message = exitCode(cmd.ExecuteContext(t.Context()))
	return out.String(), message, code
}

func writePatternFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPatternTestVerdicts(t *testing.T) {
	event := writePatternFile(t, "event.json", `{"type":"s3.object.created.put","data":{"key":"a.jpg","size":12}}`)
	yes := writePatternFile(t, "yes.yaml", "type: [{prefix: s3.object}]\ndata: {key: [{suffix: .jpg}], size: [12.0]}\n")
	no := writePatternFile(t, "no.json", `{"type":[{"prefix":"s3.object"}],"data":{"key":[{"suffix":".png"}]}}`)

	for _, test := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"match", "match\n", exitOK, []string{"--pattern", yes, "--event", event}},
		{"no match", "no match\n", exitFailure, []string{"--pattern", no, "--event", event}},
		{"json", "{\"match\":false}\n", exitFailure, []string{"--pattern", no, "--event", event, "-o", "json"}},
		{"explained", `NO no match
  NO data.key: asked for {"suffix":".png"}; found "a.jpg"
  ok type: asked for {"prefix":"s3.object"}; found "s3.object.created.put"
`, exitFailure, []string{"--pattern", no, "--event", event, "--explain"}},
		{
			"explained as json", `{"match":false,"alternatives":[{"match":false,"fields":[` +
				`{"path":"data.key","match":false,"asked":[{"suffix":".png"}],"found":["a.jpg"]},` +
				`{"path":"type","match":true,"asked":[{"prefix":"s3.object"}],"found":["s3.object.created.put"]}]}]}` + "\n",
			exitFailure,
			[]string{"--pattern", no, "--event", event, "--explain", "-o", "json"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, message, code := runPattern(t, strings.NewReader(""), append([]string{"test"}, test.args...)...)
			if got != test.want || code != test.code || message != "" {
				t.Errorf("got %q, code %d, message %q\nwant %q, code %d", got, code, message, test.want, test.code)
			}
		})
	}
}

func TestPatternTestReadsStandardInput(t *testing.T) {
	event := writePatternFile(t, "event.json", `{"type":"a"}`)
	for _, text := range []string{`{"type":["a"]}`, "type: [a]\n"} {
		if got, message, code := runPattern(t, strings.NewReader(text), "test", "--pattern", "-", "--event", event); got != "match\n" || code != exitOK {
			t.Errorf("%s: got %q, code %d, message %q", text, got, code, message)
		}
	}
}

func TestPatternTestRefusals(t *testing.T) {
	event := writePatternFile(t, "event.json", `{"type":"a"}`)
	good := writePatternFile(t, "good.json", `{"type":["a"]}`)
	bad := writePatternFile(t, "bad.json", `{"type":[{"prefx":"a"}]}`)
	badYAML := writePatternFile(t, "bad.yaml", "type: [{prefx: a}]\n")
	broken := writePatternFile(t, "broken.json", "{\n  \"type\": }")
	list := writePatternFile(t, "list.json", `[]`)

	for _, test := range []struct {
		name, want string
		code       int
		args       []string
	}{
		{"pattern", "the pattern in " + bad + ` is invalid: line 1, column 11: type[0].prefx: unknown operator "prefx"; did you mean "prefix"?`, exitInvalid, []string{"--pattern", bad, "--event", event}},
		{"yaml pattern", "the pattern in " + badYAML + ` is invalid: type[0].prefx: unknown operator "prefx"; did you mean "prefix"?`, exitInvalid, []string{"--pattern", badYAML, "--event", event}},
		{"event", "the event in " + broken + ` is invalid: not JSON: line 2, column 11: invalid character '}' looking for beginning of value`, exitInvalid, []string{"--pattern", good, "--event", broken}},
		{"event is a list", "the event in " + list + ` is invalid: an event must be a JSON object, not a list`, exitInvalid, []string{"--pattern", good, "--event", list}},
		{"no such file", `there is no file "nowhere.json"`, exitNotFound, []string{"--pattern", good, "--event", "nowhere.json"}},
		{"no such cases", `there is no file "nowhere.jsonl"`, exitNotFound, []string{"--cases", "nowhere.jsonl"}},
		{"nothing named", `name both --pattern and --event, or --cases`, exitUsage, nil},
		{"both from standard input", `only one of --pattern and --event can be standard input`, exitUsage, []string{"--pattern", "-", "--event", "-"}},
		{"cases and pattern", `--cases stands alone: each of its lines has its own event and pattern`, exitUsage, []string{"--cases", "-", "--pattern", good}},
		{"output", `--output "xml": it is text or json`, exitUsage, []string{"--cases", "-", "-o", "xml"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, message, code := runPattern(t, strings.NewReader(""), append([]string{"test"}, test.args...)...)
			if message != test.want || code != test.code {
				t.Errorf("got  %s (code %d)\nwant %s (code %d)", message, code, test.want, test.code)
			}
		})
	}
}

func TestPatternCases(t *testing.T) {
	lines := []struct{ in, want string }{
		{`{"event":{"a":1},"pattern":{"a":[1]}}`, `{"match":true}`},
		{`{"event":{"a":2},"pattern":{"a":[1]}}`, `{"match":false}`},
		{`{"event":{"a":2},"pattern":{"a":[]}}`, `{"error":"pattern: line 1, column 6: a: an empty list matches nothing; write at least one value, or leave the field out"}`},
		{`{"event":[],"pattern":{"a":[1]}}`, `{"error":"event: an event must be a JSON object, not a list"}`},
		{`{"event":{"a":2}}`, `{"error":"case: needs both \"event\" and \"pattern\""}`},
		{`{"event":`, `{"error":"case: not a JSON object with event and pattern: unexpected end of JSON input"}`},
		{``, `{"error":"case: not a JSON object with event and pattern: unexpected end of JSON input"}`},
		{`{"event":{"a":"` + strings.Repeat("x", 2<<20) + `"},"pattern":{"a":[{"prefix":"xx"}]}}`, `{"match":true}`},
		{`{"event":{"a":"<"},"pattern":{"a":[{"<":1}]}}`, `{"error":"pattern: line 1, column 8: a[0].\"<\": unknown operator \"<\"; known here: prefix, suffix, equals-ignore-case, wildcard, numeric, exists, cidr, anything-but, exactly"}`},
		{`{"event":{"a":null},"pattern":{"a":[null]}}`, `{"match":true}`},
	}
	var input, want strings.Builder
	for _, line := range lines {
		input.WriteString(line.in + "\n")
		want.WriteString(line.want + "\n")
	}
	// The last line needs no end.
	got, message, code := runPattern(t, strings.NewReader(strings.TrimSuffix(input.String(), "\n")), "test", "--cases", "-")
	if code != exitOK || message != "" {
		t.Fatalf("code %d, message %q", code, message)
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want.String(), "\n")
	if len(gotLines) != len(wantLines) {
		t.Fatalf("got %d lines, want %d", len(gotLines), len(wantLines))
	}
	for i := range wantLines {
		if gotLines[i] != wantLines[i] {
			t.Errorf("line %d:\ngot  %s\nwant %s", i+1, gotLines[i], wantLines[i])
		}
	}
}

// An answer comes before the next line is written: a program can ask one case
// at a time.
func TestPatternCasesAnswersAtOnce(t *testing.T) {
	questions, ask := io.Pipe()
	answers, answer := io.Pipe()
	a := &app{stdin: questions, stdout: answer, stderr: io.Discard, lookup: os.LookupEnv}
	done := make(chan error, 1)
	go func() { done <- a.cases("-", func(line []byte) any { return answerCase(line) }) }()
	reader := bufio.NewReader(answers)
	for range 3 {
		if _, err := io.WriteString(ask, `{"event":{"a":1},"pattern":{"a":[1]}}`+"\n"); err != nil {
			t.Fatal(err)
		}
		line, err := reader.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		var got patternAnswer
		if err := json.Unmarshal([]byte(line), &got); err != nil || got.Match == nil || !*got.Match {
			t.Fatalf("got %q, %v", line, err)
		}
	}
	if err := ask.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}
