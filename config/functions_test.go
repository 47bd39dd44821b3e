package config

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// functionKind is the kind of functions of the tests.
var functionKind = FunctionKind{Keys: []string{"handler", "image"}, Section: func() FunctionSection {
	return &runSection{Timeout: Duration(30 * time.Second), Concurrency: 10, Results: DefaultResults()}
}}

// runSection is a function that sluice runs itself.
type runSection struct {
	Handler     string   `yaml:"handler"`
	Memory      Size     `yaml:"memory"`
	Timeout     Duration `yaml:"timeout"`
	Concurrency int      `yaml:"concurrency"`
	Reply       bool     `yaml:"reply"`
	Results     `yaml:",inline"`

	dir string
}

func (s *runSection) Locate(dir string) { s.dir = dir }
func (s *runSection) Batches() Batching { return MayBatch }
func (s *runSection) Replies() bool     { return s.Reply }
func (s *runSection) Limits() (int, Duration) {
	return s.Concurrency, s.Timeout + Duration(time.Second)
}

func (s *runSection) Validate() error {
	if s.Handler == "" {
		return Invalid("handler", "it is missing")
	}
	if s.dir == "" {
		return Invalid("handler", "validated before it is located")
	}
	return nil
}

func runKinds() Kinds {
	kinds := testKinds()
	kinds.Sinks["many"] = func() Section { return &manySection{Many: true} }
	kinds.Sinks["answering"] = func() Section { return new(answeringSection) }
	return kinds
}

func loadFunctions(t *testing.T, text string) (*File, error) {
	t.Helper()
	return load("f.yaml", t.TempDir(), "sources: {a: {http: {path: /a}}}\n"+text+"\n", runKinds(), environment(nil))
}

func TestFunctions(t *testing.T) {
	const f = "functions: {f: {handler: f.mjs}, g: {handler: g.mjs, concurrency: 3}, many: {many: {many: true}}, h: {http: {url: 'http://h'}}, "
	for text, want := range map[string]string{
		"functions: {f: {handler: f.mjs}}": "",
		"functions: {f: {handler: f.mjs, on_success: f, on_failure: {http: {url: 'http://h'}}, async: {attempts: 1, max_age: 1m}}}": "",

		// What is no function.
		"functions: {f: {timeout: 3s}}":                                    "2:13: functions.f: the function's kind is missing: handler, image, answering, http or many",
		"functions: {f: {handlr: f.mjs}}":                                  `2:17: functions.f.handlr: unknown key; did you mean "handler"?`,
		"functions: {f: {handlr: f.mjs, memory: 1MiB}}":                    `2:17: functions.f.handlr: unknown key; did you mean "handler"?`,
		"functions: {f: {memory: 1MiB}}":                                   "2:13: functions.f.handler: it is missing",
		"functions: {f: {memory: 1MiB, http: {url: 'http://h'}}}":          "2:17: functions.f.memory: only a function with handler or image has this: remove it",
		"functions: {f: {on_success: f, http: {url: 'http://h'}}}":         "2:17: functions.f.on_success: only a function with handler or image has this: remove it",
		"functions: {f: {handler: f.mjs, http: {url: 'http://h'}}}":        "2:33: functions.f.http: it has handler, and so cannot be a sink of another kind: remove one of them",
		"functions: {f: {hadler: f.mjs, http: {url: 'http://h'}}}":         `2:17: functions.f.hadler: unknown key; did you mean "handler"?`,
		"functions: {f: f.mjs}":                                            `2:16: functions.f: expected a mapping with the function's kind: handler, image, answering, http or many, found "f.mjs"`,
		"functions: {f: {kafka: {}}}":                                      "2:17: functions.f.kafka: unknown kind of function: there is handler, image, answering, http and many",
		"functions: {f: {handler: f.mjs, memry: 1MiB}}":                    `2:33: functions.f.memry: unknown key; did you mean "memory"?`,
		"functions: {f: {handler: f.mjs, zzz: 1}}":                         "2:33: functions.f.zzz: unknown key: there is handler, memory, timeout, concurrency, reply, on_success, on_failure and async",
		"functions: {f: {handler: f.mjs, timeout: fast}}":                  `2:42: functions.f.timeout: "fast" is not a duration: write a number with a unit, such as 250ms, 30s, 5m, 6h or 7d`,
		"functions: {f: {handler: f.mjs, async: {attempts: 0}}}":           "2:41: functions.f.async.attempts: expected a whole number from 1 to 1000, found 0",
		"functions: {f: {handler: f.mjs, async: {max_age: 0s}}}":           "2:41: functions.f.async.max_age: expected more than nothing, such as 24h, found 0s",
		"functions: {f: {handler: f.mjs, async: {atempts: 1}}}":            `2:41: functions.f.async.atempts: unknown key; did you mean "attempts"?`,
		"functions: {f: {handler: f.mjs, on_succes: f}}":                   `2:33: functions.f.on_succes: unknown key; did you mean "on_success"?`,
		"functions: {first: {handler: f.mjs, on_success: frst}}":           `2:49: functions.first.on_success: no function "frst"; did you mean "first"?`,
		"functions: {f: {handler: f.mjs, on_failure: {htp: {}}}}":          `2:46: functions.f.on_failure.htp: unknown kind of sink: there is answering, http and many; did you mean "http"?`,
		"functions: {f: {handler: f.mjs, on_failure: {http: {}}}}":         `2:46: functions.f.on_failure.http.url: expected http://host/path, found ""`,
		"functions: {f: {handler: f.mjs, on_failure: [f]}}":                "2:45: functions.f.on_failure: expected the name of a function, or a mapping with the sink's kind, found a list",
		"functions: {f: {handler: f.mjs, on_failure: }}":                   "2:33: functions.f.on_failure: expected the name of a function, or a mapping with the sink's kind, found nothing",
		f + "i: {handler: i.mjs, on_success: many}}":                       "2:149: functions.i.on_success: the sink takes several events in one request, and a record goes by itself: change the sink's mode",
		f + "i: {handler: i.mjs, on_success: {many: {many: true}}}}":       "2:149: functions.i.on_success: the sink takes several events in one request, and a record goes by itself: change the sink's mode",
		f + "i: {handler: i.mjs, on_success: {answering: {reply: true}}}}": "2:149: functions.i.on_success: what a record is answered with is not published: remove reply, or name a function",

		// Its triggers.
		f + "}\ntriggers: {t: {on: a, to: f}}":                                               "",
		f + "}\ntriggers: {t: {on: a, to: f, batch: {size: 7}}}":                             "",
		f + "}\ntriggers: {t: {on: a, to: g, concurrency: 3}}":                               "",
		f + "}\ntriggers: {t: {on: a, to: g, concurrency: 4}}":                               `3:30: triggers.t.concurrency: the function "g" runs 3 at the same time at most: raise its concurrency, or lower this`,
		f + "}\ntriggers: {t: {on: a, to: f, timeout: 3s}}":                                  `3:30: triggers.t.timeout: the function "f" has a timeout of its own, which holds for all its triggers: set that, and remove this`,
		f + "}\ntriggers: {t: {on: a, to: h, timeout: 3s}}":                                  "",
		f + "}\ntriggers: {f-async: {on: a, to: h}}":                                         `2:13: functions.f: it brings the trigger "f-async" with it, and there is one of this name: rename one of them`,
		f + "}\ntriggers: {f-on-success: {on: a, to: h}}":                                    "",
		f + "i: {handler: i, on_failure: f}}\ntriggers: {i-on-failure: {on: a, to: h}}":      `2:129: functions.i: it brings the trigger "i-on-failure" with it, and there is one of this name: rename one of them`,
		f + "i: {handler: i, reply: true}}\ntriggers: {t: {on: i, to: i}}":                   "",
		f + "i: {handler: i, reply: true}}\ntriggers: {t: {on: a, to: i, batch: {size: 2}}}": "3:30: triggers.t.batch: the answer to a batch says which deliveries have failed, and cannot be published: remove this, or the function's reply",
	} {
		_, err := loadFunctions(t, text)
		var got []string
		if problems, ok := errors.AsType[*Problems](err); ok {
			for _, p := range problems.List {
				got = append(got, strings.TrimPrefix(p.Error(), "f.yaml:"))
			}
		}
		if strings.Join(got, "\n") != want {
			t.Errorf("%s:\n got %s\nwant %s", text, strings.Join(got, "\n     "), want)
		}
	}
}

func TestFunctionsBringTriggers(t *testing.T) {
	file, err := loadFunctions(t, `functions:
  f: {handler: f.mjs, timeout: 5s, concurrency: 3, on_success: f, on_failure: {http: {url: "http://h"}}}
  h: {http: {url: "http://h"}}
triggers: {t: {on: a, to: f}}`)
	if err != nil {
		t.Fatal(err)
	}
	if t1 := file.Triggers[0]; t1.Timeout != Duration(6*time.Second) || t1.Concurrency != 3 {
		t.Errorf("%+v", t1)
	}
	want := []string{
		"f-async f false 3 6s {3 1m 5m 6h true}",
		"f-on-success f false 3 6s {5 1s 5m 24h false}",
		"f-on-failure  true 10 30s {5 1s 5m 24h false}",
	}
	for i, one := range file.Implied() {
		got := fmt.Sprint(one.Name, " ", one.Function, " ", one.Sink != nil, " ", one.Concurrency, " ", one.Timeout, " ", one.Retry)
		if len(one.On) != 0 || one.Pos != file.Functions[0].Pos || i >= len(want) || got != want[i] {
			t.Errorf("trigger %d: %s at %v", i, got, one.Pos)
		}
	}
}
