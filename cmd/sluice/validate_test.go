package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const validFile = `sources:
  uploads: {s3: {endpoint: "http://127.0.0.1:9000", bucket: photos, access_key: "${S3_KEY}", secret_key: {file: key}}}
  nightly: {cron: {schedule: "0 3 * * *", timezone: Europe/Berlin, data: {job: report}}}
  hooks: {http: {path: /hooks}}
functions:
  resize: {http: {url: "http://127.0.0.1:7070/resize"}}
triggers:
  make-thumbnail:
    on: uploads
    when: {type: [{prefix: s3.object.created}], data: {key: [{suffix: .jpg}]}}
    to: resize
  report: {on: [nightly, hooks], to: {http: {url: "http://127.0.0.1:7070/report", headers: {x-a: b}}}}
`

// writeFile puts a configuration and a secret of the given mode into a folder.
func writeFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "key")
	if err := os.WriteFile(key, []byte("s3cret\n"), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// The real sources and sinks take what the documentation shows.
func TestValidateValid(t *testing.T) {
	path := writeFile(t, validFile, 0o600)
	got := sluice(t, map[string]string{"S3_KEY": "key"}, "validate", "-c", path)
	if want := path + " is valid: 3 sources, 2 triggers, 1 function\n"; got != (ranCommand{exitOK, want, ""}) {
		t.Errorf("got %+v", got)
	}
}

func TestValidateWarns(t *testing.T) {
	path := writeFile(t, validFile, 0o644)
	got := sluice(t, map[string]string{"S3_KEY": "key"}, "validate", "-c", path)
	if got.code != exitOK || !strings.HasPrefix(got.stdout, "warning: "+path+":2:107: sources.uploads.s3.secret_key.file: others than its owner") {
		t.Errorf("got %+v", got)
	}
}

// Each of the real parts says what is wrong at its own line.
func TestValidateInvalid(t *testing.T) {
	text := strings.NewReplacer("0 3 * * *", "0 33 * * *", "suffix:", "sufix:", "bucket:", "buckt:", "path: /hooks", "path: hooks", `"http://127.0.0.1:7070/resize"`, "nowhere").Replace(validFile)
	path := writeFile(t, text, 0o600)
	got := sluice(t, map[string]string{"S3_KEY": "key"}, "validate", "-c", path)
	if got.code != exitInvalid || got.stderr != "" || !strings.HasSuffix(got.stdout, "\n\n5 problems in "+path+"\n") {
		t.Fatalf("got %+v", got)
	}
	for _, want := range []string{
		`:2:53: sources.uploads.s3.buckt: unknown key; did you mean "bucket"?`,
		`:3:20: sources.nightly.cron.schedule: `,
		`:4:18: sources.hooks.http.path: `,
		`:6:19: functions.resize.http.url: `,
		`:10:63: triggers.make-thumbnail.when.data.key[0].sufix: unknown operator "sufix"`,
	} {
		if !strings.Contains(got.stdout, path+want) {
			t.Errorf("there is no %s in\n%s", want, got.stdout)
		}
	}
}

func TestValidateJSON(t *testing.T) {
	path := writeFile(t, validFile, 0o600)
	for variable, valid := range map[string]bool{"S3_KEY": true, "OTHER": false} {
		got := sluice(t, map[string]string{variable: "key"}, "validate", "-c", path, "-o", "json")
		var out report
		if err := json.Unmarshal([]byte(got.stdout), &out); err != nil {
			t.Fatal(err)
		}
		if out.Valid != valid || valid != (got.code == exitOK) || valid != (len(out.Problems) == 0) {
			t.Errorf("code %d, %+v", got.code, out)
		}
		if valid {
			continue
		}
		if p := out.Problems[0]; got.code != exitInvalid || p.Line != 2 || p.Column != 82 || p.Key != "sources.uploads.s3.access_key" || !strings.HasPrefix(p.Source, "  uploads:") {
			t.Errorf("code %d, %+v", got.code, *p)
		}
	}
}

func TestValidateNotFound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	got := sluice(t, nil, "validate", "-c", path)
	if want := `sluice: there is no file "` + path + "\": name another with --config\n"; got != (ranCommand{exitNotFound, "", want}) {
		t.Errorf("got %+v", got)
	}
	t.Chdir(t.TempDir())
	if got := sluice(t, nil, "validate"); got.code != exitNotFound || !strings.Contains(got.stderr, `"sluice.yaml"`) {
		t.Errorf("got %+v", got)
	}
	if got := sluice(t, nil, "validate", "-c", "."); got.code != exitFailure || got.stderr == "" {
		t.Errorf("of a folder: %+v", got)
	}
}
