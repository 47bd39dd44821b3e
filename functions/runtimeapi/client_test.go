package runtimeapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"

	"sluice/functions/runtimeapi"
)

// The handlers of the worker that the test binary is when it is started with _HANDLER: Amazon's own client, as it stands.
func handlers() map[string]func() {
	met := &meeting{all: make(chan struct{})}
	return map[string]func(){
		"echo":    func() { lambda.Start(echo) },
		"nothing": func() { lambda.Start(func() {}) },
		"error":   func() { lambda.Start(func() error { return &missingKeyError{"a.jpg"} }) },
		"panic":   func() { lambda.Start(func() error { panic("no way out") }) },
		"large":   func() { lambda.Start(func() (string, error) { return strings.Repeat("x", 300<<10), nil }) },
		"stream":  func() { lambda.Start(func() (io.Reader, error) { return slow("one,", "two"), nil }) },
		"broken": func() {
			lambda.Start(func() (io.Reader, error) { return io.MultiReader(slow("one,"), failing{}), nil })
		},
		"url": func() { lambdaurl.Start(http.HandlerFunc(page)) },
		"sigterm": func() {
			lambda.StartWithOptions(echo, lambda.WithEnableSIGTERM(func() { fmt.Println("terminated"); os.Exit(0) }))
		},
		"raw":        func() { lambda.Start(raw{}) },
		"megabytes":  func() { lambda.Start(raw(bytes.Repeat([]byte("x"), 5<<20))) },
		"http":       serveEcho,
		"concurrent": func() { lambda.Start(func(ctx context.Context) (string, error) { return met.join(ctx) }) },
	}
}

// raw is a handler without any work of its own.
type raw []byte

func (r raw) Invoke(context.Context, []byte) ([]byte, error) { return r, nil }

type seen struct {
	ID, ARN, Trace, Client string
	Payload                map[string]any
	Left                   time.Duration
}

func echo(ctx context.Context, payload map[string]any) (seen, error) {
	c, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	return seen{c.AwsRequestID, c.InvokedFunctionArn, os.Getenv("_X_AMZN_TRACE_ID"), c.ClientContext.Custom["tenant"], payload, time.Until(deadline)}, nil
}

type missingKeyError struct{ key string }

func (e *missingKeyError) Error() string { return "no such key: " + e.key }

// slow is a reader whose parts are sent as chunks of their own.
func slow(parts ...string) io.Reader {
	r, w := io.Pipe()
	go func() {
		for _, part := range parts {
			_, _ = io.WriteString(w, part)
		}
		_ = w.Close()
	}()
	return r
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, &missingKeyError{"b.jpg"} }

func page(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusTeapot)
	_, _ = io.WriteString(w, "hello "+r.URL.Path)
}

const loops = 4

// A meeting is where the first calls of all loops wait for each other.
type meeting struct {
	inside atomic.Int64
	all    chan struct{}
}

func (m *meeting) join(ctx context.Context) (string, error) {
	if m.inside.Add(1) == loops {
		close(m.all)
	}
	c, _ := lambdacontext.FromContext(ctx)
	select {
	case <-m.all:
		return c.AwsRequestID, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// A process is a worker that runs a handler by the official client.
type process struct {
	command *exec.Cmd
	output  *output
	ended   chan error
}

type output struct {
	mu sync.Mutex
	bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.Buffer.String()
}

func start(tb testing.TB, s *runtimeapi.Server, handler string, environment ...string) *process {
	tb.Helper()
	return startAt(tb, s.Addr(), handler, environment...)
}

func startAt(tb testing.TB, addr, handler string, environment ...string) *process {
	tb.Helper()
	p := &process{exec.CommandContext(context.WithoutCancel(tb.Context()), os.Args[0]), new(output), make(chan error, 1)}
	p.command.Env = append(slices.Clone(environment), "_HANDLER="+handler, "AWS_LAMBDA_RUNTIME_API="+addr)
	p.command.Stdout, p.command.Stderr = p.output, p.output
	if err := p.command.Start(); err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		p.ended <- p.command.Wait()
		close(done)
	}()
	tb.Cleanup(func() {
		_ = p.command.Process.Kill() // most have ended by then
		<-done
	})
	return p
}

func TestGoClient(t *testing.T) {
	s := listen(t)
	start(t, s, "echo")
	for i := range 3 {
		id := fmt.Sprint("id-", i)
		r := <-invokeAs(t, s, runtimeapi.Invocation{RequestID: id, TraceID: "Root=1-2-3", ClientContext: `{"custom":{"tenant":"x"}}`, Payload: []byte(`{"a":[1,"b"]}`)})
		if r.err != nil {
			t.Fatal(r.err)
		}
		got := string(r.answer.Payload)
		want := fmt.Sprintf(`{"ID":%q,"ARN":%q,"Trace":"Root=1-2-3","Client":"x","Payload":{"a":[1,"b"]},"Left":`, id, arn)
		if !strings.HasPrefix(got, want) || r.answer.ContentType != "application/json" {
			t.Errorf("got %s as %s, want %s", got, r.answer.ContentType, want)
		}
	}
}

func TestGoClientWithoutAResult(t *testing.T) {
	s := listen(t)
	start(t, s, "nothing")
	if r := <-invoke(t, s, "id-1", "{}"); r.err != nil || strings.TrimSpace(string(r.answer.Payload)) != "null" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

func TestGoClientThatFails(t *testing.T) {
	s := listen(t)
	start(t, s, "error")
	for _, id := range []string{"id-1", "id-2"} { // an error does not end the worker
		var e *runtimeapi.Error
		if r := <-invoke(t, s, id, "{}"); !errors.As(r.err, &e) || e.Type != "missingKeyError" || e.Message != "no such key: a.jpg" {
			t.Fatalf("got %v, %v", r.answer, r.err)
		}
	}
}

func TestGoClientThatPanics(t *testing.T) {
	s := listen(t)
	p := start(t, s, "panic")
	var e *runtimeapi.Error
	if r := <-invoke(t, s, "id-1", "{}"); !errors.As(r.err, &e) || e.Type != "string" || e.Message != "no way out" || !bytes.Contains(e.StackTrace, []byte("client_test.go")) {
		t.Fatalf("got %v, %v", r.answer, r.err)
	}
	if err := <-p.ended; err == nil {
		t.Error("the worker has not failed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Invoke(ctx, runtimeapi.Invocation{RequestID: "id-2"}); !errors.Is(err, runtimeapi.ErrNotBegun) {
		t.Errorf("got %v", err)
	}
}

func TestGoClientWithTooMuch(t *testing.T) {
	s := listen(t, func(o *runtimeapi.Options) { o.MaxResponse = 200 << 10 })
	p := start(t, s, "large")
	if r := <-invoke(t, s, "id-1", "{}"); !errors.Is(r.err, runtimeapi.ErrTooLarge) {
		t.Errorf("got %v", r.err)
	}
	if err := <-p.ended; err == nil || !strings.Contains(p.output.String(), "unexpected status code: 413") {
		t.Errorf("got %v, %s", err, p.output)
	}
}

func TestGoClientThatStreams(t *testing.T) {
	s := listen(t)
	start(t, s, "stream")
	for range 2 {
		if r := <-invoke(t, s, "id-1", "{}"); r.err != nil || string(r.answer.Payload) != "one,two" || r.answer.ContentType != "application/octet-stream" {
			t.Fatalf("got %v, %v", r.answer, r.err)
		}
	}
}

// A reader that fails says so behind what it has yielded.
func TestGoClientThatStreamsAndFails(t *testing.T) {
	s := listen(t)
	start(t, s, "broken")
	for range 2 {
		var e *runtimeapi.Error
		if r := <-invoke(t, s, "id-1", "{}"); !errors.As(r.err, &e) || e.Type != "missingKeyError" || e.Message != "no such key: b.jpg" || !bytes.Contains(e.Payload, []byte(`"errorMessage"`)) {
			t.Fatalf("got %v, %v", r.answer, r.err)
		}
	}
}

func TestGoClientWithAnHTTPResponse(t *testing.T) {
	s := listen(t)
	start(t, s, "url")
	r := <-invoke(t, s, "id-1", `{"rawPath":"/x","requestContext":{"domainName":"localhost","http":{"method":"GET"}}}`)
	if r.err != nil || r.answer.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Fatalf("got %v, %v", r.answer, r.err)
	}
	prelude, body, _ := bytes.Cut(r.answer.Payload, make([]byte, 8))
	if string(prelude) != `{"statusCode":418,"headers":{"Content-Type":"text/plain"}}` || string(body) != "hello /x" {
		t.Errorf("got %q and %q", prelude, body)
	}
}

func TestGoClientWithSIGTERM(t *testing.T) {
	s := listen(t)
	p := start(t, s, "sigterm")
	if r := <-invoke(t, s, "id-1", "{}"); r.err != nil {
		t.Fatal(r.err)
	}
	if names := s.Extensions(); !slices.Equal(names, []string{"GoLangEnableSIGTERM"}) {
		t.Errorf("got %q", names)
	}
	if err := s.Shutdown(t.Context(), "spindown", time.Now()); err != nil { // it has asked for no events
		t.Error(err)
	}
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-p.ended; err != nil || !strings.Contains(p.output.String(), "terminated") {
		t.Errorf("got %v, %s", err, p.output)
	}
}

func TestGoClientWithSeveralLoops(t *testing.T) {
	s := listen(t, func(o *runtimeapi.Options) { o.MaxConcurrency = loops })
	start(t, s, "concurrent", fmt.Sprint("AWS_LAMBDA_MAX_CONCURRENCY=", loops))
	var calls sync.WaitGroup
	for loop := range loops {
		calls.Go(func() {
			for i := range 50 {
				id := fmt.Sprintf("%d-%d", loop, i)
				if r := <-invoke(t, s, id, "{}"); r.err != nil || strings.TrimSpace(string(r.answer.Payload)) != fmt.Sprintf("%q", id) {
					t.Errorf("got %v, %v for %s", r.answer, r.err, id)
				}
			}
		})
	}
	calls.Wait()
}
