package runtimeapi_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/functions/runtimeapi"
)

func TestMain(m *testing.M) {
	if run := handlers()[os.Getenv("_HANDLER")]; run != nil {
		run() // a worker, which ends with its process
		return
	}
	goleak.VerifyTestMain(m)
}

const arn = "arn:aws:lambda:us-east-1:000000000000:function:thumbnail"

// listen returns a server that is closed at the end of the test.
func listen(tb testing.TB, change ...func(*runtimeapi.Options)) *runtimeapi.Server {
	tb.Helper()
	o := runtimeapi.Options{ARN: arn, Handler: "thumbnail.handler"}
	for _, f := range change {
		f(&o)
	}
	s := runtimeapi.New(o)
	if err := s.Listen(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// A result is what Invoke has returned.
type result struct {
	answer *runtimeapi.Answer
	err    error
}

// invoke calls Invoke beside the test, within ten seconds.
func invoke(tb testing.TB, s *runtimeapi.Server, id, payload string) <-chan result {
	tb.Helper()
	return invokeAs(tb, s, runtimeapi.Invocation{RequestID: id, Payload: []byte(payload)})
}

func invokeAs(tb testing.TB, s *runtimeapi.Server, in runtimeapi.Invocation) <-chan result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	done := make(chan result, 1)
	in.Deadline = time.Now().Add(10 * time.Second)
	go func() {
		defer cancel()
		answer, err := s.Invoke(ctx, in)
		done <- result{answer, err}
	}()
	return done
}

// A worker is a client that sends what a test wants.
type worker struct {
	tb     testing.TB
	base   string
	client *http.Client
}

func work(tb testing.TB, s *runtimeapi.Server) *worker {
	tb.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	tb.Cleanup(transport.CloseIdleConnections)
	return &worker{tb, "http://" + s.Addr(), &http.Client{Transport: transport, Timeout: 10 * time.Second}}
}

// A got is a response with its body read.
type got struct {
	status int
	header http.Header
	body   string
}

// do sends a request; headers are names and values in turn.
func (w *worker) do(method, path, body string, headers ...string) got {
	w.tb.Helper()
	g, err := w.try(w.tb.Context(), method, path, strings.NewReader(body), headers...)
	if err != nil {
		w.tb.Fatal(err)
	}
	return g
}

func (w *worker) try(ctx context.Context, method, path string, body io.Reader, headers ...string) (got, error) {
	request, err := http.NewRequestWithContext(ctx, method, w.base+path, body)
	if err != nil {
		return got{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := w.client.Do(request)
	if err != nil {
		return got{}, err
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	return got{response.StatusCode, response.Header, string(data)}, err
}

func (w *worker) next() got {
	w.tb.Helper()
	return w.do(http.MethodGet, "/2018-06-01/runtime/invocation/next", "")
}

func (w *worker) respond(id, body string, headers ...string) got {
	w.tb.Helper()
	return w.do(http.MethodPost, "/2018-06-01/runtime/invocation/"+id+"/response", body, headers...)
}

func (w *worker) fail(id, body string, headers ...string) got {
	w.tb.Helper()
	return w.do(http.MethodPost, "/2018-06-01/runtime/invocation/"+id+"/error", body, headers...)
}

// A failer is a test, or one of rapid.
type failer interface {
	Helper()
	Errorf(format string, args ...any)
}

// is checks the status and body of a response in the service's form.
func (g got) is(tb failer, status int, body string) {
	tb.Helper()
	if g.status != status || g.body != body+"\n" || g.header.Get("Content-Type") != "application/json" {
		tb.Errorf("got %d %q as %q, want %d %q as JSON", g.status, g.body, g.header.Get("Content-Type"), status, body)
	}
}

const (
	accepted         = `{"status":"OK"}`
	invalidRequestID = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
)
