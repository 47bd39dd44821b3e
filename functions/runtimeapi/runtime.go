package runtimeapi

import (
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"runtime"
	"strconv"
)

// Header names, in Go's canonical form. The service's own differ in case only.
const (
	headerRequestID     = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline      = "Lambda-Runtime-Deadline-Ms"
	headerARN           = "Lambda-Runtime-Invoked-Function-Arn"
	headerTraceID       = "Lambda-Runtime-Trace-Id"
	headerClientContext = "Lambda-Runtime-Client-Context"
	headerInvocationID  = "Lambda-Runtime-Invocation-Id"
	headerErrorType     = "Lambda-Runtime-Function-Error-Type"
	headerErrorBody     = "Lambda-Runtime-Function-Error-Body"
	headerResponseMode  = "Lambda-Runtime-Function-Response-Mode"
)

// serveNext waits for an invocation and hands it out. One that could not be written goes back.
func (s *Server) serveNext(w http.ResponseWriter, r *http.Request) {
	drain(r) // while there is a body, the end of the client is not seen
	again, refused := s.ask()
	if refused != nil {
		s.send(w, *refused)
		return
	}
	if again != nil {
		_ = s.write(w, again) // it was written once; whether it arrives now changes nothing
		return
	}
	for {
		select {
		case c := <-s.work:
			if !s.take(c) {
				continue
			}
			if !deliver(r, func() error { return s.write(w, c) }) {
				s.giveBack(c)
			}
			return
		case <-r.Context().Done():
			return
		case <-s.closed:
			gone(w)
			return
		}
	}
}

// ask is the transition of the runtime to ready. With one invocation at once, asking before it is answered yields the same one
// again, as in the service.
func (s *Server) ask() (again *call, refused *reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == initFailed {
		return nil, notReady("InitError")
	}
	if s.state == started {
		s.state = ready
		close(s.initialized)
	}
	under := 0
	for _, c := range s.calls {
		switch c.state {
		case taken:
			again = c
			under++
		case answering:
			under++
		case waiting, finished:
		}
	}
	switch {
	case under < s.options.MaxConcurrency:
		return nil, nil
	case s.options.MaxConcurrency > 1:
		return nil, notReady("Running")
	case again == nil:
		return nil, notReady("InvocationResponse")
	}
	return again, nil
}

func notReady(from string) *reply {
	p := invalidTransition("InvalidStateTransition", from, "Ready", "runtime")
	return &p
}

// deliver writes what a client has waited for, and reports whether it may have got it.
func deliver(r *http.Request, write func() error) bool {
	conn, _ := r.Context().Value(peer{}).(net.Conn)
	return r.Context().Err() == nil && !left(conn) && write() == nil && !unread(conn)
}

// write sends an invocation to the client, as far as the kernel takes it.
func (s *Server) write(w http.ResponseWriter, c *call) error {
	h := w.Header()
	h["Content-Type"] = []string{jsonType}
	h["Content-Length"] = []string{strconv.Itoa(len(c.Payload))}
	h[headerRequestID] = []string{c.RequestID}
	h[headerInvocationID] = []string{c.try}
	h[headerDeadline] = []string{strconv.FormatInt(c.Deadline.UnixMilli(), 10)}
	setUnlessEmpty(h, headerARN, s.options.ARN)
	setUnlessEmpty(h, headerTraceID, c.TraceID)
	setUnlessEmpty(h, headerClientContext, c.ClientContext)
	w.WriteHeader(http.StatusOK)
	if _, err := w.Write(c.Payload); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

func setUnlessEmpty(h http.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

// serveResponse takes the result of an invocation.
func (s *Server) serveResponse(w http.ResponseWriter, r *http.Request, id string) {
	c := s.claim(id, r.Header.Get(headerInvocationID))
	if c == nil {
		s.refuse(w, r, invalidRequestID())
		return
	}
	mode := r.Header.Get(headerResponseMode)
	if mode != "" && mode != "streaming" {
		s.settle(c, outcome{err: &Error{Type: "Runtime.InvalidResponseModeHeader"}})
		s.refuse(w, r, invalidResponseMode())
		return
	}
	body, err := s.read(r)
	o := outcome{answer: &Answer{Payload: body, ContentType: r.Header.Get("Content-Type"), Streaming: mode != ""}, err: err}
	if err == nil {
		o.err = trailerError(r.Trailer)
	}
	if o.err != nil {
		o.answer = nil
	}
	s.finish(w, r, c, o, err)
}

// serveError takes the failure of an invocation.
func (s *Server) serveError(w http.ResponseWriter, r *http.Request, id string) {
	c := s.claim(id, r.Header.Get(headerInvocationID))
	if c == nil {
		s.refuse(w, r, invalidRequestID())
		return
	}
	body, err := s.read(r)
	o := outcome{err: err}
	if err == nil {
		o.err = reported(r.Header, body)
	}
	s.finish(w, r, c, o, err)
}

// finish settles a call and answers the client; failed is why its body could not be taken.
func (s *Server) finish(w http.ResponseWriter, r *http.Request, c *call, o outcome, failed error) {
	settled := s.settle(c, o)
	// The caller of Invoke goes on first. Writing to the client wakes its process, on this processor maybe.
	runtime.Gosched()
	switch {
	case errors.Is(failed, ErrTooLarge):
		s.refuse(w, r, tooLarge(s.options.MaxResponse))
	case failed != nil:
		s.send(w, truncated())
	case !settled:
		s.send(w, invalidRequestID())
	default:
		s.send(w, accepted())
	}
}

// trailerError is the failure that a client reports behind a response that has begun.
func trailerError(trailer http.Header) error {
	errorType := trailer.Get(headerErrorType)
	if errorType == "" {
		return nil
	}
	body, err := base64.StdEncoding.DecodeString(trailer.Get(headerErrorBody))
	if err != nil {
		body = nil // the type is what counts
	}
	return parseError(errorType, body)
}

// serveInitError takes the failure of the initialization.
func (s *Server) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := s.read(r)
	switch {
	case errors.Is(err, ErrTooLarge):
		s.refuse(w, r, tooLarge(s.options.MaxResponse))
		return
	case err != nil:
		s.send(w, truncated())
		return
	}
	if from := s.failInit(reported(r.Header, body)); from != "" {
		s.send(w, invalidTransition("InvalidStateTransition", from, "InitError", "runtime"))
		return
	}
	s.send(w, accepted())
}

// failInit is the transition to a failed initialization; else it returns the state that does not allow it.
func (s *Server) failInit(e *Error) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.state {
	case ready:
		return "Ready"
	case initFailed:
		return "InitError"
	case started:
		s.state = initFailed
		s.initError <- e
	}
	return ""
}
