package function

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"sluice/event"
	"sluice/event/aws"
	"sluice/functions"
	"sluice/sinks"
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

	shape   aws.Shape
	replies bool
	maxHops int
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
	return &sink{workers: workers, shape: c.Shape, replies: c.Replies(), maxHops: c.MaxHops, maxWait: maxWait}, nil
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
	if a.Batch {
		return s.deliverBatch(ctx, &a)
	}
	return sinks.OneByOne(&a, func(d *sinks.Delivery) (sinks.Response, error) { return s.deliver(ctx, &a, d) })
}

func (s *sink) deliver(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (sinks.Response, error) {
	payload, err := aws.Encode(s.shape, []*event.Event{d.Event}, aws.Options{})
	if err != nil {
		return sinks.Response{}, sinks.Permanent(err)
	}
	response, err := s.call(ctx, a, d, payload.JSON)
	switch {
	case err != nil:
		return response, err
	case s.replies:
		return s.reply(response, d)
	case !bytes.Contains(response.Body, []byte("batchItemFailures")):
		return response, nil
	}
	failed, err := aws.Failed(response.Body, payload)
	if err != nil {
		return response, answerError(err)
	}
	if failed[0] {
		return response, errReported
	}
	return response, nil
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

var errReported = errors.New("the function has reported it as failed (batchItemFailures)")

// answerError is what becomes of an answer that may hide a failure.
func answerError(err error) error {
	return fmt.Errorf("which deliveries have failed cannot be told: %w", err)
}

// reply makes events of the answer.
func (s *sink) reply(response sinks.Response, d *sinks.Delivery) (sinks.Response, error) {
	header, body := http.Header{"Content-Type": {contentType(response.Body, response.ContentType)}}, response.Body
	if string(body) == "null" {
		return response, nil
	}
	replies, err := sinks.DecodeReply(header, body)
	if err == nil {
		err = sinks.CompleteReplies(d, s.name, s.maxHops, replies)
	}
	if err != nil {
		return response, sinks.Permanent(fmt.Errorf("the answer cannot be published: %w", err))
	}
	if len(replies) > 0 {
		response.Replies = map[int][]event.Event{0: replies}
	}
	return response, nil
}

// contentType says what an answer is: a function cannot set the type of a
// CloudEvent, or of several, and so they are known by the attribute that each
// must have.
func contentType(body []byte, given string) string {
	type probe struct {
		Version string `json:"specversion"`
	}
	var one probe
	if json.Unmarshal(body, &one) == nil && one.Version != "" {
		return event.MediaTypeJSON
	}
	var several []probe
	if json.Unmarshal(body, &several) == nil && len(several) > 0 && several[0].Version != "" {
		return event.MediaTypeBatchJSON
	}
	return given
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
	custom := map[string]string{"sluice-trigger": a.Trigger, "sluice-delivery": d.ID, "sluice-attempt": strconv.Itoa(d.Attempt)}
	if a.Batch {
		delete(custom, "sluice-delivery")
		delete(custom, "sluice-attempt")
	}
	text, _ := json.Marshal(map[string]any{"custom": custom}) //nolint:errchkjson // maps of texts
	return string(text)
}

// traceID returns the trace of an event in X-Ray's form, or an empty text.
func traceID(e *event.Event) string {
	if e.Type == aws.TypeInvocation {
		return e.Extension(AttributeTraceID)
	}
	parts := strings.Split(e.Extension("traceparent"), "-")
	if len(parts) < 4 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		return ""
	}
	sampled := 0
	if flags, err := strconv.ParseUint(parts[3], 16, 8); err == nil && flags&1 == 1 {
		sampled = 1
	}
	return fmt.Sprintf("Root=1-%s-%s;Parent=%s;Sampled=%d", parts[1][:8], parts[1][8:], parts[2], sampled)
}

// deliverBatch makes one invocation for all deliveries, or several where their
// shapes do not go together or are too large for one.
func (s *sink) deliverBatch(ctx context.Context, a *sinks.Attempt) (sinks.Response, error) {
	events := make([]*event.Event, len(a.Deliveries))
	for i := range a.Deliveries {
		events[i] = a.Deliveries[i].Event
	}
	parts := aws.Parts(s.shape, events, aws.Options{Batch: true})
	responses, errs := make([]sinks.Response, len(parts)), make([]map[int]error, len(parts))
	var all sync.WaitGroup
	for n := range parts {
		all.Go(func() { responses[n], errs[n] = s.deliverPart(ctx, a, &parts[n]) })
	}
	all.Wait()
	failed := map[int]error{}
	for n := range parts {
		maps.Copy(failed, errs[n])
	}
	if len(failed) > 0 {
		return responses[0], &sinks.PartialError{Failed: failed}
	}
	return responses[0], nil
}

// deliverPart makes one invocation, and says which deliveries have failed.
func (s *sink) deliverPart(ctx context.Context, a *sinks.Attempt, part *aws.Part) (sinks.Response, map[int]error) {
	every := func(err error) map[int]error {
		errs := make(map[int]error, len(part.Indexes))
		for _, i := range part.Indexes {
			errs[i] = err
		}
		return errs
	}
	if part.Err != nil {
		return sinks.Response{}, every(sinks.Permanent(part.Err))
	}
	response, err := s.call(ctx, a, &a.Deliveries[part.Indexes[0]], part.Payload.JSON)
	if err != nil {
		return response, every(err)
	}
	reported, err := aws.Failed(response.Body, part.Payload)
	if err != nil {
		return response, every(answerError(err))
	}
	errs := map[int]error{}
	for n := range reported {
		errs[part.Indexes[n]] = errReported
	}
	return response, errs
}
