//go:build unix

package functions

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"sluice/functions/runtimes"
)

func newID() string { return uuid.NewString() }

// testSpec is a function whose worker is the binary of the tests.
func testSpec(exe string, change ...func(*Spec)) Spec {
	s := Spec{
		Name: "resize", Memory: 1 << 30, // the race detector's memory is the worker's too
		Program: runtimes.Program{Runtime: runtimes.Custom, Command: []string{exe}, Dir: os.TempDir(), Handler: "handle"},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

// A witness keeps what a pool tells its observer.
type witness struct {
	mu      sync.Mutex
	lines   []Line
	reports []Report
}

func (w *witness) Line(l Line) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, l)
}

func (w *witness) Report(r Report) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reports = append(w.reports, r)
}

// texts are the lines of an invocation, or those outside of any.
func (w *witness) texts(requestID string) (texts []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.lines {
		if l.RequestID == requestID {
			texts = append(texts, l.Text)
		}
	}
	return texts
}

// newPool starts a pool that is closed with the test.
func newPool(tb testing.TB, change ...func(*Spec)) (*Pool, *witness) {
	tb.Helper()
	exe, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	seen := &witness{}
	p, err := NewPool(testSpec(exe, change...), Options{Scratch: tb.TempDir(), Observer: seen})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p, seen
}

// invoke calls the function, which has to answer well.
func invoke(tb testing.TB, p *Pool, o order) (told, Result) {
	tb.Helper()
	result, err := p.Invoke(tb.Context(), call(o))
	if err != nil {
		tb.Fatalf("%s: %v", o.Do, err)
	}
	var answer told
	if err := json.Unmarshal(result.Payload, &answer); err != nil {
		tb.Fatalf("%s was answered %.200q: %v", o.Do, result.Payload, err)
	}
	return answer, result
}

// fails calls the function, which has to fail.
func fails(tb testing.TB, p *Pool, o order) (*FunctionError, Result) {
	tb.Helper()
	result, err := p.Invoke(tb.Context(), call(o))
	var failed *FunctionError
	if !errors.As(err, &failed) {
		tb.Fatalf("%s: %.200q, %v", o.Do, result.Payload, err)
	}
	return failed, result
}

// until waits for a state of the pool.
func until(tb testing.TB, p *Pool, what string, is func(Stats) bool) {
	tb.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(p.Stats()); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("%s: %+v", what, p.Stats())
		}
	}
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Timeout = 5 * time.Second })
	in := call(order{Do: "log", Text: "hello", N: 2})
	in.ClientContext = `{"client":{"app_title":"tests"}}`
	before := time.Now()
	result, err := p.Invoke(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	var answer told
	if err := json.Unmarshal(result.Payload, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.RequestID != in.RequestID || answer.ARN != "arn:aws:lambda:us-east-1:000000000000:function:resize" || answer.Client != "tests" {
		t.Errorf("the worker was told %+v", answer)
	}
	if left := answer.Deadline.Sub(before); left < 5*time.Second-time.Millisecond || left > 15*time.Second {
		t.Errorf("the deadline is after %v", left)
	}
	r := result.Report
	if r.Function != "resize" || r.RequestID != in.RequestID || r.Outcome != OutcomeSuccess || r.Memory != 1<<30 || r.MaxMemory < 1<<20 ||
		r.Duration <= 0 || r.Init <= 0 || r.Billed < r.Duration+r.Init || r.Billed%time.Millisecond != 0 {
		t.Errorf("the report is %+v", r)
	}
	lines := seen.texts(in.RequestID)
	want := []string{
		"START RequestId: " + in.RequestID + " Version: $LATEST", "hello 0", "hello 1", "END RequestId: " + in.RequestID, reportLine(r, ""),
	}
	if !slices.Equal(lines, want) {
		t.Errorf("the log is %q", lines)
	}
	if tail := strings.Join(want, "\n") + "\n"; string(result.LogTail) != tail {
		t.Errorf("the tail is %q", result.LogTail)
	}
	again, result := invoke(t, p, order{})
	if again.PID != answer.PID || result.Report.Init != 0 {
		t.Errorf("the second is served by process %d after %d, and reports %+v", again.PID, answer.PID, result.Report)
	}
	if len(seen.reports) != 2 {
		t.Errorf("%d reports", len(seen.reports))
	}
}

// A failing is an order and what must become of it.
type failing struct {
	order         order
	outcome       Outcome
	kind, message string // ID stands for the request id
	handled, kept bool
}

func TestFailures(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Concurrency = 1 })
	for _, e := range []failing{
		{order{Do: "fail", Text: "no such key"}, OutcomeError, "errorString", "no such key", true, true},
		{order{Do: "panic", Text: "oh"}, OutcomeError, "string", "oh", true, false},
		{order{Do: "exit", N: 0}, OutcomeExit, "Runtime.ExitError", "RequestId: ID Error: Runtime exited without providing a reason", false, false},
		{order{Do: "exit", N: 3}, OutcomeExit, "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: exit status 3", false, false},
		{order{Do: "kill"}, OutcomeExit, "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: signal: killed", false, false},
		{order{Do: "large", N: 7 << 20}, OutcomeTooLarge, "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).", false, false},
	} {
		e.check(t, p, seen)
	}
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Timeout = time.Second; s.Concurrency = 1 })
	for _, o := range []order{{Sleep: time.Minute}, {Do: "stop"}} {
		failing{o, OutcomeTimeout, "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 1.00 seconds", false, false}.check(t, p, seen)
	}
}

func (e failing) check(t *testing.T, p *Pool, seen *witness) {
	t.Helper()
	before, _ := invoke(t, p, order{})
	failed, result := fails(t, p, e.order)
	message := strings.ReplaceAll(e.message, "ID", result.Report.RequestID)
	if failed.Outcome != e.outcome || failed.Type != e.kind || failed.Message != message || failed.Handled != e.handled || result.Report.Outcome != e.outcome {
		t.Errorf("%+v: %+v, %+v", e.order, failed, result.Report)
	}
	var payload struct{ ErrorType, ErrorMessage string }
	if err := json.Unmarshal(failed.Payload, &payload); err != nil || payload.ErrorType != e.kind || payload.ErrorMessage != message {
		t.Errorf("%+v is answered %q", e.order, failed.Payload)
	}
	lines := seen.texts(result.Report.RequestID)
	if last := lines[len(lines)-1]; !strings.HasPrefix(last, "REPORT ") || strings.Contains(last, "Used: 0 MB") {
		t.Errorf("%+v: the log ends with %q", e.order, lines)
	}
	if after, _ := invoke(t, p, order{}); (after.PID == before.PID) != e.kept {
		t.Errorf("%+v: the next was served by process %d after %d", e.order, after.PID, before.PID)
	}
}

func TestTimeoutIsLogged(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Timeout = 50 * time.Millisecond })
	_, result := fails(t, p, order{Sleep: time.Minute})
	r := result.Report
	if r.Duration != 50*time.Millisecond || r.Billed < r.Init+r.Duration {
		t.Errorf("the report is %+v", r)
	}
	lines := seen.texts(r.RequestID)
	if len(lines) != 4 || !strings.HasSuffix(lines[1], " "+r.RequestID+" Task timed out after 0.05 seconds") || !strings.HasSuffix(lines[3], "\tStatus: timeout") {
		t.Errorf("the log is %q", lines)
	}
}

// A worker whose invocation was given up is killed, and one that has not got it
// yet is not.
func TestCanceled(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t, func(s *Spec) { s.Concurrency = 1 })
	first, _ := invoke(t, p, order{})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := p.Invoke(ctx, call(order{Sleep: time.Minute}))
		done <- err
	}()
	until(t, p, "one runs", func(s Stats) bool { return s.Busy == 1 })
	waiting, give := context.WithCancel(t.Context())
	go func() {
		_, err := p.Invoke(waiting, call(order{}))
		done <- err
	}()
	until(t, p, "one waits", func(s Stats) bool { return s.Waiting == 1 })
	give()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that waits ends with %v", err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that runs ends with %v", err)
	}
	if second, _ := invoke(t, p, order{}); second.PID == first.PID {
		t.Error("the worker whose invocation was canceled serves another")
	}
	if r := seen.reports[1]; r.Outcome != OutcomeCanceled {
		t.Errorf("the report is %+v", r)
	}
}

func TestFromZeroAndBack(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, func(s *Spec) { s.Idle = 50 * time.Millisecond; s.Concurrency = 6 })
	if !none(p.Stats()) {
		t.Errorf("at first there are %+v", p.Stats())
	}
	var all sync.WaitGroup
	for range 6 {
		all.Go(func() { _, _ = p.Invoke(t.Context(), call(order{Sleep: time.Minute})) })
	}
	until(t, p, "six run", func(s Stats) bool { return s.Busy == 6 })
	if _, err := p.Invoke(t.Context(), Invocation{RequestID: newID(), Payload: []byte("{}")}); !errors.Is(err, ErrThrottled) {
		t.Errorf("the seventh ends with %v", err)
	}
	p.Refresh() // nothing to do with what runs
	until(t, p, "six still run", func(s Stats) bool { return s.Busy == 6 })
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	all.Wait()
	until(t, p, "back to zero", none)
}

func none(s Stats) bool { return s.Starting+s.Idle+s.Busy+s.Ending == 0 }

// What has no end of line when the function answers belongs to its invocation.
func TestLogWithoutEnd(t *testing.T) {
	t.Parallel()
	p, seen := newPool(t)
	_, first := invoke(t, p, order{Do: "partial", Text: "half a line"})
	_, second := invoke(t, p, order{Do: "partial", Text: strings.Repeat("x", maxLine+1)})
	if lines := seen.texts(first.Report.RequestID); lines[1] != "half a line" {
		t.Errorf("the first has logged %q", lines)
	}
	lines := seen.texts(second.Report.RequestID)
	if len(lines) != 5 || len(lines[1]) != maxLine || lines[2] != "x" {
		t.Errorf("the second has logged %d lines", len(lines))
	}
	if len(second.LogTail) != maxTail {
		t.Errorf("the tail has %d bytes", len(second.LogTail))
	}
}
