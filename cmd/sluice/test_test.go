package main

import (
	"encoding/json"
	"strings"
	"testing"
)

const testedFile = validFile + `tests:
  - name: pictures are resized
    event: {source: uploads, type: s3.object.created.put, data: {key: a.jpg}}
    triggers: make-thumbnail
  - event: {source: hooks, type: x}
    triggers: [report]
  - name: texts are left
    event: {source: uploads, type: s3.object.created.put, data: {key: a.txt}}
    triggers: []
`

const failingTests = `  - name: wrong
    event: {source: uploads, type: s3.object.created.put, data: {key: a.png, size: 12345678901234567890}}
    triggers: [make-thumbnail, report]
  - event: {source: hooks}
    triggers: []
  - name: "too much\e[31m"
    event: {source: uploads, type: s3.object.created.put, data: {key: a.jpg}}
    triggers: []
`

func TestTheTestsOfTheFile(t *testing.T) {
	variables := map[string]string{"S3_KEY": "k"}
	passing := writeFile(t, testedFile, 0o600)
	want := "ok pictures are resized\nok tests[1]\nok texts are left\n\n3 tests, 3 passed, 0 failed\n"
	if got := sluice(t, variables, "test", "-c", passing); got != (ranCommand{exitOK, want, ""}) {
		t.Errorf("got %+v", got)
	}
	failing := writeFile(t, testedFile+failingTests, 0o600)
	want = strings.TrimSuffix(want, "\n3 tests, 3 passed, 0 failed\n") + `NO wrong (FILE:22)
    make-thumbnail is expected to match
      NO no match
        NO data.key: asked for {"suffix":".jpg"}; found "a.png"
        ok type: asked for {"prefix":"s3.object.created"}; found "s3.object.created.put"
    report is expected to match, but is not on uploads: it is on nightly, hooks
NO tests[4] (FILE:25)
    report is not expected to match, but takes every event of hooks
NO too much\x1b[31m (FILE:27)
    make-thumbnail is not expected to match
      ok match
        ok data.key: asked for {"suffix":".jpg"}; found "a.jpg"
        ok type: asked for {"prefix":"s3.object.created"}; found "s3.object.created.put"

6 tests, 3 passed, 3 failed
`
	got := sluice(t, variables, "test", "-c", failing)
	if text := strings.ReplaceAll(got.stdout, failing, "FILE"); got.code != exitFailure || got.stderr != "" || text != want {
		t.Errorf("code %d, %s, got:\n%s\nwant:\n%s", got.code, got.stderr, text, want)
	}
	got = sluice(t, variables, "test", "-c", failing, "-o", "json")
	var report testReport
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil {
		t.Fatal(err)
	}
	if got.code != exitFailure || report.Passed != 3 || report.Failed != 3 || report.Tests[3].Problems[0].Trigger != "make-thumbnail" {
		t.Errorf("code %d, %+v", got.code, report)
	}
}

func TestTestRefuses(t *testing.T) {
	variables := map[string]string{"S3_KEY": "k"}
	none, bad := writeFile(t, validFile, 0o600), writeFile(t, validFile+"tests: [{event: {source: nope}, triggers: []}]\n", 0o600)
	if got := sluice(t, variables, "test", "-c", none); got != (ranCommand{exitOK, none + " has no tests: write some below the key tests\n", ""}) {
		t.Errorf("without tests: %+v", got)
	}
	if got := sluice(t, variables, "test", "-c", none, "-o", "json"); got.code != exitOK || !strings.Contains(got.stdout, `"tests": []`) {
		t.Errorf("without tests: %+v", got)
	}
	if got := sluice(t, variables, "test", "-c", bad); got.code != exitInvalid || !strings.Contains(got.stderr, `tests[0].event.source: no source "nope"`) {
		t.Errorf("an invalid file: %+v", got)
	}
	if got := sluice(t, variables, "test", "-c", none, "-o", "xml"); got != (ranCommand{exitUsage, "", "sluice: --output \"xml\": it is text or json\n"}) {
		t.Errorf("another form: %+v", got)
	}
	if got := sluice(t, variables, "test", "-c", none+"x"); got.code != exitNotFound {
		t.Errorf("no file: %+v", got)
	}
}

// TestTestsOfTransforms checks what a test says of payloads.
func TestTestsOfTransforms(t *testing.T) {
	file := func(transform, payload string) string {
		return writeFile(t, "sources: {hooks: {http: {path: /h, token: abcdefghijklmnop}}}\ntriggers:\n  report:\n    on: hooks\n    to: {http: {url: 'http://127.0.0.1:1'}}\n    transform: '"+transform+
			"'\ntests:\n  - name: a\n    event: {source: hooks, type: x, data: {n: 7}}\n    triggers: report\n    payloads: {report: "+payload+"}\n", 0o600)
	}
	for _, test := range []struct{ transform, payload, want string }{
		{"{id: .data.n}", "{id: 7}", "ok a\n\n1 test, 1 passed, 0 failed\n"},
		{"{id: .data.n}", "{id: 8}", `report is expected to deliver {"id":8}, but delivers {"id":7}`},
		{"empty", "1", "report is expected to deliver something, but: it yields nothing"},
		{".data.n.x", "1", "report is expected to deliver something, but: the expression `.data.n.x`: expected an object but got: number (7)"},
	} {
		if got := sluice(t, nil, "test", "-c", file(test.transform, test.payload)); !strings.Contains(got.stdout, test.want) {
			t.Errorf("%s: %+v, want %s", test.transform, got, test.want)
		}
	}
	got := sluice(t, nil, "validate", "-c", file("{id: .data.n | now}", "1"))
	if got.code != exitInvalid || !strings.Contains(got.stderr+got.stdout, "triggers.report.transform: at character 16 of the expression: now: ") {
		t.Errorf("%+v", got)
	}
}
