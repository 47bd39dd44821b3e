package runtimeapi

import (
	"encoding/json"
	"net/http"
)

// causeType is of bodies that carry the cause for X-Ray beside the error.
const causeType = "application/vnd.aws.lambda.error.cause+json"

// reported reads what a client reports of a failure.
func reported(h http.Header, body []byte) *Error {
	if h.Get("Content-Type") == causeType {
		body = withoutCause(body)
	}
	return parseError(h.Get(headerErrorType), body)
}

// parseError reads a failure; errorType holds when the body names none. Any body is a failure.
func parseError(errorType string, body []byte) *Error {
	var fields struct {
		Type       string          `json:"errorType"`
		Message    string          `json:"errorMessage"`
		StackTrace json.RawMessage `json:"stackTrace"`
	}
	e := &Error{Type: errorType, Payload: body}
	if json.Unmarshal(body, &fields) == nil {
		e.Message, e.StackTrace = fields.Message, fields.StackTrace
		if fields.Type != "" {
			e.Type = fields.Type
		}
	}
	if e.Type == "" {
		e.Type = "Runtime.Unknown"
	}
	return e
}

// withoutCause is what the service makes of a body of causeType.
func withoutCause(body []byte) []byte {
	var fields struct {
		Message    string   `json:"errorMessage"`
		Type       string   `json:"errorType"`
		StackTrace []string `json:"stackTrace,omitempty"`
	}
	if json.Unmarshal(body, &fields) != nil {
		return []byte(`"Invalid error body"`)
	}
	filtered, err := json.Marshal(fields)
	if err != nil {
		return []byte(`"Invalid error body"`)
	}
	return filtered
}
