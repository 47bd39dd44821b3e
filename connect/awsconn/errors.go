package awsconn

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxMessage is how much of a service's own words an error quotes, in bytes.
const maxMessage = 512

// An Error says what a service has answered, in the same words whenever it answers
// the same: without the number of the request. It wraps what the client has
// returned.
type Error struct {
	// Operation is the service and what it was asked, such as "SQS SendMessage".
	Operation string
	// Code is the service's, such as AccessDenied; empty without an answer.
	Code string
	// Status is that of HTTP; 0 without an answer.
	Status int

	said string
	err  error
}

func (e *Error) Error() string { return e.Operation + ": " + e.said }

// Unwrap returns what the client has returned.
func (e *Error) Unwrap() error { return e.err }

// Explain returns an *Error for what a client of a service has returned, and
// anything else as it is, also what was explained before. The end of a context
// stays one by errors.Is.
func Explain(err error) error {
	if _, done := errors.AsType[*Error](err); done {
		return err
	}
	operation, ok := errors.AsType[*smithy.OperationError](err)
	if !ok {
		return err
	}
	e := &Error{Operation: operation.ServiceID + " " + operation.OperationName, Status: status(err), err: err}
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		e.Code, e.said = answer.ErrorCode(), answer.ErrorCode()+": "+cut(answer.ErrorMessage())
	} else {
		e.said = unanswered(operation.Err, e.Status)
	}
	if Denied(err) {
		e.said = "the credentials are not accepted, or do not allow it (access_key, or what the environment has): " + e.said
	}
	return e
}

// unanswered says why there is no answer of the service.
func unanswered(err error, status int) string {
	var refused *url.Error
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer in time: " + context.DeadlineExceeded.Error()
	case errors.As(err, &refused):
		return "no answer: " + cut(refused.Err.Error())
	case strings.Contains(err.Error(), "get credentials"):
		return "there are no credentials: write access_key and secret_key, or give some to the environment: " + cut(last(err).Error())
	case status != 0:
		return fmt.Sprintf("the answer is %d %s, in a form that is not the service's: %s", status, http.StatusText(status), cut(last(err).Error()))
	}
	return cut(err.Error())
}

// last returns the innermost error.
func last(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// cut returns the beginning of a foreign text, on one line.
func cut(text string) string {
	text = strings.Join(strings.Fields(strings.ToValidUTF8(text, "\uFFFD")), " ")
	if len(text) > maxMessage {
		return strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return text
}

// Code returns the service's code of an error, or "" when it has not answered.
func Code(err error) string {
	if answer, ok := errors.AsType[smithy.APIError](err); ok {
		return answer.ErrorCode()
	}
	return ""
}

// Throttled tells whether the service has refused for having been asked too often.
func Throttled(err error) bool {
	return ThrottleCode(Code(err)) || status(err) == http.StatusTooManyRequests
}

// ThrottleCode tells whether a service's code, of an answer or of one entry of it,
// says that it was asked too often.
func ThrottleCode(code string) bool {
	_, known := retry.DefaultThrottleErrorCodes[code]
	return known || strings.Contains(code, "Throttl")
}

func status(err error) int {
	if response, ok := errors.AsType[*smithyhttp.ResponseError](err); ok && response.Response != nil && response.Response.Response != nil {
		return response.HTTPStatusCode()
	}
	return 0
}

// Denied tells whether the service does not accept who sluice is, or what it is
// allowed to do.
func Denied(err error) bool {
	code := Code(err)
	if code == "" {
		return slices.Contains([]int{http.StatusUnauthorized, http.StatusForbidden}, status(err))
	}
	return slices.Contains([]string{
		"AccessDenied", "AccessDeniedException", "AuthFailure", "AuthorizationError", "ExpiredToken", "ExpiredTokenException",
		"IncompleteSignature", "IncompleteSignatureException", "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSecurity",
		"InvalidSignatureException", "KMS.AccessDeniedException", "KMSAccessDeniedException", "KmsAccessDenied", "MissingAuthenticationToken",
		"MissingAuthenticationTokenException", "NotAuthorized", "OptInRequired", "SignatureDoesNotMatch", "UnrecognizedClientException",
	}, code)
}
