package aws

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sluice/event"
)

// The types of the events that tell the result of a function. A function that
// is given one gets the record as it stands, whatever its shape.
const (
	TypeSuccess = "sluice.function.success"
	TypeFailure = "sluice.function.failure"
)

// TypeInvocation is the type of an event that is the payload of an asynchronous
// invocation. A function is given its data as it stands.
const TypeInvocation = "sluice.invocation"

// The conditions of a record.
const (
	ConditionSuccess   = "Success"
	ConditionExhausted = "RetriesExhausted" // also when another attempt would fail alike
	ConditionExpired   = "EventAgeExceeded"
)

// A RecordInput is what is known of an invocation that has ended for good.
type RecordInput struct {
	Function  string // the name
	ARN       string // of the function, without a version
	RequestID string
	// Condition is one of the constants above.
	Condition string
	Time      time.Time // when it ended
	Attempts  int
	// Request is the payload that the function was given, Response its answer or
	// its error, both JSON; empty for none.
	Request, Response []byte
	// Status is the code by which the service would have answered: 200 also for
	// a function's error. With 0, for an invocation that never began, there is
	// no responseContext.
	Status int
	// FunctionError is "Unhandled" or "Handled" for a function's error, else
	// empty.
	FunctionError string
	// Limit is the most that the event may have in bytes, as event.Size counts
	// them; 0: event.DefaultMaxSize.
	Limit int
}

// record is the data of the event.
type record struct {
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Invocations int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError,omitempty"`
}

// executedVersion is the only version that a function has.
const executedVersion = "$LATEST"

// Record makes the event that tells the result of an invocation: the service's
// record of a destination, version 1.0. Its id follows from the request id and
// the condition.
//
// Payloads that do not fit within the limit are left out: first the longer one,
// then the other. In its place stands an object whose member tooLarge has the
// number of bytes, and the extension toolarge names what is missing. Record
// returns an error when a payload is not JSON or the names break CloudEvents.
func Record(in RecordInput) (event.Event, error) {
	r, err := in.record()
	if err != nil {
		return event.Event{}, err
	}
	e := event.Event{
		ID:              in.RequestID + "/" + strings.ToLower(in.Condition),
		Source:          "/functions/" + url.PathEscape(in.Function),
		Type:            TypeFailure,
		Subject:         in.Function,
		Time:            in.Time.UTC(),
		DataContentType: "application/json",
	}
	if in.Condition == ConditionSuccess {
		e.Type = TypeSuccess
	}
	if err := in.fit(&e, r); err != nil {
		return event.Event{}, err
	}
	return e, e.Validate()
}

func (in *RecordInput) record() (*record, error) {
	r := &record{
		Version: "1.0", Timestamp: in.Time.UTC().Format(layoutMillis),
		RequestContext: requestContext{in.RequestID, in.ARN + ":" + executedVersion, in.Condition, in.Attempts},
		RequestPayload: json.RawMessage("null"),
	}
	if in.Status != 0 {
		r.ResponseContext = &responseContext{in.Status, executedVersion, in.FunctionError}
	}
	for _, payload := range []struct {
		name string
		text []byte
		to   *json.RawMessage
	}{{"request", in.Request, &r.RequestPayload}, {"response", in.Response, &r.ResponsePayload}} {
		if len(payload.text) == 0 {
			continue
		}
		if !json.Valid(payload.text) {
			return nil, fmt.Errorf("the %s payload of the invocation %s is not JSON", payload.name, in.RequestID)
		}
		*payload.to = payload.text
	}
	return r, nil
}

// fit sets the data, without what is too large.
func (in *RecordInput) fit(e *event.Event, r *record) error {
	limit := in.Limit
	if limit == 0 {
		limit = event.DefaultMaxSize
	}
	var missing []string
	for {
		data, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("encode the record: %w", err)
		}
		e.Data = data
		if err := event.CheckSize(e, limit); err == nil || !errors.Is(err, event.ErrTooLarge) || len(missing) == 2 {
			return err
		}
		missing = append(missing, r.omitLonger())
		if err := e.SetExtension("toolarge", strings.Join(missing, " ")); err != nil {
			return err
		}
	}
}

// omitLonger puts a note in the place of the longer payload, and returns its
// name.
func (r *record) omitLonger() string {
	name, longer := "requestPayload", &r.RequestPayload
	if len(r.ResponsePayload) > len(r.RequestPayload) {
		name, longer = "responsePayload", &r.ResponsePayload
	}
	*longer = json.RawMessage(`{"tooLarge":` + strconv.Itoa(len(*longer)) + `}`)
	return name
}
