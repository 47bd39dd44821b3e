//go:build integration

package runtimes_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/functions/runtimeapi"
	"sluice/functions/runtimes"
	"sluice/integration/debian"
)

// suites are programs that all do the same, in each of the runtimes.
func suites() map[string]string {
	return map[string]string{"node": "suite.mjs", "python": "suite.py", "go": "goprogram", "custom": "shell"}
}

// largest is what the service lets through, both ways: 6 MiB.
const largest = 6 << 20

func TestSuite(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	debian.Curl(t)
	scratch := t.TempDir()
	for name, handler := range suites() {
		program := suiteProgram(t, handler, scratch)
		if program.Runtime != name {
			t.Fatalf("%s is for %s", handler, program.Runtime)
		}
		t.Run(name, func(t *testing.T) {
			t.Run("echo", func(t *testing.T) { suiteEcho(t, program) })
			t.Run("fail", func(t *testing.T) { suiteFail(t, program) })
			t.Run("exit", func(t *testing.T) { suiteExit(t, program) })
			t.Run("crash", func(t *testing.T) { suiteCrash(t, program) })
			t.Run("context", func(t *testing.T) { suiteContext(t, program) })
			t.Run("log", func(t *testing.T) { suiteLog(t, program) })
		})
	}
}

func suiteEcho(t *testing.T, program runtimes.Program) {
	t.Helper()
	w := run(t, program, nil)
	for _, payload := range []string{
		`{"do":"echo"}`, `{"text":"žluť 😀 \u0000 \" \\"}`, `{}`,
		`{"large":"` + strings.Repeat("x", 5<<20) + `"}`,
		`{"wide":"` + strings.Repeat("ž", 1<<20) + `"}`,
		`{"full":"` + strings.Repeat("y", largest-len(`{"full": ""}`)) + `"}`,
		`{"after":1}`,
	} {
		o := w.invoke(payload)
		if o.answer == nil || !sameJSON(t, payload, string(o.answer.Payload)) || o.answer.ContentType != "application/json" {
			t.Fatalf("%s: %s; the worker has written:\n%s", short(payload), o, w.logs())
		}
	}
	_ = w.api.Close()
	// curl may be waiting for the answer to its last answer.
	if code := w.exit(); code > 1 && program.Runtime != runtimes.Custom {
		t.Errorf("without sluice the worker has ended with %d", code)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var one, two map[string]string
	var number map[string]any
	if json.Unmarshal([]byte(a), &one) != nil || json.Unmarshal([]byte(b), &two) != nil {
		return json.Unmarshal([]byte(b), &number) == nil && fmt.Sprint(number) == "map[after:1]"
	}
	return fmt.Sprint(one) == fmt.Sprint(two)
}

func suiteFail(t *testing.T, program runtimes.Program) {
	t.Helper()
	w := run(t, program, nil)
	for _, text := range []string{"out of range", "žluť 😀"} {
		o := w.invoke(`{"do":"fail","text":"` + text + `"}`)
		if o.failed == nil || o.failed.Type != "RangeError" || o.failed.Message != text || !json.Valid(o.failed.Payload) {
			t.Errorf("%s; the worker has written:\n%s", o, w.logs())
		}
	}
	if o := w.invoke(`{}`); o.String() != "{}" {
		t.Errorf("after the errors: %s", o)
	}
}

func suiteExit(t *testing.T, program runtimes.Program) {
	t.Helper()
	w := run(t, program, nil)
	if o := w.invoke(`{"do":"exit"}`); !o.exited {
		t.Error(o)
	}
	if code := w.exit(); code != 7 {
		t.Errorf("the worker has ended with %d", code)
	}
}

func suiteCrash(t *testing.T, program runtimes.Program) {
	t.Helper()
	w := run(t, program, map[string]string{"CRASH": "1"})
	o := w.invoke(`{}`)
	if o.failed == nil && !o.exited || o.failed != nil && o.failed.Message != "crashed while loading" {
		t.Error(o)
	}
	if code := w.exit(); code == 0 {
		t.Error("the worker has ended with 0")
	}
	if !strings.Contains(w.logs(), "crashed while loading") && program.Runtime != runtimes.Custom {
		t.Errorf("the log does not say why:\n%s", w.logs())
	}
}

func suiteContext(t *testing.T, program runtimes.Program) {
	t.Helper()
	w := run(t, program, nil)
	o := w.call(runtimeapi.Invocation{Payload: []byte(`{"do":"remaining"}`), Deadline: time.Now().Add(5 * time.Second)})
	left, err := strconv.Atoi(strings.TrimSpace(o.String()))
	if err != nil || left < 2000 || left > 5000 {
		t.Errorf("%s milliseconds are left of 5000", o)
	}
	for _, id := range []string{"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1", ""} {
		o := w.call(runtimeapi.Invocation{Payload: []byte(`{"do":"context"}`), TraceID: id, ClientContext: `{"custom":{"word":"žluť"}}`})
		if got := strings.ReplaceAll(o.String(), `", "`, `","`); got != `["žluť","`+id+`"]` {
			t.Errorf("%s; the trace was %q", got, id)
		}
	}
}

// Lines that are written at the same time stay whole.
func suiteLog(t *testing.T, program runtimes.Program) {
	t.Helper()
	const lines = 200
	w := run(t, program, nil)
	if o := w.invoke(fmt.Sprintf(`{"do":"log","lines":%d}`, lines)); o.answer == nil {
		t.Fatal(o)
	}
	_ = w.api.Close()
	w.exit()
	whole := 0
	for line := range strings.Lines(w.logs()) {
		if at := strings.LastIndexByte(line, '\t'); at >= 0 {
			line = line[at+1:]
		}
		words := strings.Fields(line)
		if len(words) == 3 && len(words[0]) == 1 && words[1] == strings.Repeat("x", 200) {
			whole++
		}
	}
	if whole != 3*lines {
		t.Errorf("%d of %d lines are whole:\n%s", whole, 3*lines, short(w.logs()))
	}
}

// A worker that is too large for the answer is told so, and goes on.
func TestTooLarge(t *testing.T) {
	debian.Node(t)
	debian.Python(t)
	for name, files := range map[string]map[string]string{
		"large.mjs": {"large.mjs": "export const handler = async (event) => 'x'.repeat(event.size)"},
		"large.py":  {"large.py": "def handler(event, context): return 'x' * event['size']\n"},
	} {
		t.Run(filepath.Ext(name), func(t *testing.T) {
			w := start(t, name, files, nil)
			for range 3 {
				if err := w.refused(fmt.Sprintf(`{"size":%d}`, largest+1<<20)); err == nil {
					t.Error("a response of 7 MiB was taken")
				}
				if o := w.invoke(`{"size":1}`); o.String() != `"x"` {
					t.Errorf("after it: %s; the worker has written:\n%s", o, w.logs())
				}
			}
		})
	}
}
