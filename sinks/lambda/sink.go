package lambda

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"

	"sluice/connect/awsconn"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
	"sluice/sinks/internal/invoke"
)

const (
	// maxEvent is the largest payload of an invocation that is made later, in bytes.
	maxEvent = 1 << 20
	// maxContext is the longest client context, in base64.
	maxContext = 3583
)

// A sink invokes one function.
type sink struct {
	config  Config
	session *awsconn.Session
	api     *lambda.Client
	caller  invoke.Caller
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	section := c.section()
	session, err := section.Session(env)
	if err != nil {
		return nil, err
	}
	s := &sink{config: *c, session: session, api: lambda.NewFromConfig(session.Config)}
	s.caller = invoke.Caller{Call: s.call, Shape: c.Shape, Replies: c.Replies(), Name: env.Name, MaxHops: c.MaxHops}
	if c.Invocation == Event {
		s.caller.MaxPayload = maxEvent
	}
	return s, nil
}

// Close closes the connections.
func (s *sink) Close() error {
	s.session.Close()
	return nil
}

// Deliver invokes the function for each delivery, or once for all of a batch.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	return s.caller.Deliver(ctx, a)
}

// call makes one invocation.
func (s *sink) call(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery, payload []byte) (sinks.Response, error) {
	in := &lambda.InvokeInput{FunctionName: &s.config.Function, Payload: payload, InvocationType: types.InvocationTypeRequestResponse}
	if s.config.Qualifier != "" {
		in.Qualifier = &s.config.Qualifier
	}
	if s.config.Invocation == Event {
		in.InvocationType = types.InvocationTypeEvent
	} else if text := base64.StdEncoding.EncodeToString([]byte(invoke.ClientContext(a, d))); len(text) <= maxContext {
		in.ClientContext = &text // functions that are invoked later have none
	}
	answer, err := s.api.Invoke(ctx, in)
	if err != nil {
		err = s.verdict(ctx, err)
		return sinks.Response{Status: awssink.Status(err)}, err
	}
	response := sinks.Response{Status: int(answer.StatusCode), Body: answer.Payload, ContentType: "application/json"}
	switch {
	case answer.FunctionError != nil:
		return response, failed(*answer.FunctionError, answer.Payload)
	case response.Status == http.StatusOK, response.Status == http.StatusAccepted:
		return response, nil
	}
	return response, fmt.Errorf("the service has answered %d", response.Status)
}

// verdict turns the error of a request into one that says what is to become of the
// delivery.
func (s *sink) verdict(ctx context.Context, err error) error {
	var throttled *types.TooManyRequestsException
	var missing *types.ResourceNotFoundException
	var invalid *types.InvalidRequestContentException
	switch {
	case errors.As(err, &throttled):
		after, _ := strconv.ParseFloat(aws.ToString(throttled.RetryAfterSeconds), 64)
		return &sinks.ThrottledError{Err: awsconn.Explain(err), After: time.Duration(min(max(after, 0), maxAfter.Seconds()) * float64(time.Second))}
	case errors.As(err, &missing):
		return fmt.Errorf("there is no function %q: create it, or mend function, qualifier and region: %w", s.config.Function, awsconn.Explain(err))
	case errors.As(err, &invalid), awssink.TooLong(err):
		return sinks.Permanent(awssink.Verdict(ctx, err))
	case strings.HasSuffix(awsconn.Code(err), "ThrottledException"): // EC2 and ENIs, while the function starts
		return &sinks.ThrottledError{Err: awsconn.Explain(err)}
	}
	return awssink.Verdict(ctx, err)
}

// maxAfter is the longest that the service may put an attempt off.
const maxAfter = time.Hour

// failed is the error of a function that has failed, without the number of the
// request, so that letters of the same error are one group.
func failed(kind string, payload []byte) error {
	var told struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(payload, &told); err != nil || told.Type+told.Message == "" {
		return fmt.Errorf("%s: %s", kind, sinks.Excerpt(payload))
	}
	if words, rest, found := strings.Cut(told.Message, " Error: "); found && strings.HasPrefix(words, "RequestId: ") {
		told.Message = rest
	}
	return fmt.Errorf("%s: %s: %s", kind, told.Type, sinks.Excerpt([]byte(told.Message)))
}
