package event

import (
	"errors"
	"fmt"
)

// The errors by which a log refuses events. They are matched with errors.Is.
var (
	// ErrUnavailable means that the log cannot store at the moment: it is away,
	// starting, or stopping. Try again later.
	ErrUnavailable = errors.New("the bus is not available")
	// ErrFull means that the log has no room, because everything that it holds
	// is still needed. Try again later.
	ErrFull = errors.New("the bus is full")
	// ErrTooLarge means that an event is over the log's limit.
	ErrTooLarge = errors.New("the event is too large")
	// ErrLost means that the data of an event that was kept apart is not there
	// any more, or is not what was stored.
	ErrLost = errors.New("the data of the event is lost")
	// ErrFenced means that somebody else has moved the cursor or holds the claim.
	ErrFenced = errors.New("fenced: another instance has taken over")
)

// An InvalidError is one thing wrong with one part of an event.
type InvalidError struct {
	// Name is the attribute, JSON member or header that is wrong; empty where
	// the whole is.
	Name string
	// Reason says what was found and what would be right. Text that came from
	// outside is quoted in it.
	Reason string
}

func (e *InvalidError) Error() string {
	if e.Name == "" {
		return e.Reason
	}
	return e.Name + ": " + e.Reason
}

func invalid(name, format string, args ...any) error {
	return &InvalidError{Name: name, Reason: fmt.Sprintf(format, args...)}
}

// A MediaTypeError is an encoding of events that sluice does not read.
type MediaTypeError struct {
	// ContentType is the content type as it was sent.
	ContentType string
}

func (e *MediaTypeError) Error() string {
	return fmt.Sprintf("content type %q is not read: send %s, %s, or binary mode with ce- headers",
		e.ContentType, MediaTypeJSON, MediaTypeBatchJSON)
}

// A NewerFormatError is a stored message that a newer sluice has written. It
// is to be left as it is.
type NewerFormatError struct{ Version int }

func (e *NewerFormatError) Error() string {
	return fmt.Sprintf("stored in format %d by a newer sluice; this one reads up to %d", e.Version, FormatLarge)
}
