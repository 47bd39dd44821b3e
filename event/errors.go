package event

import "errors"

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
	// ErrFenced means that somebody else has moved the cursor or holds the claim.
	ErrFenced = errors.New("fenced: another instance has taken over")
)
