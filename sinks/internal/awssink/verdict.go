package awssink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sluice/connect/awsconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// Verdict turns the error of a request into one that says what is to become of
// its deliveries.
func Verdict(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	refused, guarded := errors.AsType[*sinkhttp.RefusedError](err)
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer within the attempt's time: %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped before an answer came: %w", ctx.Err())
	case guarded:
		return sinks.Permanent(refused)
	case awsconn.Throttled(err):
		return &sinks.ThrottledError{Err: awsconn.Explain(err)}
	}
	return awsconn.Explain(err)
}

// TooLong tells whether a request was refused for its size.
func TooLong(err error) bool {
	code := awsconn.Code(err)
	if strings.HasSuffix(code, "BatchRequestTooLong") || strings.HasPrefix(code, "RequestTooLarge") || strings.HasPrefix(code, "RequestEntityTooLarge") {
		return true
	}
	explained, ok := errors.AsType[*awsconn.Error](awsconn.Explain(err))
	return ok && explained.Status == http.StatusRequestEntityTooLarge
}

// EntryError is the error of one entry of a request that the service has not
// taken, while it may have taken others. permanent are the codes of what it never
// takes.
func EntryError(code, message string, permanent ...string) error {
	err := fmt.Errorf("not taken: %s: %s", code, message)
	if slices.Contains(permanent, code) {
		return sinks.Permanent(err)
	}
	if awsconn.ThrottleCode(code) {
		return &sinks.ThrottledError{Err: err}
	}
	return err
}

// Status is that of HTTP that a service has answered with, for the record.
func Status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if explained, ok := errors.AsType[*awsconn.Error](err); ok {
		return explained.Status
	}
	return 0
}
