// Package sinks defines where deliveries go: the interface that every sink
// implements, and the errors by which a sink says what is to become of an
// attempt.
package sinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"sluice/event"
	"sluice/event/transform"
	"sluice/functions"
)

// A Sink takes attempts. Deliver blocks until the sink has answered or ctx is
// done; it may be called by many goroutines at once.
//
// A nil error means that every delivery of the attempt is done. A plain error
// means: try again later. [PermanentError], [RetryAfterError], [ThrottledError],
// [GoneError] and [PartialError] say more. The response is recorded with either.
type Sink interface {
	Deliver(ctx context.Context, attempt Attempt) (Response, error)
}

// A Closer is a Sink that holds connections; Close is called once, after the
// last Deliver has returned.
type Closer interface{ Close() error }

// An Attempt is one try: of one delivery, or of several where the trigger
// asks for batches.
type Attempt struct {
	Trigger    string
	Claim      uint64 // rises with every run of the router: a fencing token
	Batch      bool   // the trigger asks for batches, whatever their size
	Deliveries []Delivery
}

// A Delivery is one event for one trigger.
type Delivery struct {
	// ID is the same on every attempt: incarnation.sequence.trigger. Workers
	// de-duplicate by it.
	ID string
	// Attempt is the number of this try, from 1.
	Attempt int
	Event   *event.Event
}

// A Response is what the sink answered, for the record.
type Response struct {
	// Status is the protocol's status code, such as 200 of HTTP; 0 for none.
	Status int
	// Body is the answer's body, as far as the sink's limit lets it be read.
	Body        []byte
	ContentType string
	// Replies are the events that the sink has answered deliveries with, by
	// their index in the attempt. They are published before the deliveries are
	// done (invariant I3).
	Replies map[int][]event.Event
}

// ErrClosed is what a delivery is told by a sink that was closed.
var ErrClosed = errors.New("the sink is closed")

// A PermanentError ends a delivery at once: another attempt would fail alike.
type PermanentError struct{ Err error }

// Permanent wraps err so that the delivery is not attempted again.
func Permanent(err error) error { return &PermanentError{Err: err} }

func (e *PermanentError) Error() string { return e.Err.Error() }
func (e *PermanentError) Unwrap() error { return e.Err }

// A RetryAfterError asks for the next attempt not before After has passed.
type RetryAfterError struct {
	Err   error
	After time.Duration
}

func (e *RetryAfterError) Error() string { return fmt.Sprintf("%v (retry after %v)", e.Err, e.After) }
func (e *RetryAfterError) Unwrap() error { return e.Err }

// A ThrottledError says that the sink has not begun to work on the attempt,
// because it has no room. It does not count as an attempt.
type ThrottledError struct {
	Err   error
	After time.Duration // 0: the trigger's own backoff
}

func (e *ThrottledError) Error() string { return e.Err.Error() }
func (e *ThrottledError) Unwrap() error { return e.Err }

// A GoneError says that nobody takes deliveries there any more. The trigger is
// paused until somebody resumes it; the delivery waits, and this was no attempt
// of it.
type GoneError struct{ Err error }

func (e *GoneError) Error() string { return e.Err.Error() }
func (e *GoneError) Unwrap() error { return e.Err }

// A PartialError says item by item what failed. Deliveries whose index is not
// among Failed are done.
type PartialError struct{ Failed map[int]error }

func (e *PartialError) Error() string {
	return fmt.Sprintf("%d deliveries of the batch failed", len(e.Failed))
}

// Unwrap returns the errors of the failed items, in no particular order.
func (e *PartialError) Unwrap() []error {
	all := make([]error, 0, len(e.Failed))
	for _, err := range e.Failed {
		all = append(all, err)
	}
	return all
}

// IsPermanent tells whether err ends the delivery.
func IsPermanent(err error) bool {
	var permanent *PermanentError
	return errors.As(err, &permanent)
}

// An Adapter is one kind of sink, as it is listed in the program's one list.
type Adapter struct {
	// Kind is the key in the file: "http".
	Kind string
	// Config returns a pointer to a configuration with the defaults filled in.
	Config func() Config
}

// A Config is the section of the file that one sink owns. Its fields carry
// yaml tags. Validate is called on the decoded section and returns all
// problems at once, joined, each made by config.Invalid.
type Config interface {
	Validate() error
	// Sink builds the sink. It opens no connection.
	Sink(env Env) (Sink, error)
}

// An Env is what the program gives to a sink.
type Env struct {
	Name   string // of the trigger or function that it serves
	Logger *slog.Logger
	// Egress is how far connections may go where the sink's own section does not
	// say: the policy of the whole installation, "any" or "public".
	Egress string
	// Turns are those in which templates are evaluated; nil for no bound.
	Turns *transform.Turns
	// Functions is what the functions share that sluice runs itself.
	Functions functions.Host
}
