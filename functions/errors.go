package functions

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors of Invoke.
var (
	// ErrThrottled: there was no room in the pool within MaxWait, and the
	// invocation has not begun.
	ErrThrottled = errors.New("the function is at its concurrency")
	// ErrClosed: the pool was closed. An invocation that was running then is
	// killed, and has this error too.
	ErrClosed = errors.New("the function's pool is closed")
)

// The error types of the service that sluice itself answers with.
const (
	TypeTimeout     = "Sandbox.Timedout"
	TypeExit        = "Runtime.ExitError"
	TypeOutOfMemory = "Runtime.OutOfMemory"
	TypeTooLarge    = "Function.ResponseSizeTooLarge"
)

// A FunctionError says that an invocation has begun and did not succeed.
type FunctionError struct {
	Outcome Outcome
	// Type is the function's own errorType, or one of the service's.
	Type    string
	Message string
	// Payload is the JSON object with errorType and errorMessage that the
	// service answers with.
	Payload []byte
	// Handled: the function itself has reported the error.
	Handled bool
}

// Error returns the type and the message.
func (e *FunctionError) Error() string { return fmt.Sprintf("%s: %.1000q", e.Type, e.Message) }

// A StartError says that no worker could be started or initialized, so that
// the invocation has not begun.
type StartError struct {
	Function string
	// After is when a worker will be started again.
	After time.Duration
	// Log is the end of what the worker has written, 4 KiB at most.
	Log []byte
	// Err is what went wrong.
	Err error
}

// Error returns what went wrong, and the last line of the log.
func (e *StartError) Error() string {
	text := fmt.Sprintf("start a worker of function %q: %v", e.Function, e.Err)
	if last := lastLine(e.Log); last != "" {
		text += fmt.Sprintf("; its last words: %.500q", last)
	}
	return text
}

// Unwrap returns what went wrong.
func (e *StartError) Unwrap() error { return e.Err }

// A loggedError is a failed start with what the worker has written.
type loggedError struct {
	log []byte
	err error
}

func (e *loggedError) Error() string { return e.err.Error() }
func (e *loggedError) Unwrap() error { return e.err }

// lastLine returns the last line that is not blank, and that the worker has
// written itself.
func lastLine(log []byte) string {
	lines := strings.Split(string(log), "\n")
	for _, line := range slices.Backward(lines) {
		if line = strings.TrimRight(line, "\r\t "); line != "" && !strings.HasPrefix(line, initReport) {
			return line
		}
	}
	return ""
}
