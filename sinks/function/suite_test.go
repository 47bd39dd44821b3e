package function_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/functions"
	"sluice/sinks"
	"sluice/sinks/function"
	"sluice/sinks/sinktest"
)

// The binary of the tests is the function too: a Go Lambda, by the official
// client.
func TestMain(m *testing.M) {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		lambda.Start(work)
		return
	}
	goleak.VerifyTestMain(m)
}

// A call is what a worker tells the test of an invocation, an order what it is
// to do then.
type call struct {
	RequestID string
	Custom    map[string]string
	Payload   json.RawMessage
	Trace     string
}

type order struct {
	Error  string
	Exit   int
	Answer json.RawMessage
}

func work(ctx context.Context, payload json.RawMessage) (any, error) {
	lc, _ := lambdacontext.FromContext(ctx)
	trace, _ := ctx.Value("x-amzn-trace-id").(string)
	body, err := json.Marshal(call{lc.AwsRequestID, lc.ClientContext.Custom, payload, trace})
	if err != nil {
		return nil, err
	}
	// The deadline of the invocation is not this one's to keep.
	request, err := http.NewRequestWithContext(context.WithoutCancel(ctx), http.MethodPost, os.Getenv("CONTROL"), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	var do order
	if err := json.NewDecoder(answer.Body).Decode(&do); err != nil {
		return nil, err
	}
	switch {
	case do.Exit != 0:
		os.Exit(do.Exit)
	case do.Error != "":
		return nil, errors.New(do.Error)
	}
	return do.Answer, nil
}

// control answers the workers' questions with what decide says.
func control(t *testing.T, decide func(call) order) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var c call
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = json.Unmarshal(body, &c)
		}
		if err != nil {
			t.Error(err)
		}
		_ = json.NewEncoder(w).Encode(decide(c))
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// build makes the sink of the function "answers" whose workers ask url.
func build(t *testing.T, url string, change func(*function.Config)) sinks.Sink {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	c := function.NewConfig()
	c.Handler, c.Shape, c.Memory, c.Concurrency = program, "data", 512<<20, 3
	c.InitTimeout = config.Duration(time.Minute) // the machine may be busy
	c.Environment = map[string]config.Secret{"CONTROL": config.NewSecret(url)}
	if change != nil {
		change(c)
	}
	s, err := c.Sink(sinks.Env{
		Name: "answers", Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Functions: functions.Host{Folders: functions.NewFolders(func() (string, error) { return dir, nil })},
	})
	if err != nil {
		t.Fatal(err)
	}
	function.Wait(s, time.Minute)
	return s
}

// closing makes a sink that ends with the test.
func closing(t *testing.T, url string, change func(*function.Config)) sinks.Sink {
	t.Helper()
	s := build(t, url, change)
	t.Cleanup(func() {
		if err := s.(sinks.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A suiteWorker does what the suite wants.
type suiteWorker struct {
	mu        sync.Mutex
	behaviour sinktest.Behaviour
	received  []sinktest.Received
	hold      chan struct{}
	gone      bool
}

func (w *suiteWorker) decide(c call) order {
	number, _ := strconv.Atoi(c.Custom["sluice-attempt"])
	got := sinktest.Received{ID: c.Custom["sluice-delivery"], Attempt: number, Data: string(c.Payload)}
	w.mu.Lock()
	if w.gone {
		w.mu.Unlock()
		return order{Exit: 3}
	}
	w.received = append(w.received, got)
	hold, behaviour := w.hold, w.behaviour
	w.mu.Unlock()
	switch behaviour {
	case sinktest.Fail:
		return order{Error: "failed"}
	case sinktest.FailEven:
		if got.Even() {
			return order{Error: "even"}
		}
	case sinktest.Hang:
		<-hold
	case sinktest.Break:
		return order{Exit: 1}
	case sinktest.Answer:
		return order{Answer: c.Payload}
	case sinktest.Succeed, sinktest.Refuse, sinktest.Leave:
	}
	return order{Answer: json.RawMessage("null")}
}

func (w *suiteWorker) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.hold)
	w.hold = make(chan struct{})
}

func TestSuite(t *testing.T) {
	var url string
	sinktest.Exercise(t, sinktest.Fixture{
		Name:        "function",
		CannotLeave: true, CannotRefuse: true,
		Worker: func(t *testing.T) sinktest.Worker {
			t.Helper()
			w := &suiteWorker{hold: make(chan struct{})}
			url = control(t, w.decide)
			stop := func() { w.set(func() { w.gone = true }) }
			t.Cleanup(stop)
			return sinktest.Worker{
				Behave: func(b sinktest.Behaviour) { w.set(func() { w.behaviour = b }) }, Stop: stop,
				Received: func() []sinktest.Received {
					w.mu.Lock()
					defer w.mu.Unlock()
					return append([]sinktest.Received(nil), w.received...)
				},
			}
		},
		Sink: func(t *testing.T) sinks.Sink {
			t.Helper()
			return build(t, url, nil)
		},
		Replying: func(t *testing.T) sinks.Sink {
			t.Helper()
			return build(t, url, func(c *function.Config) { c.Reply, c.MaxHops = sinks.ReplyPublish, 2 })
		},
	})
}
