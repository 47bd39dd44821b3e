package function_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/functions"
	"sluice/sinks"
	"sluice/sinks/function"
)

// delivery is one of an event with a number.
func delivery(n, try int) sinks.Delivery {
	return sinks.Delivery{ID: fmt.Sprintf("inc.%d.t", n), Attempt: try, Event: &event.Event{
		ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "test.made", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, n),
		Extensions: map[string]any{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},
	}}
}

func attempt(batch bool, numbers ...int) sinks.Attempt {
	a := sinks.Attempt{Trigger: "t", Claim: 1, Batch: batch}
	for _, n := range numbers {
		a.Deliveries = append(a.Deliveries, delivery(n, 1))
	}
	return a
}

// TestErrorsAreToldApart: by their first word; and what has begun counts as an
// attempt, what has not does not.
func TestErrorsAreToldApart(t *testing.T) {
	release := make(chan struct{})
	url := control(t, func(c call) order {
		switch {
		case strings.Contains(string(c.Payload), `"n":1`):
			return order{Error: "no \"n\""}
		case strings.Contains(string(c.Payload), `"n":2`):
			return order{Exit: 7}
		case strings.Contains(string(c.Payload), `"n":3`):
			return order{Answer: json.RawMessage(`"` + strings.Repeat("x", 7<<20) + `"`)}
		case strings.Contains(string(c.Payload), `"n":4`):
			<-release
		}
		return order{Answer: json.RawMessage(`{"ok":true}`)}
	})
	s := closing(t, url, nil)
	defer close(release)
	for n, want := range []string{
		"",
		`Unhandled: errorString: "no \"n\""`,
		`Runtime.ExitError: "Runtime exited with error: exit status 7"`,
		`Function.ResponseSizeTooLarge: "`,
		`Sandbox.Timedout: "Task timed out after 1.00 seconds"`,
	} {
		if n == 4 {
			s = closing(t, url, func(c *function.Config) { c.Timeout = config.Duration(time.Second) })
		}
		response, err := s.Deliver(t.Context(), attempt(false, n))
		_, throttled := errors.AsType[*sinks.ThrottledError](err)
		if response.Status != 200 || sinks.IsPermanent(err) || throttled || (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), want) {
			t.Errorf("delivery %d: status %d, %v, want %s", n, response.Status, err, want)
		}
	}
}

// TestFunctionsWithoutRoom: a throttle is no attempt.
func TestFunctionsWithoutRoom(t *testing.T) {
	release := make(chan struct{})
	var begun sync.WaitGroup
	begun.Add(1)
	s := closing(t, control(t, func(call) order {
		begun.Done()
		<-release
		return order{Answer: json.RawMessage("null")}
	}), func(c *function.Config) { c.Concurrency = 1 })
	var all sync.WaitGroup
	all.Go(func() {
		if _, err := s.Deliver(t.Context(), attempt(false, 1)); err != nil {
			t.Error(err)
		}
	})
	begun.Wait()
	function.Wait(s, 50*time.Millisecond)
	_, err := s.Deliver(t.Context(), attempt(false, 2))
	if throttled, ok := errors.AsType[*sinks.ThrottledError](err); !ok || !errors.Is(throttled, functions.ErrThrottled) {
		t.Errorf("got %v", err)
	}
	close(release)
	all.Wait()
}

// TestFailedStarts: a worker that cannot start burns no attempt, and is shown.
func TestFailedStarts(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "broken")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho no such table >&2\nexit 3\n"), 0o755); err != nil { //nolint:gosec // it is run
		t.Fatal(err)
	}
	s := closing(t, "", func(c *function.Config) { c.Handler = path })
	_, err := s.Deliver(t.Context(), attempt(false, 1))
	throttled, ok := errors.AsType[*sinks.ThrottledError](err)
	if !ok || throttled.After <= 0 || !strings.Contains(err.Error(), `its last words: "no such table"`) {
		t.Fatalf("got %v", err)
	}
	if err := s.(interface{ Health() error }).Health(); err == nil {
		t.Error("the function counts as well")
	}
}

// TestInvocations: what a function sees of a delivery is the same on each
// attempt, but for its number.
func TestInvocations(t *testing.T) {
	var mu sync.Mutex
	var calls []call
	s := closing(t, control(t, func(c call) order {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, c)
		return order{Answer: json.RawMessage("null")}
	}), nil)
	a := attempt(false, 7)
	for a.Deliveries[0].Attempt = 1; a.Deliveries[0].Attempt <= 2; a.Deliveries[0].Attempt++ {
		if _, err := s.Deliver(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	if len(calls) != 2 || calls[0].RequestID != calls[1].RequestID || calls[0].RequestID != function.RequestID(&a.Deliveries[0]) {
		t.Errorf("%+v", calls)
	}
	for i, c := range calls {
		if c.Custom["sluice-delivery"] != "inc.7.t" || c.Custom["sluice-trigger"] != "t" || c.Custom["sluice-attempt"] != strconv.Itoa(i+1) {
			t.Errorf("%+v", c)
		}
		if c.Trace != "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1" {
			t.Errorf("the trace is %q", c.Trace)
		}
	}
	// An asynchronous invocation has the id, and the context, of its caller.
	const id = "0d7a29c6-5a0e-4a3c-9c7e-2d8f2c1e9a10"
	a.Deliveries[0].Event = &event.Event{
		ID: id, Source: "/functions/f", Type: "sluice.invocation", DataContentType: "application/json", Data: []byte(`{"n":8}`),
		Extensions: map[string]any{"clientcontext": `{"custom":{"mine":"yes"}}`},
	}
	if _, err := s.Deliver(t.Context(), a); err != nil || calls[2].RequestID != id || calls[2].Custom["mine"] != "yes" || string(calls[2].Payload) != `{"n":8}` {
		t.Errorf("%+v, %v", calls[2], err)
	}
}

// TestBatches: one invocation for all, of which only what failed has failed.
func TestBatches(t *testing.T) {
	var answer string
	var mu sync.Mutex
	var payloads []string
	s := closing(t, control(t, func(c call) order {
		mu.Lock()
		defer mu.Unlock()
		payloads = append(payloads, string(c.Payload))
		if answer == "fail" {
			return order{Error: "all"}
		}
		return order{Answer: json.RawMessage(answer)}
	}), nil)
	for text, want := range map[string][]int{
		`null`: nil, `{}`: nil, `{"batchItemFailures":[]}`: nil, `{"batchItemFailures":null}`: nil, `[1]`: nil, `"x"`: nil,
		`{"batchItemFailures":[{"itemIdentifier":"e2"}]}`:                           {1},
		`{"batchItemFailures":[{"itemIdentifier":"e1"},{"itemIdentifier":"e3"}]}`:   {0, 2},
		`{"batchItemFailures":[{"itemIdentifier":"e1"},{"itemIdentifier":"none"}]}`: {0, 1, 2},
		`{"batchItemFailures":[{"itemIdentifier":""}]}`:                             {0, 1, 2},
		`fail`: {0, 1, 2},
	} {
		payloads = nil
		answer = text
		_, err := s.Deliver(t.Context(), attempt(true, 1, 2, 3))
		var got []int
		if partial, ok := errors.AsType[*sinks.PartialError](err); ok {
			for i, one := range partial.Failed {
				got = append(got, i)
				if sinks.IsPermanent(one) {
					t.Errorf("%s: %v", text, one)
				}
			}
			slices.Sort(got)
		} else if err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !slices.Equal(got, want) || len(payloads) != 1 || payloads[0] != `[{"n":1},{"n":2},{"n":3}]` {
			t.Errorf("%s: %v failed, want %v; the function got %q", text, got, want, payloads)
		}
	}
}

// TestLargeBatches: a batch that is too large is several invocations, and an
// event that is too large for one is dead.
func TestLargeBatches(t *testing.T) {
	var mu sync.Mutex
	sizes := map[int]int{}
	s := closing(t, control(t, func(c call) order {
		var all []string
		if err := json.Unmarshal(c.Payload, &all); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		sizes[len(all)]++
		return order{Answer: json.RawMessage("null")}
	}), nil)
	a := attempt(true, 1, 2, 3, 4)
	for i := range a.Deliveries {
		a.Deliveries[i].Event.Data = []byte(`"` + strings.Repeat("x", 2<<20) + `"`)
	}
	a.Deliveries[3].Event.Data = []byte(`"` + strings.Repeat("x", 7<<20) + `"`)
	_, err := s.Deliver(t.Context(), a)
	partial, ok := errors.AsType[*sinks.PartialError](err)
	if !ok || len(partial.Failed) != 1 || !sinks.IsPermanent(partial.Failed[3]) || sizes[1]+2*sizes[2]+3*sizes[3] != 3 {
		t.Errorf("invocations of %v, %v", sizes, err)
	}
	_, err = s.Deliver(t.Context(), sinks.Attempt{Trigger: "t", Deliveries: a.Deliveries[3:]})
	if !sinks.IsPermanent(err) || !strings.Contains(err.Error(), "a function takes at most 6291556") {
		t.Errorf("got %v", err)
	}
}

func TestReplies(t *testing.T) {
	var answer string
	s := closing(t, control(t, func(call) order { return order{Answer: json.RawMessage(answer)} }), func(c *function.Config) { c.Reply = sinks.ReplyPublish })
	const one = `{"specversion":"1.0","id":"r1","source":"/w","type":"done","datacontenttype":"application/json","data":{"a":1}}`
	for text, want := range map[string]string{
		"null":                        "",
		`{"a":1}`:                     `inc.1.t.0 /answers sluice.reply {"a":1}`,
		`[]`:                          `inc.1.t.0 /answers sluice.reply []`,
		`"text"`:                      `inc.1.t.0 /answers sluice.reply "text"`,
		one:                           `r1 /w done {"a":1}`,
		"[" + one + "," + one + "]":   "r1 /w done {\"a\":1}\nr1 /w done {\"a\":1}",
		`{"specversion":"1.0"}`:       "the answer cannot be published: event 0 of the reply: type: missing",
		`{"batchItemFailures":["x"]}`: `inc.1.t.0 /answers sluice.reply {"batchItemFailures":["x"]}`,
	} {
		answer = text
		response, err := s.Deliver(t.Context(), attempt(false, 1))
		var got []string
		for _, e := range response.Replies[0] {
			got = append(got, fmt.Sprintf("%s %s %s %s", e.ID, e.Source, e.Type, e.Data))
		}
		if err != nil {
			got = append(got, err.Error())
		}
		if text := strings.Join(got, "\n"); text != want && (err == nil || !sinks.IsPermanent(err) || !strings.HasPrefix(text, want)) {
			t.Errorf("%s:\n got %s\nwant %s", answer, text, want)
		}
	}
}

// TestRefresh: a program that cannot be made any more goes on as it was.
func TestRefresh(t *testing.T) {
	s := closing(t, control(t, func(call) order { return order{Answer: json.RawMessage("null")} }), nil)
	fresh := s.(interface {
		Refresh(context.Context) error
		Fingerprint() string
	})
	before := fresh.Fingerprint()
	for range 3 {
		if _, err := s.Deliver(t.Context(), attempt(false, 1)); err != nil {
			t.Fatal(err)
		}
		if err := fresh.Refresh(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if before == "" || before != fresh.Fingerprint() {
		t.Error("the program has changed by itself")
	}
}

// TestProgramsThatCannotBeMade: deliveries wait, and the function is well as soon
// as its program can be made.
func TestProgramsThatCannotBeMade(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module broken\n\ngo 1.24\n")
	write("main.go", "package main\n\nfunc main() { undefined() }\n")
	s := closing(t, "", func(c *function.Config) { c.Handler = dir })
	_, err := s.Deliver(t.Context(), attempt(false, 1))
	if throttled, ok := errors.AsType[*sinks.ThrottledError](err); !ok || throttled.After <= 0 {
		t.Fatalf("got %v", err)
	}
	fresh := s.(interface {
		Refresh(context.Context) error
		Health() error
	})
	if err := fresh.Refresh(t.Context()); err == nil || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v", err)
	}
	if fresh.Health() == nil {
		t.Error("the function counts as well")
	}
	write("main.go", "package main\n\nfunc main() {}\n")
	if err := fresh.Refresh(t.Context()); err != nil || fresh.Health() != nil {
		t.Errorf("%v, %v", err, fresh.Health())
	}
}
