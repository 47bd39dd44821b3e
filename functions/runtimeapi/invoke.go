package runtimeapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The errors of Invoke that are not of the function's making.
var (
	// ErrNotBegun: no worker has got the invocation; it may be given to another without harm. It wraps why.
	ErrNotBegun = errors.New("runtimeapi: the invocation was not begun")
	// ErrClosed: the server was closed, because the worker has gone or has to go.
	ErrClosed = errors.New("runtimeapi: the worker is gone")
	// ErrBusy: there are MaxConcurrency invocations, or the same one, under way.
	ErrBusy = errors.New("runtimeapi: the worker is busy")
	// ErrTooLarge: the response has more than MaxResponse bytes. The error itself is a *TooLargeError.
	ErrTooLarge = errors.New("runtimeapi: the response is too large")
)

// A TooLargeError is an ErrTooLarge in the service's words.
type TooLargeError struct {
	Max int64 // bytes
}

// Error is the service's errorMessage.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", e.Max)
}

// Is says that it is an ErrTooLarge.
func (e *TooLargeError) Is(target error) bool { return target == ErrTooLarge }

// An Error is what a function has reported: of an invocation, or of its initialization.
type Error struct {
	Type       string          // errorType of the payload, else the header's, for example "Runtime.ImportModuleError"
	Message    string          // errorMessage of the payload
	Payload    []byte          // as it was sent, mostly JSON; may be empty
	StackTrace json.RawMessage // of the payload, whose form differs from runtime to runtime; may be empty
}

func (e *Error) Error() string {
	if e.Message == "" {
		return e.Type
	}
	return e.Type + ": " + e.Message
}

// An Invocation is one call of the function.
type Invocation struct {
	RequestID     string
	Deadline      time.Time // told to the client; the context of Invoke is what ends the call
	TraceID       string    // in X-Ray's form; left out when empty
	ClientContext string    // JSON; left out when empty
	Payload       []byte    // JSON
}

// An Answer is what the function has returned.
type Answer struct {
	Payload     []byte // with the prelude of an HTTP response, if ContentType says that it has one
	ContentType string // as the client has sent it
	Streaming   bool   // it was sent as a stream
}

// A call is an Invocation on its way.
type call struct {
	Invocation
	try   string // differs from call to call, where request ids repeat
	state callState
	back  chan struct{} // it could not be written
	done  chan outcome
}

type callState int

const (
	waiting   callState = iota // for a next
	taken                      // by the worker
	answering                  // its response or error is being read
	finished
)

type outcome struct {
	answer *Answer
	err    error
}

// Invoke gives an invocation to the worker and waits for its response or error, not for the worker to ask for more.
// Errors: *Error for what the function has reported, ErrTooLarge, ErrClosed, ErrBusy, or that of ctx. They are wrapped in
// ErrNotBegun when the worker did not get it. After any other error of ctx the worker may still be at it.
func (s *Server) Invoke(ctx context.Context, in Invocation) (*Answer, error) {
	c := &call{Invocation: in, try: uuid.NewString(), back: make(chan struct{}, 1), done: make(chan outcome, 1)}
	if err := s.enter(c); err != nil {
		return nil, err
	}
	defer s.leave(c)
	for {
		select {
		case s.work <- c:
		case <-ctx.Done():
			return nil, notBegun(ctx.Err())
		case <-s.closed:
			return nil, notBegun(ErrClosed)
		}
		select {
		case o := <-c.done:
			return o.answer, o.err
		case <-c.back:
		case <-ctx.Done():
			return s.abandon(c, ctx.Err())
		case <-s.closed:
			return s.abandon(c, ErrClosed)
		}
	}
}

func notBegun(err error) error { return fmt.Errorf("%w: %w", ErrNotBegun, err) }

func (s *Server) enter(c *call) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.RequestID] != nil || len(s.calls) >= s.options.MaxConcurrency {
		return notBegun(ErrBusy)
	}
	s.calls[c.RequestID] = c
	return nil
}

func (s *Server) leave(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.state = finished
	delete(s.calls, c.RequestID)
}

// abandon ends a call for a reason of the caller's, unless its outcome has come at the same time.
func (s *Server) abandon(c *call, why error) (*Answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case o := <-c.done:
		return o.answer, o.err
	default:
	}
	if c.state == waiting {
		return nil, notBegun(why)
	}
	c.state = finished
	return nil, why
}

// take marks a call as the worker's, unless its caller has given up.
func (s *Server) take(c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.state != waiting {
		return false
	}
	c.state = taken
	s.announce(c)
	return true
}

// giveBack lets a call that could not be written wait for another next.
func (s *Server) giveBack(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.state == taken {
		c.state = waiting
		c.back <- struct{}{}
	}
}

// claim gives the call with this id to the first who answers it.
func (s *Server) claim(id, try string) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[id]
	if c == nil || c.state != taken || (try != "" && try != c.try) {
		return nil
	}
	c.state = answering
	return c
}

// settle ends a claimed call. It is false when its caller has given up.
func (s *Server) settle(c *call, o outcome) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.state != answering {
		return false
	}
	c.state = finished
	c.done <- o
	return true
}
