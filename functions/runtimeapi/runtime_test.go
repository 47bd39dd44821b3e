package runtimeapi_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"

	"sluice/functions/runtimeapi"
)

func TestInvocation(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	deadline := time.Now().Add(time.Minute)
	done := make(chan result, 1)
	go func() {
		answer, err := s.Invoke(t.Context(), runtimeapi.Invocation{
			RequestID: "id-1", Deadline: deadline, TraceID: "Root=1-2-3", ClientContext: `{"custom":{}}`, Payload: []byte(`{"n":1}`),
		})
		done <- result{answer, err}
	}()
	g := w.next()
	<-s.Initialized()
	if g.status != http.StatusOK || g.body != `{"n":1}` {
		t.Errorf("got %d %s", g.status, g.body)
	}
	for name, want := range map[string]string{
		"Content-Type":                        "application/json",
		"Lambda-Runtime-Aws-Request-Id":       "id-1",
		"Lambda-Runtime-Deadline-Ms":          strconv.FormatInt(deadline.UnixMilli(), 10),
		"Lambda-Runtime-Invoked-Function-Arn": arn,
		"Lambda-Runtime-Trace-Id":             "Root=1-2-3",
		"Lambda-Runtime-Client-Context":       `{"custom":{}}`,
		"Lambda-Runtime-Cognito-Identity":     "",
	} {
		if got := g.header.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	w.respond("id-1", `{"m":2}`, "Content-Type", "application/json").is(t, http.StatusAccepted, accepted)
	r := <-done
	if r.err != nil || string(r.answer.Payload) != `{"m":2}` || r.answer.ContentType != "application/json" || r.answer.Streaming {
		t.Errorf("got %+v, %v", r.answer, r.err)
	}
}

func TestHeadersAreLeftOutWhenEmpty(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	g := w.next()
	for _, name := range []string{"Lambda-Runtime-Trace-Id", "Lambda-Runtime-Client-Context"} {
		if values, ok := g.header[name]; ok {
			t.Errorf("%s is %q", name, values)
		}
	}
	w.respond("id-1", "")
	<-done
}

func TestError(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "{}")
	w.next()
	body := `{"errorType":"Oops","errorMessage":"no such key","stackTrace":["a","b"]}`
	w.fail("id-1", body, "Lambda-Runtime-Function-Error-Type", "Function.Other").is(t, http.StatusAccepted, accepted)
	var e *runtimeapi.Error
	if r := <-done; !errors.As(r.err, &e) || r.answer != nil {
		t.Fatalf("got %v, %v", r.answer, r.err)
	}
	if e.Type != "Oops" || e.Message != "no such key" || string(e.Payload) != body || string(e.StackTrace) != `["a","b"]` {
		t.Errorf("got %+v", e)
	}
}

func TestNotBegun(t *testing.T) {
	s := listen(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := s.Invoke(ctx, runtimeapi.Invocation{RequestID: "id-1"}); !errors.Is(err, runtimeapi.ErrNotBegun) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	done := invoke(t, s, "id-2", "")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if r := <-done; !errors.Is(r.err, runtimeapi.ErrNotBegun) || !errors.Is(r.err, runtimeapi.ErrClosed) {
		t.Errorf("got %v", r.err)
	}
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	w.next()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if r := <-done; errors.Is(r.err, runtimeapi.ErrNotBegun) || !errors.Is(r.err, runtimeapi.ErrClosed) {
		t.Errorf("got %v", r.err)
	}
}

func TestTooLarge(t *testing.T) {
	s := listen(t, func(o *runtimeapi.Options) { o.MaxResponse = 10 })
	w := work(t, s)
	refused := `{"errorMessage":"Exceeded maximum allowed payload size (10 bytes).","errorType":"RequestEntityTooLarge"}`
	for _, answer := range []func(string, string, ...string) got{w.respond, w.fail} {
		done := invoke(t, s, "id-1", "")
		w.next()
		answer("id-1", "12345678901").is(t, http.StatusRequestEntityTooLarge, refused)
		r := <-done
		if !errors.Is(r.err, runtimeapi.ErrTooLarge) || r.err.Error() != "Response payload size exceeded maximum allowed payload size (10 bytes)." {
			t.Errorf("got %v", r.err)
		}
	}
	done := invoke(t, s, "id-2", "")
	w.next()
	w.respond("id-2", "1234567890").is(t, http.StatusAccepted, accepted)
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
}
