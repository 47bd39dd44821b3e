package runtimeapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

const (
	headerExtensionName      = "Lambda-Extension-Name"
	headerExtensionID        = "Lambda-Extension-Identifier"
	headerExtensionEventID   = "Lambda-Extension-Event-Identifier"
	headerExtensionFeature   = "Lambda-Extension-Accept-Feature"
	headerExtensionErrorType = "Lambda-Extension-Function-Error-Type"

	maxExtensions     = 10
	maxRegisterBytes  = 64 << 10
	maxExtensionsName = 256 // bytes
	// Invocations that an extension may fall behind by.
	maxEvents = 64
)

// An extension is something in the worker process that wants to know of its life. With its first one the worker is sent SIGTERM
// before it is killed.
type extension struct {
	id, name  string
	subscribe []string
	state     string // in the service's words
	events    chan extensionEvent
}

type extensionEvent struct {
	body []byte
	sent chan struct{} // closed when the extension has got it
}

// Extensions are the names of the registered extensions, in their order.
func (s *Server) Extensions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, e := range s.extensions {
		names = append(names, e.name)
	}
	return names
}

// Shutdown tells the extensions that want to know why and by when the worker has to end. It returns when they have got it, or with
// the error of ctx. The service's reasons are spindown, timeout and failure.
func (s *Server) Shutdown(ctx context.Context, reason string, deadline time.Time) error {
	body, err := json.Marshal(struct {
		Type     string `json:"eventType"`
		Deadline int64  `json:"deadlineMs"`
		Reason   string `json:"shutdownReason"`
	}{"SHUTDOWN", deadline.UnixMilli(), reason})
	if err != nil {
		return err
	}
	for _, sent := range s.publish("SHUTDOWN", body) {
		select {
		case <-sent:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.closed:
			return ErrClosed
		}
	}
	return nil
}

// publish queues an event for those that want it and have not failed.
func (s *Server) publish(kind string, body []byte) (sent []<-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.extensions {
		if slices.Contains(e.subscribe, kind) && e.state != "InitError" && e.state != "ExitError" {
			done := make(chan struct{})
			sent = append(sent, done)
			s.queue(e, extensionEvent{body, done})
		}
	}
	return sent
}

// announce tells the extensions that want to know of an invocation. The caller holds mu.
func (s *Server) announce(c *call) {
	for _, e := range s.extensions {
		if slices.Contains(e.subscribe, "INVOKE") {
			s.queue(e, extensionEvent{s.invokeEvent(c), make(chan struct{})})
		}
	}
}

func (s *Server) queue(e *extension, event extensionEvent) {
	select {
	case e.events <- event:
	default:
		s.options.Logger.Warn("an extension asks for no events, so that one is lost", slog.String("extension", e.name))
	}
}

func (s *Server) invokeEvent(c *call) []byte {
	type tracing struct {
		Type  string `json:"type"`
		Value string `json:"value"`
	}
	event := struct {
		Type      string   `json:"eventType"`
		Deadline  int64    `json:"deadlineMs"`
		RequestID string   `json:"requestId"`
		ARN       string   `json:"invokedFunctionArn"`
		Tracing   *tracing `json:"tracing,omitempty"`
	}{"INVOKE", c.Deadline.UnixMilli(), c.RequestID, s.options.ARN, nil}
	if c.TraceID != "" {
		event.Tracing = &tracing{"X-Amzn-Trace-Id", c.TraceID}
	}
	body, err := json.Marshal(event)
	if err != nil {
		return nil
	}
	return body
}

// serveRegister takes a new extension, up to the first next of the runtime.
func (s *Server) serveRegister(w http.ResponseWriter, r *http.Request) {
	name := r.Header.Get(headerExtensionName)
	if name == "" || len(name) > maxExtensionsName {
		s.refuse(w, r, refusal(http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name"))
		return
	}
	events, err := readEvents(r.Body)
	if err != nil {
		s.refuse(w, r, refusal(http.StatusForbidden, "InvalidRequestFormat", err.Error()))
		return
	}
	for _, e := range events {
		if e != "INVOKE" && e != "SHUTDOWN" {
			s.refuse(w, r, refusal(http.StatusForbidden, "Extension.InvalidEventType", e+": ErrorInvalidEventType"))
			return
		}
	}
	e := &extension{uuid.NewString(), name, events, "Registered", make(chan extensionEvent, maxEvents)}
	if refused := s.register(e); refused != nil {
		s.refuse(w, r, *refused)
		return
	}
	w.Header().Set(headerExtensionID, e.id)
	s.send(w, s.registered(r.Header.Get(headerExtensionFeature)))
}

func readEvents(body io.Reader) ([]string, error) {
	var request struct {
		Events []string `json:"events"`
	}
	data, err := io.ReadAll(io.LimitReader(body, maxRegisterBytes))
	if err != nil {
		return nil, err
	}
	return request.Events, json.Unmarshal(data, &request)
}

func (s *Server) register(e *extension) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	var refused reply
	switch {
	case s.state != started:
		refused = refusal(http.StatusForbidden, "Extension.RegistrationClosed", "Extension registration closed already")
	case len(s.extensions) >= maxExtensions:
		refused = refusal(http.StatusForbidden, "Extension.TooManyExtensions", fmt.Sprintf("Extension limit (%d) reached", maxExtensions))
	case slices.ContainsFunc(s.extensions, func(o *extension) bool { return o.name == e.name }):
		refused = refusal(http.StatusForbidden, "Extension.InvalidExtensionState", "Extension with this name already registered")
	default:
		s.extensions = append(s.extensions, e)
		return nil
	}
	return &refused
}

// registered is the answer to a new extension, with the account if it asks for that.
func (s *Server) registered(features string) reply {
	answer := struct {
		Account string `json:"accountId,omitempty"`
		Name    string `json:"functionName"`
		Version string `json:"functionVersion"`
		Handler string `json:"handler"`
	}{Version: "$LATEST", Handler: s.options.Handler}
	if parts := strings.Split(s.options.ARN, ":"); len(parts) > 6 { // arn:aws:lambda:REGION:ACCOUNT:function:NAME
		answer.Name = parts[6]
		if strings.Contains(features, "accountId") {
			answer.Account = parts[4]
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		return reply{http.StatusInternalServerError, nil}
	}
	return reply{http.StatusOK, append(body, '\n')}
}

// find returns the extension that a request comes from, or why there is none.
func (s *Server) find(r *http.Request) (*extension, *reply) {
	var refused reply
	switch id, err := uuid.Parse(r.Header.Get(headerExtensionID)); {
	case r.Header.Get(headerExtensionID) == "":
		refused = refusal(http.StatusForbidden, "Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
	case err != nil:
		refused = refusal(http.StatusForbidden, "Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
	default:
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, e := range s.extensions {
			if e.id == id.String() {
				return e, nil
			}
		}
		refused = refusal(http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension "+id.String())
	}
	return nil, &refused
}

// move changes the state of an extension, if it is in one of from; a failed one stays so, and may say it again.
func (s *Server) move(e *extension, to string, from ...string) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Contains(from, e.state) {
		refused := invalidTransition("Extension.InvalidExtensionState", e.state, to, "extension "+e.id)
		return &refused
	}
	e.state = to
	return nil
}

// serveEvent waits for an event. For an extension that wants none it waits until the end.
func (s *Server) serveEvent(w http.ResponseWriter, r *http.Request) {
	drain(r)
	e, refused := s.find(r)
	if refused == nil {
		refused = s.move(e, "Ready", "Registered", "Running")
	}
	if refused != nil {
		s.send(w, *refused)
		return
	}
	defer s.move(e, "Running", "Ready") // last of all, after the event is back if it has to
	select {
	case event := <-e.events:
		w.Header().Set(headerExtensionEventID, uuid.NewString())
		if deliver(r, func() error { return s.sendEvent(w, event.body) }) {
			close(event.sent)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.queue(e, event)
	case <-r.Context().Done():
	case <-s.closed:
		gone(w)
	}
}

func (s *Server) sendEvent(w http.ResponseWriter, body []byte) error {
	s.send(w, reply{http.StatusOK, body})
	return http.NewResponseController(w).Flush()
}

// serveExtensionInitError takes the failure of an extension's start, which is one of the initialization.
func (s *Server) serveExtensionInitError(w http.ResponseWriter, r *http.Request) {
	errorType, ok := s.extensionFails(w, r, "InitError", "Registered", "InitError")
	if ok {
		s.failInit(&Error{Type: "Extension.InitError", Message: errorType}) // after the initialization it changes nothing
	}
}

// serveExtensionExitError takes the failure of an extension, which ends with its worker.
func (s *Server) serveExtensionExitError(w http.ResponseWriter, r *http.Request) {
	errorType, ok := s.extensionFails(w, r, "ExitError", "Registered", "Ready", "Running", "ExitError")
	if ok {
		s.failInit(&Error{Type: "Extension.ExitError", Message: errorType})
	}
}

func (s *Server) extensionFails(w http.ResponseWriter, r *http.Request, to string, from ...string) (errorType string, ok bool) {
	e, refused := s.find(r)
	errorType = r.Header.Get(headerExtensionErrorType)
	if refused == nil && errorType == "" {
		missing := refusal(http.StatusForbidden, "Extension.MissingHeader", headerExtensionErrorType+" not found")
		refused = &missing
	}
	if refused == nil {
		refused = s.move(e, to, from...)
	}
	if refused != nil {
		s.refuse(w, r, *refused)
		return "", false
	}
	s.options.Logger.Warn("an extension has failed", slog.String("extension", e.name), slog.String("error", errorType))
	s.refuse(w, r, accepted())
	return errorType, true
}
