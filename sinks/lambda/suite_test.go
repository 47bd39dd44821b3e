package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/functions"
	"sluice/functions/invokeapi"
	"sluice/sinks"
	"sluice/sinks/lambda"
	"sluice/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretKey = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"

// A worker is the function behind sluice's own Invoke API, which does what the
// suite wants.
type worker struct {
	mu        sync.Mutex
	behaviour sinktest.Behaviour
	received  []sinktest.Received
	hold      chan struct{}
	throttle  bool
	later     []functions.Invocation
}

func (w *worker) Has(name string) bool { return name == "work" }

func (w *worker) InvokeAsync(_ context.Context, _ string, in functions.Invocation) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.later = append(w.later, in)
	return nil
}

func (w *worker) Invoke(ctx context.Context, _ string, in functions.Invocation) (functions.Result, error) {
	got := told(in)
	w.mu.Lock()
	if w.throttle {
		w.mu.Unlock()
		return functions.Result{}, functions.ErrThrottled
	}
	w.received = append(w.received, got)
	hold, behaviour := w.hold, w.behaviour
	w.mu.Unlock()
	switch behaviour {
	case sinktest.Fail:
		return failed("failed")
	case sinktest.FailEven:
		if got.Even() {
			return failed("even")
		}
	case sinktest.Hang:
		select {
		case <-hold:
		case <-ctx.Done():
		}
	case sinktest.Answer:
		return functions.Result{Payload: in.Payload, ContentType: "application/json"}, nil
	case sinktest.Succeed, sinktest.Refuse, sinktest.Break, sinktest.Leave:
	}
	return functions.Result{Payload: []byte("null"), ContentType: "application/json"}, nil
}

func told(in functions.Invocation) sinktest.Received {
	var who struct{ Custom map[string]string }
	_ = json.Unmarshal([]byte(in.ClientContext), &who)
	attempt, _ := strconv.Atoi(who.Custom["sluice-attempt"])
	return sinktest.Received{ID: who.Custom["sluice-delivery"], Attempt: attempt, Data: string(in.Payload)}
}

func failed(message string) (functions.Result, error) {
	return functions.Result{}, &functions.FunctionError{
		Outcome: functions.OutcomeError, Type: "Error", Message: message,
		Payload: []byte(`{"errorType":"Error","errorMessage":"RequestId: 1-2 Error: ` + message + `"}`),
	}
}

func (w *worker) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
	close(w.hold)
	w.hold = make(chan struct{})
}

// broken ends the connection in the middle of an answer, when it is to be so.
func (w *worker) broken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		maps.Copy(rw.Header(), recorder.Header())
		w.mu.Lock()
		cut := w.behaviour == sinktest.Break
		w.mu.Unlock()
		if cut {
			rw.Header().Set("Content-Length", "100")
		}
		rw.WriteHeader(recorder.Code)
		_, _ = rw.Write(recorder.Body.Bytes())
		if cut {
			panic(http.ErrAbortHandler)
		}
	})
}

// serve runs sluice's Invoke API over the worker.
func (w *worker) serve(t *testing.T) (url string, stop func()) {
	t.Helper()
	api := invokeapi.New(t.Context(), invokeapi.Options{
		Functions: w, Region: "us-east-1", Logger: slog.New(slog.DiscardHandler),
		Keys: []invokeapi.Key{{AccessKey: "AKIDEXAMPLE12345", SecretKey: secretKey, Functions: []string{"work", "missing"}}},
	})
	server := httptest.NewServer(w.broken(api))
	stop = sync.OnceFunc(func() {
		w.set(func() {})
		server.CloseClientConnections()
		server.Close()
		api.Close(time.Second)
	})
	t.Cleanup(stop)
	return server.URL, stop
}

func newWorker() *worker { return &worker{hold: make(chan struct{})} }

func build(t *testing.T, url string, change ...func(*lambda.Config)) sinks.Sink {
	t.Helper()
	c := lambda.NewConfig()
	c.Endpoint, c.Function, c.Shape = url, "work", "data"
	c.AccessKey, c.SecretKey = config.NewSecret("AKIDEXAMPLE12345"), config.NewSecret(secretKey)
	for _, f := range change {
		f(c)
	}
	s, err := c.Sink(sinks.Env{Name: "answers"})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closing(t *testing.T, s sinks.Sink) sinks.Sink {
	t.Helper()
	t.Cleanup(func() { _ = s.(sinks.Closer).Close() })
	return s
}

func TestSuite(t *testing.T) {
	var url string
	sinktest.Exercise(t, sinktest.Fixture{
		Name:        "lambda",
		CannotLeave: true, CannotRefuse: true,
		Worker: func(t *testing.T) sinktest.Worker {
			t.Helper()
			w := newWorker()
			var stop func()
			url, stop = w.serve(t)
			return sinktest.Worker{
				Behave: func(b sinktest.Behaviour) { w.set(func() { w.behaviour = b }) }, Stop: stop,
				Received: func() []sinktest.Received {
					w.mu.Lock()
					defer w.mu.Unlock()
					return append([]sinktest.Received(nil), w.received...)
				},
			}
		},
		Sink: func(t *testing.T) sinks.Sink { t.Helper(); return build(t, url) },
		Replying: func(t *testing.T) sinks.Sink {
			t.Helper()
			return build(t, url, func(c *lambda.Config) { c.Reply, c.MaxHops = sinks.ReplyPublish, 2 })
		},
	})
}

func attempt(batch bool, bodies ...string) sinks.Attempt {
	a := sinks.Attempt{Trigger: "t", Batch: batch}
	for i, body := range bodies {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: "inc." + strconv.Itoa(i+1) + ".t", Attempt: 1, Event: &event.Event{
			ID: "e" + strconv.Itoa(i), Source: "sqs://orders", Type: "sqs.message", DataContentType: "application/json", Data: []byte(body),
		}})
	}
	return a
}

func TestErrors(t *testing.T) {
	w := newWorker()
	url, _ := w.serve(t)
	for name, c := range map[string]struct {
		change    func(*lambda.Config)
		body      string
		throttle  bool
		behaviour sinktest.Behaviour
		want      string
		permanent bool
	}{
		"the function fails":   {behaviour: sinktest.Fail, want: `Unhandled: Error: "failed"`},
		"no such function":     {change: func(c *lambda.Config) { c.Function = "missing" }, want: `there is no function "missing"`},
		"not allowed":          {change: func(c *lambda.Config) { c.Function = "other" }, want: "or do not allow it"},
		"a wrong secret":       {change: func(c *lambda.Config) { c.SecretKey = config.NewSecret("wrong") }, want: "the credentials are not accepted"},
		"too large":            {body: `"` + strings.Repeat("x", 7<<20) + `"`, want: "6291556", permanent: true},
		"refused by the guard": {change: func(c *lambda.Config) { c.Egress = "public" }, want: "refused to connect", permanent: true},
		"throttled":            {throttle: true, want: "TooManyRequestsException"},
	} {
		t.Run(name, func(t *testing.T) {
			w.set(func() { w.behaviour, w.throttle = c.behaviour, c.throttle })
			change := c.change
			if change == nil {
				change = func(*lambda.Config) {}
			}
			if c.body == "" {
				c.body = "{}"
			}
			_, err := closing(t, build(t, url, change)).Deliver(t.Context(), attempt(false, c.body))
			if err == nil || !strings.Contains(err.Error(), c.want) || sinks.IsPermanent(err) != c.permanent {
				t.Errorf("permanent: %v: %v; want %q", sinks.IsPermanent(err), err, c.want)
			}
			if _, ok := errors.AsType[*sinks.ThrottledError](err); ok != c.throttle {
				t.Errorf("throttled: %v", ok)
			}
		})
	}
}

// TestBatch: one invocation takes all of a batch, and its answer says which have
// failed.
func TestBatch(t *testing.T) {
	w := newWorker()
	w.behaviour = sinktest.Answer
	url, _ := w.serve(t)
	s := closing(t, build(t, url, func(c *lambda.Config) { c.Shape = "aws" }))
	response, err := s.Deliver(t.Context(), attempt(true, `{"a":1}`, `{"a":2}`))
	if err != nil || response.Status != http.StatusOK || len(w.received) != 1 || strings.Count(w.received[0].Data, `"eventSource":"aws:sqs"`) != 2 {
		t.Errorf("got %+v, %v; the function has received %+v", response, err, w.received)
	}
	answer := closing(t, build(t, url))
	var some *sinks.PartialError
	_, err = answer.Deliver(t.Context(), attempt(true, `{"batchItemFailures":1}`, `{}`))
	if !errors.As(err, &some) && err != nil {
		t.Errorf("got %v", err)
	}
}

// TestInvokedLater: with invocation: event the delivery is done when the service
// has the payload.
func TestInvokedLater(t *testing.T) {
	w := newWorker()
	url, _ := w.serve(t)
	s := closing(t, build(t, url, func(c *lambda.Config) { c.Invocation = lambda.Event }))
	for _, batch := range []bool{false, true} {
		response, err := s.Deliver(t.Context(), attempt(batch, `{"n":1}`))
		if err != nil || response.Status != http.StatusAccepted {
			t.Errorf("got %+v, %v", response, err)
		}
	}
	if len(w.later) != 2 || string(w.later[0].Payload) != `{"n":1}` || string(w.later[1].Payload) != `[{"n":1}]` || len(w.received) != 0 {
		t.Errorf("the function is to be given %+v, and has received %+v", w.later, w.received)
	}
	_, err := s.Deliver(t.Context(), attempt(false, `"`+strings.Repeat("x", 2<<20)+`"`))
	if !sinks.IsPermanent(err) {
		t.Errorf("what is too large came as %v", err)
	}
}

func TestValidate(t *testing.T) {
	for want, change := range map[string]func(*lambda.Config){
		"":                        func(*lambda.Config) {},
		`function: "" is`:         func(c *lambda.Config) { c.Function = "" },
		`function: "a b" is`:      func(c *lambda.Config) { c.Function = "a b" },
		`qualifier: "a b" is`:     func(c *lambda.Config) { c.Qualifier = "a b" },
		`invocation: found "x"`:   func(c *lambda.Config) { c.Invocation = "x" },
		`shape: found "x"`:        func(c *lambda.Config) { c.Shape = "x" },
		"reply: with invocation":  func(c *lambda.Config) { c.Invocation, c.Reply = lambda.Event, sinks.ReplyPublish },
		"region: it is missing":   func(c *lambda.Config) { c.AccessKey, c.SecretKey = config.NewSecret("k"), config.NewSecret("s") },
		"secret_key: it is":       func(c *lambda.Config) { c.AccessKey = config.NewSecret("k") },
		`egress: found "x"; writ`: func(c *lambda.Config) { c.Egress = "x" },
	} {
		c := lambda.NewConfig()
		c.Function = "arn:aws:lambda:eu-central-1:123456789012:function:work:live"
		if strings.HasPrefix(want, "region") {
			c.Function = "work"
		}
		change(c)
		err := c.Validate()
		if (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
