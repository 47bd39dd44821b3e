//go:build unix

package functions

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Whatever workers do, each invocation gets its own result or its own error.
func TestEachItsOwn(t *testing.T) {
	t.Parallel()
	p, _ := newPool(t, func(s *Spec) { s.Concurrency, s.Timeout, s.MaxCalls = 4, 2*time.Second, 5 })
	orders := []order{{}, {Do: "fail"}, {}, {Do: "exit", N: 1}, {Do: "log", Text: "x", N: 3}, {Do: "panic"}, {}, {Do: "kill"}}
	var all sync.WaitGroup
	for n := range 32 {
		o := orders[n%len(orders)]
		o.Text = fmt.Sprintf("text of %d", n)
		all.Go(func() {
			in := call(o)
			in.MaxWait = time.Minute
			result, err := p.Invoke(t.Context(), in)
			checkOwn(t, o, in.RequestID, result, err)
		})
	}
	all.Wait()
}

func checkOwn(t *testing.T, o order, id string, result Result, err error) {
	t.Helper()
	failed, hasFailed := errors.AsType[*FunctionError](err)
	if startErr, ok := errors.AsType[*StartError](err); ok {
		t.Logf("%s was not begun, for %v: %v", id, startErr.After, startErr)
		return // the sink would try again
	}
	if result.Report.RequestID != id || !strings.Contains(string(result.LogTail), "START RequestId: "+id) || strings.Count(string(result.LogTail), "START ") != 1 {
		t.Errorf("%+v: the report is %+v, the log %q", o, result.Report, result.LogTail)
	}
	switch o.Do {
	case "fail", "panic":
		if !hasFailed || failed.Message != o.Text {
			t.Errorf("%+v: %v", o, err)
		}
	case "exit", "kill":
		if !hasFailed || failed.Outcome != OutcomeExit || !strings.HasPrefix(failed.Message, "RequestId: "+id+" ") {
			t.Errorf("%+v: %v", o, err)
		}
	default:
		var answer told
		if err != nil || json.Unmarshal(result.Payload, &answer) != nil || answer.RequestID != id {
			t.Errorf("%+v: %q, %v", o, result.Payload, err)
		}
	}
}
