package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var designVariables = map[string]string{"S3_KEY": "key", "S3_SECRET": "secret", "HOOK_SECRET": "hook"}

// accept loads a file that must be valid.
func accept(t *testing.T, path string, variables map[string]string) *File {
	t.Helper()
	file, err := Load(path, testKinds(), environment(variables))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestDesignFile(t *testing.T) {
	checkDesign(t, accept(t, "testdata/design.yaml", designVariables))
}

func checkDesign(t *testing.T, file *File) {
	t.Helper()
	var kinds []string
	for _, source := range file.Sources {
		kinds = append(kinds, source.Name+" "+source.Kind)
	}
	if diff := cmp.Diff([]string{"uploads s3", "nightly cron", "hooks http"}, kinds); diff != "" {
		t.Error(diff)
	}
	bucket := file.Sources[0].Section.(*bucketSection)
	if bucket.SecretKey.Reveal() != "secret" || bucket.AccessKey.Reveal() != "key" || bucket.Interval != Duration(30*time.Second) {
		t.Errorf("the bucket is %+v", bucket)
	}
	trigger := file.Triggers[0]
	if trigger.Function != "thumbnail" || trigger.Sink != nil || trigger.Retry.MaxAge != Duration(6*time.Hour) || trigger.Timeout != Duration(31*time.Second) {
		t.Errorf("the trigger is %+v", trigger)
	}
	when, err := json.Marshal(trigger.When)
	if err != nil || string(when) != `{"data":{"key":[{"suffix":".jpg"}]},"type":[{"prefix":"s3.object.created"}]}` {
		t.Errorf("the pattern is %s, %v", when, err)
	}
	test := file.Tests[0]
	if test.Event["source"] != "uploads" || len(test.Triggers) != 1 {
		t.Errorf("the test is %+v", test)
	}
}

// Every default, written out, makes the same file as leaving it out.
func TestDefaults(t *testing.T) {
	const body = `
sources: {clock: {cron: {schedule: x}}}
functions: {work: {http: {url: "http://h"}}}
triggers:
  one: {on: clock, to: work%s}
`
	settings := `bus: {dir: ./data, replicas: 1, prefix: sluice, max_bytes: 10GiB, max_age: 7d, max_event: 1MiB, max_large: 10GiB, min_free: 256MiB}
ingest: {listen: "127.0.0.1:4800", unsafe_no_auth: false, max_connections: 4096, max_connections_per_address: 1024, header_timeout: 5s, body_timeout: 30s}
admin: {listen: "127.0.0.1:4801", unsafe_no_auth: false}
logs: {dir: data/functions, max_bytes: 64MiB, max_age: 7d}`
	limits := `, concurrency: 10, timeout: 30s, retry: {attempts: 5, initial: 1s, max: 5m, max_age: 24h}`
	short := accept(t, write(t, strings.Replace(body, "%s", "", 1)), nil)
	long := accept(t, write(t, settings+strings.Replace(body, "%s", limits, 1)), nil)
	if want := filepath.Join(short.Dir, "data"); short.Bus.Dir != want {
		t.Errorf("the folder is %s, not %s", short.Bus.Dir, want)
	}
	for _, file := range []*File{short, long} {
		file.Bus.Dir, file.Logs.Dir = strings.TrimPrefix(file.Bus.Dir, file.Dir), strings.TrimPrefix(file.Logs.Dir, file.Dir)
		file.Path, file.Dir = "", ""
		file.Sources[0].Pos, file.Functions[0].Pos, file.Triggers[0].Pos = Pos{}, Pos{}, Pos{}
	}
	if diff := cmp.Diff(short, long, cmp.AllowUnexported(Secret{}, callSection{}, Start{})); diff != "" {
		t.Errorf("the defaults differ (-left out +written):\n%s", diff)
	}
}

func TestFunctionLimitsAreDefaultsOfTriggers(t *testing.T) {
	file := accept(t, write(t, `
sources: {clock: {cron: {}}}
functions: {work: {http: {url: "http://h"}, timeout: 2m, concurrency: 3}}
triggers:
  a: {on: clock, to: work}
  b: {on: [clock], to: work, timeout: 1s, concurrency: 7, was: old}
  c: {on: clock, to: {http: {url: "http://h"}}}
`), nil)
	type limits struct {
		Timeout     Duration
		Concurrency int
	}
	var got []limits
	for _, trigger := range file.Triggers {
		got = append(got, limits{trigger.Timeout, trigger.Concurrency})
	}
	want := []limits{{Duration(2 * time.Minute), 3}, {Duration(time.Second), 7}, {Duration(30 * time.Second), 10}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if inline := file.Triggers[2].Sink; inline == nil || inline.Kind != "http" {
		t.Errorf("the inline sink is %+v", inline)
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(filepath.Join(dir, "none.yaml"), testKinds(), environment(nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a missing file: %v", err)
	}
	var problems *Problems
	if _, err := Load(dir, testKinds(), environment(nil)); err == nil || errors.As(err, &problems) {
		t.Errorf("of a folder: %v", err)
	}
	large := write(t, "# "+strings.Repeat("x", maxFile))
	if _, err := Load(large, testKinds(), environment(nil)); err == nil || err.Error() != large+": the file is larger than 1MiB" {
		t.Errorf("of a large file: %v", err)
	}
}

// The line ends of other systems change nothing, places included.
func TestCarriageReturns(t *testing.T) {
	text, err := os.ReadFile("testdata/bad/references.yaml")
	if err != nil {
		t.Fatal(err)
	}
	unix := "# head\n\n" + string(text) + "  - {event: {source: clock, data: \"a\n      b\"}, triggers: [six], nam: c}\n"
	_, want := load("f.yaml", "testdata", unix, testKinds(), environment(nil))
	_, got := load("f.yaml", "testdata", strings.ReplaceAll(unix, "\n", "\r\n"), testKinds(), environment(nil))
	if want == nil || got == nil {
		t.Fatal("the file was accepted")
	}
	if diff := cmp.Diff(want.Error(), got.Error()); diff != "" {
		t.Errorf("the problems differ (-unix +other):\n%s", diff)
	}
}

// Anchors, aliases and merges work, and the nearest value wins.
func TestAliases(t *testing.T) {
	file := accept(t, write(t, `
sources:
  a: &a
    cron: &c {schedule: x, timezone: UTC}
  b: *a
  c: {cron: {<<: *c, timezone: Europe/Berlin}}
  d: {cron: {timezone: CET, <<: [*c, {schedule: y, data: 1}]}}
`), nil)
	var got []clockSection
	for _, source := range file.Sources {
		got = append(got, *source.Section.(*clockSection))
	}
	want := []clockSection{
		{"x", "UTC", nil},
		{"x", "UTC", nil},
		{"x", "Europe/Berlin", nil},
		{"x", "CET", json.Number("1")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Files within the bounds of size are refused or loaded in good time, however
// they are built.
func TestHostileFiles(t *testing.T) {
	const size = maxFile / 2
	files := map[string]string{
		"duplicates": strings.Repeat("a: 1\n", size/5),
		"sequences":  strings.Repeat("- ", size/2),
		"flow":       strings.Repeat("[", size),
		"tags":       "a: " + strings.Repeat("!!a ", size/4),
		"explicit":   strings.Repeat("? a\n: b\n", size/8),
		"merges":     "a: &a {" + strings.Repeat("k: 1, ", size/12) + "}\nb: {<<: [" + strings.Repeat("*a,", size/6) + "]}\n",
		"texts":      "a: &a \"" + strings.Repeat("x", size/2) + "\"\nb: [" + strings.Repeat("*a,", size/6) + "]\n",
		"variables":  "a: \"" + strings.Repeat("${B}", size/4) + "\"",
		"aliases":    "a: [" + strings.Repeat("*a,", size/3) + "]",
	}
	for name, text := range files {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			_, err := load("f.yaml", t.TempDir(), text, testKinds(), environment(nil))
			if err == nil {
				t.Fatal("it was accepted")
			}
			if printed := err.Error(); len(printed) > 1<<20 {
				t.Errorf("%d bytes are printed", len(printed))
			}
			if took := time.Since(start); took > 30*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// secretsSection has secrets as a sink may have them.
type secretsSection struct {
	Secret Secrets `yaml:"secret"`
}

func TestOneSecretOrSeveral(t *testing.T) {
	kinds := testKinds()
	kinds.Sinks["secrets"] = func() Section { return new(secretsSection) }
	for written, want := range map[string]string{
		"one":                  "one",
		"[one]":                "one",
		`[one, "${TWO}"]`:      "one two",
		"{file: three}":        "three",
		"[one, {file: three}]": "one three",
		"[]":                   "",
		"{fil: three}":         "f.yaml:2:36: functions.f.secrets.secret.fil: unknown key; did you mean \"file\"?",
		"[one, [two]]":         "f.yaml:2:41: functions.f.secrets.secret[1]: expected text, or {file: path}, found a list",
		"":                     "f.yaml:2:27: functions.f.secrets.secret: expected text, or {file: path}, found nothing",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "three"), []byte("three\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		text := "sources: {a: {http: {path: /a}}}\nfunctions: {f: {secrets: {secret: " + written + "}}}\n"
		file, err := load("f.yaml", dir, text, kinds, environment(map[string]string{"TWO": "two"}))
		if err != nil {
			if !strings.HasPrefix(err.Error(), want+"\n") {
				t.Errorf("%s:\n got %v\nwant %s", written, err, want)
			}
			continue
		}
		var got []string
		for _, secret := range file.Functions[0].Sink.Section.(*secretsSection).Secret {
			got = append(got, secret.Reveal())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", written, got, want)
		}
	}
}

func TestEgress(t *testing.T) {
	for text, want := range map[string]string{"": "any", "egress: any\n": "any", "egress: public\n": "public"} {
		file, err := load("f.yaml", t.TempDir(), text+"sources: {a: {http: {path: /a}}}\n", testKinds(), environment(nil))
		if err != nil || file.Egress != want {
			t.Errorf("%q: %v, %v", text, file, err)
		}
	}
}

// manySection is a sink that takes several events at once when it is told to.
type manySection struct {
	Many bool `yaml:"many"`
}

func (s *manySection) Batches() Batching {
	if s.Many {
		return MustBatch
	}
	return NeverBatch
}

func TestBatch(t *testing.T) {
	kinds := testKinds()
	kinds.Sinks["sink"] = func() Section { return new(manySection) }
	for trigger, want := range map[string]string{
		"to: {sink: {}}":                                    "none",
		"to: many, batch: {}":                               "100 0s",
		"to: {sink: {many: true}}, batch: {size: 1}":        "1 0s",
		"to: many, batch: {size: 10000, window: 5m}":        "10000 5m",
		"to: many, batch: {size: 0}":                        "f.yaml:3:41: triggers.t.batch.size: expected a whole number from 1 to 10000, found 0",
		"to: many, batch: {size: 10001, window: 301s}":      "f.yaml:3:41: triggers.t.batch.size: expected a whole number from 1 to 10000, found 10001",
		"to: many, batch: {window: 5m1s}":                   "f.yaml:3:41: triggers.t.batch.window: expected at most 5m, found 5m1s",
		"to: many, batch: 7":                                "f.yaml:3:40: triggers.t.batch: expected a mapping with size, window, bytes and key, found 7",
		"to: many, batch: {sizes: 7}":                       `f.yaml:3:41: triggers.t.batch.sizes: unknown key; did you mean "size"?`,
		"to: {sink: {many: true}}":                          "f.yaml:3:23: triggers.t.to: the sink takes several events in one request: say how many with batch: {size: 100, window: 1s} on the trigger, or change the sink's mode",
		"to: one, batch: {}":                                "f.yaml:3:32: triggers.t.batch: the sink takes one event in one request: remove this, or, for http, give it mode: batch",
		"to: {sink: {}}, batch: {}":                         "f.yaml:3:39: triggers.t.batch: the sink takes one event in one request: remove this, or, for http, give it mode: batch",
		"to: {http: {url: \"http://a\"}}, batch: {size: 5}": "f.yaml:3:54: triggers.t.batch: the sink takes one event in one request: remove this, or, for http, give it mode: batch",
		"to: nope, batch: {}":                               `f.yaml:3:27: triggers.t.to: no function "nope"`,
	} {
		text := "sources: {a: {http: {path: /a}}}\nfunctions: {one: {sink: {}}, many: {sink: {many: true}}}\ntriggers: {t: {on: a, " + trigger + "}}\n"
		file, err := load("f.yaml", t.TempDir(), text, kinds, environment(nil))
		got := "none"
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		} else if b := file.Triggers[0].Batch; b != nil {
			got = fmt.Sprint(b.Size, " ", b.Window)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", trigger, got, want)
		}
	}
}

// answeringSection is a sink that publishes what it is answered with when it is
// told to.
type answeringSection struct {
	Reply bool `yaml:"reply"`
}

func (s *answeringSection) Replies() bool { return s.Reply }

func TestReplies(t *testing.T) {
	kinds := testKinds()
	kinds.Sinks["sink"] = func() Section { return new(answeringSection) }
	const functions = "functions: {quiet: {sink: {}}, loud: {sink: {reply: true}}}\n"
	for text, want := range map[string]string{
		functions + "triggers: {t: {on: loud, to: quiet}}":                                                       "[loud]",
		functions + "triggers: {t: {on: [a, loud], to: loud}}":                                                   "[a loud]",
		"triggers: {t: {on: [a, t], to: {sink: {reply: true}}}}":                                                 "[a t]",
		"triggers: {t: {on: a, to: {sink: {reply: true}}}, u: {on: t, to: {sink: {}}}}":                          "[a]",
		functions + "triggers: {t: {on: quiet, to: loud}}":                                                       `f.yaml:3:16: triggers.t.on: "quiet" publishes nothing: give its sink reply: publish, or name a source`,
		functions + "triggers: {t: {on: [t, a, a], to: loud}}":                                                   `f.yaml:3:21: triggers.t.on[0]: "t" publishes nothing: give its sink reply: publish, or name a source`,
		functions + "triggers: {t: {on: [a, lout], to: loud}}":                                                   `f.yaml:3:24: triggers.t.on[1]: no source "lout"; did you mean "loud"?`,
		"functions: {a: {sink: {reply: true}}}\ntriggers: {t: {on: a, to: a}}":                                   `f.yaml:2:13: functions.a: its replies are published under its name, and something else is called "a": rename one of them`,
		functions + "triggers: {loud: {on: a, to: {sink: {reply: true}}}}":                                       `f.yaml:3:12: triggers.loud: its replies are published under its name, and something else is called "loud": rename one of them`,
		functions + "triggers: {t: {on: a, to: quiet}}\ntests: [{event: {source: loud, type: x}, triggers: []}]": "[a]",
	} {
		file, err := load("f.yaml", t.TempDir(), "sources: {a: {http: {path: /a}}}\n"+text+"\n", kinds, environment(nil))
		var got string
		if err != nil {
			got, _, _ = strings.Cut(err.Error(), "\n")
		} else {
			got = fmt.Sprint(file.Triggers[0].On)
		}
		if got != want {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}
