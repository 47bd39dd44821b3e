package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/event"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/sinks"
	"sluice/sinks/internal/invoke"
)

const (
	// maxWait is how long an invocation waits for the program, and then for room.
	maxWait = 5 * time.Second
	// slack is what an attempt may take besides.
	slack = 5 * time.Second
)

// A sink calls one function.
type sink struct {
	*workers

	caller  invoke.Caller
	maxWait time.Duration
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	logger := env.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	workers, err := newWorkers(c, env.Name, env.Functions, logger)
	if err != nil {
		return nil, fmt.Errorf("the function %q: %w", env.Name, err)
	}
	s := &sink{workers: workers, maxWait: maxWait}
	s.caller = invoke.Caller{Call: s.call, Shape: c.Shape, Replies: c.Replies(), Name: s.name, MaxHops: c.MaxHops}
	return s, nil
}

// Close ends all workers.
func (s *sink) Close() error { return s.close() }

// Invoke calls the function. Its errors are those of functions.Pool.
func (s *sink) Invoke(ctx context.Context, in functions.Invocation) (functions.Result, error) {
	pool, err := s.get(ctx, in.MaxWait)
	if err != nil {
		return functions.Result{}, err
	}
	return pool.Invoke(ctx, in)
}

// Deliver calls the function for each delivery, or once for all of a batch.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	return s.caller.Deliver(ctx, a)
}

// call makes one invocation, in the name of a delivery.
func (s *sink) call(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery, payload []byte) (sinks.Response, error) {
	result, err := s.Invoke(ctx, functions.Invocation{
		RequestID: RequestID(d), Payload: payload, MaxWait: s.maxWait,
		TraceID: traceID(d.Event), ClientContext: clientContext(a, d),
	})
	response := sinks.Response{Body: result.Payload, ContentType: result.ContentType}
	if failure, ok := errors.AsType[*functions.FunctionError](err); ok {
		response.Body, response.ContentType = failure.Payload, "application/json"
	}
	if err == nil || len(response.Body) > 0 {
		response.Status = http.StatusOK // as the service: an error of a function is an answer
	}
	return response, verdict(ctx, err)
}

// verdict turns an error of Invoke into one that says what is to become of the
// delivery: what has begun is tried again, and counts; what has not begun waits.
func verdict(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	deadline, bounded := ctx.Deadline()
	if failure, ok := errors.AsType[*functions.FunctionError](err); ok {
		return failed(failure)
	}
	if start, ok := errors.AsType[*functions.StartError](err); ok {
		return &sinks.ThrottledError{Err: err, After: start.After}
	}
	switch {
	case errors.Is(err, functions.ErrThrottled), errors.Is(err, functions.ErrClosed):
		return &sinks.ThrottledError{Err: err}
	case bounded && !time.Now().Before(deadline):
		return fmt.Errorf("no answer within the attempt's time: %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped before an answer came: %w", ctx.Err())
	}
	return err
}

// failed says what kind of failure it was with its first words: Unhandled and
// the type for what the function itself has reported, as the service calls it,
// else the service's own type. The request id is left out, so that letters of the
// same error are one group.
func failed(e *functions.FunctionError) error {
	kind := ""
	if e.Outcome == functions.OutcomeError {
		kind = unhandled + ": "
	}
	_, message, found := strings.Cut(e.Message, requestWords)
	if !found || !strings.HasPrefix(e.Message, "RequestId: ") {
		message = e.Message
	}
	return fmt.Errorf("%s%s: %s", kind, e.Type, strconv.Quote(message))
}

// RequestID returns the request id of the invocation that a delivery is made
// by. It is the same on every attempt. That of an asynchronous invocation is
// the id that its caller was told.
func RequestID(d *sinks.Delivery) string {
	if d.Event.Type == aws.TypeInvocation && uuid.Validate(d.Event.ID) == nil {
		return d.Event.ID
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("sluice:delivery:"+d.ID)).String()
}

// AttributeClientContext is the extension attribute that has the client context
// of an asynchronous invocation, AttributeTraceID that with its trace in X-Ray's
// form.
const (
	AttributeClientContext = "clientcontext"
	AttributeTraceID       = "xraytraceid"
)

// clientContext tells the function whose invocation it is, unless its caller
// has told it something itself.
func clientContext(a *sinks.Attempt, d *sinks.Delivery) string {
	if given := d.Event.Extension(AttributeClientContext); given != "" && d.Event.Type == aws.TypeInvocation {
		return given
	}
	return invoke.ClientContext(a, d)
}

// traceID returns the trace of an event in X-Ray's form, or an empty text.
func traceID(e *event.Event) string {
	if e.Type == aws.TypeInvocation {
		return e.Extension(AttributeTraceID)
	}
	return invoke.TraceID(e)
}
