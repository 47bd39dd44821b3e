package invokeapi

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// A failure is an answer that is an error of the API.
type failure struct {
	status  int
	kind    string // the name of the error, x-amzn-ErrorType
	message string
	reason  string // of a throttle
	after   string // Retry-After, in seconds
}

// write answers with a failure, as the service does.
func (f *failure) write(w http.ResponseWriter) {
	body := map[string]string{"Type": "User"}
	if f.status >= http.StatusInternalServerError {
		body["Type"] = "Service"
	}
	key := "message"
	if f.kind == "ResourceNotFoundException" || f.kind == "ServiceException" {
		key = "Message"
	}
	body[key] = f.message
	if f.reason != "" {
		body["Reason"] = f.reason
	}
	header := w.Header()
	if f.after != "" {
		header.Set("Retry-After", f.after)
	}
	header.Set("X-Amzn-ErrorType", f.kind)
	text, _ := json.Marshal(body) // strings can be written
	writeBody(w, f.status, text)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(body) // an error: the caller has gone
}

func unknownOperation(path string) *failure {
	return &failure{
		status: http.StatusNotFound, kind: "UnknownOperationException",
		message: fmt.Sprintf("%.200q is no operation that sluice knows: it is POST /2015-03-31/functions/NAME/invocations", path),
	}
}

func invalidName(name string) *failure {
	return &failure{
		status: http.StatusBadRequest, kind: "ValidationException",
		message: fmt.Sprintf("1 validation error detected: Value %.200q at 'functionName' failed to satisfy constraint: it is the name of a function, such as thumbnail, or an ARN of it, such as arn:aws:lambda:us-east-1:000000000000:function:thumbnail", name),
	}
}

func invalidParameter(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: "InvalidParameterValueException", message: fmt.Sprintf(format, args...)}
}

func invalidContent(format string, args ...any) *failure {
	return &failure{status: http.StatusBadRequest, kind: "InvalidRequestContentException", message: fmt.Sprintf(format, args...)}
}

func notFound(arn string) *failure {
	return &failure{status: http.StatusNotFound, kind: "ResourceNotFoundException", message: "Function not found: " + arn}
}

func tooLarge(limit int) *failure {
	return &failure{
		status: http.StatusRequestEntityTooLarge, kind: "RequestTooLargeException",
		message: fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", limit),
	}
}

func throttled() *failure {
	return &failure{
		status: http.StatusTooManyRequests, kind: "TooManyRequestsException", message: "Rate Exceeded.",
		reason: "ReservedFunctionConcurrentInvocationLimitExceeded", after: "1",
	}
}

func serviceFailed(message string) *failure {
	return &failure{status: http.StatusInternalServerError, kind: "ServiceException", message: message}
}

func forbidden(kind, format string, args ...any) *failure {
	return &failure{status: http.StatusForbidden, kind: kind, message: fmt.Sprintf(format, args...)}
}
