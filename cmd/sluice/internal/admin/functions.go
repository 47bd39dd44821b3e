package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"sluice/functions"
	"sluice/functions/logs"
)

const (
	// maxPayload is the largest payload of an invocation, as with the service.
	maxPayload = 6 << 20
	// invokeWait is how long an invocation waits for room.
	invokeWait = 5 * time.Second
)

// Functions are what the API shows and calls.
type Functions interface {
	// ListFunctions returns all functions, in the order of the file.
	ListFunctions() []Function
	// Invoke calls a function that sluice runs. Its errors are those of
	// functions.Pool.
	Invoke(ctx context.Context, name string, in functions.Invocation) (functions.Result, error)
}

func (s *Server) functions(http.ResponseWriter, *http.Request) (any, error) {
	return struct {
		Functions []Function `json:"functions"`
	}{s.options.Functions.ListFunctions()}, nil
}

// function returns a function that sluice runs, by the name in the path.
func (s *Server) function(r *http.Request) (*Function, error) {
	name := r.PathValue("name")
	all := s.options.Functions.ListFunctions()
	names := make([]string, 0, len(all))
	for i := range all {
		switch {
		case all[i].Name != name:
			names = append(names, all[i].Name)
		case all[i].Runtime == "":
			return nil, refuse(http.StatusBadRequest, "the function %q is a sink of the kind %s: sluice runs no worker of it", name, all[i].Kind)
		default:
			return &all[i], nil
		}
	}
	return nil, refuse(http.StatusNotFound, "%s", UnknownName("function", name, names))
}

// invoke calls a function with the body of the request, at once. It is canceled
// when the caller goes.
func (s *Server) invoke(w http.ResponseWriter, r *http.Request) (any, error) {
	f, err := s.function(r)
	if err != nil {
		return nil, err
	}
	if err := s.bodies.Acquire(r.Context(), maxPayload); err != nil {
		return nil, err
	}
	defer s.bodies.Release(maxPayload)
	payload, err := readPayload(w, r)
	if err != nil {
		return nil, err
	}
	in := functions.Invocation{RequestID: uuid.NewString(), Payload: payload, MaxWait: invokeWait}
	result, err := s.options.Functions.Invoke(r.Context(), f.Name, in)
	return invoked(&in, &result, err)
}

// readPayload reads JSON; nothing is an empty object.
func readPayload(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	defer liftDeadline(w)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxPayload))
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return nil, refuse(http.StatusRequestEntityTooLarge, "the payload is too large: at most %d bytes", maxPayload)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "the payload could not be read: %s", err)
	}
	if len(body) == 0 {
		return []byte("{}"), nil
	}
	if !json.Valid(body) {
		return nil, refuse(http.StatusBadRequest, "the payload is no JSON")
	}
	return body, nil
}

// invoked says what has become of an invocation, an error of the function among
// it.
func invoked(in *functions.Invocation, result *functions.Result, err error) (*Invoked, error) {
	answer := &Invoked{RequestID: in.RequestID, Outcome: string(functions.OutcomeSuccess), Log: string(result.LogTail), Payload: payloadOf(result.Payload)}
	answer.DurationMS, answer.BilledMS = milliseconds(result.Report.Duration), milliseconds(result.Report.Billed)
	answer.InitMS, answer.MaxMemory = milliseconds(result.Report.Init), result.Report.MaxMemory
	if err == nil {
		return answer, nil
	}
	if own, ok := errors.AsType[*functions.FunctionError](err); ok {
		answer.Outcome, answer.Payload = string(own.Outcome), payloadOf(own.Payload)
		return answer, nil
	}
	if start, ok := errors.AsType[*functions.StartError](err); ok {
		return nil, refuse(http.StatusBadGateway, "%s", start)
	}
	if errors.Is(err, functions.ErrThrottled) {
		return nil, refuse(http.StatusTooManyRequests, "%s: try again", err)
	}
	return nil, err
}

// payloadOf returns an answer as JSON; text that is none as a string.
func payloadOf(answer []byte) json.RawMessage {
	if json.Valid(answer) {
		return answer
	}
	text, _ := json.Marshal(string(answer)) // a string can be written
	return text
}

// usage answers with what functions have used, by day.
func (s *Server) usage(_ http.ResponseWriter, r *http.Request) (any, error) {
	if err := known(r, "since", "until"); err != nil {
		return nil, err
	}
	since, until, err := s.between(r, 30*24*time.Hour)
	if err != nil {
		return nil, err
	}
	days, err := s.options.Logs.Usage(since, until)
	if err != nil {
		return nil, err
	}
	return struct {
		Days []logs.Day `json:"days"`
	}{days}, nil
}

// between reads since and until; without them it is the past, and now.
func (s *Server) between(r *http.Request, past time.Duration) (since, until time.Time, err error) {
	until = s.options.Now()
	since = until.Add(-past)
	for name, into := range map[string]*time.Time{"since": &since, "until": &until} {
		text := r.URL.Query().Get(name)
		if text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return since, until, refuse(http.StatusBadRequest, "%s %.100q: write a time as 2026-03-29T02:30:00Z", name, text)
		}
		*into = at
	}
	return since, until, nil
}
