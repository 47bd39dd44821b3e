package aws

import (
	"fmt"
	"strconv"

	"sluice/event"
)

// A TooLargeError is a payload over the limit. A batch may fit in parts: see
// [Parts].
type TooLargeError struct {
	Size, Max int // in bytes
	Events    int
}

func (e *TooLargeError) Error() string {
	what := "the event makes"
	if e.Events > 1 {
		what = strconv.Itoa(e.Events) + " events make"
	}
	return fmt.Sprintf("%s a payload of %d bytes, and a function takes at most %d", what, e.Size, e.Max)
}

// A MixedError is a batch of events whose shapes do not fit into one payload.
// They do in parts: see [Parts].
type MixedError struct {
	// Types are those of two events that do not go together.
	Types [2]string
}

func (e *MixedError) Error() string {
	return fmt.Sprintf("events of the types %q and %q do not go into one payload", e.Types[0], e.Types[1])
}

// An EventError is an event that does not have what its type demands.
type EventError struct {
	Index    int // in the batch
	ID, Type string
	// Err says what was found and what would be right.
	Err error
}

func (e *EventError) Error() string {
	return fmt.Sprintf("the event %q of type %q cannot be given to a function in AWS's shape: %v", e.ID, e.Type, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }

func eventError(index int, e *event.Event, err error) error {
	return &EventError{Index: index, ID: e.ID, Type: e.Type, Err: err}
}

// An AnswerError is an answer that is no valid partial batch response. The
// whole batch has failed.
type AnswerError struct{ Reason string }

func (e *AnswerError) Error() string { return "the answer's " + e.Reason }

func answerError(format string, args ...any) error {
	return &AnswerError{Reason: fmt.Sprintf(format, args...)}
}
