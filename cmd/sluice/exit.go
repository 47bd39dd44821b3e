package main

import (
	"context"
	"errors"
	"fmt"
)

// The exit codes of every command.
const (
	exitOK          = 0   // done
	exitFailure     = 1   // failed, or the answer is no
	exitUsage       = 2   // called in a wrong way
	exitInvalid     = 3   // the configuration is invalid
	exitUnreachable = 4   // the service or the bus cannot be reached
	exitNotFound    = 5   // what was asked for does not exist
	exitPartly      = 6   // done for some, failed for others
	exitInterrupted = 130 // stopped by an interrupt
)

// An exitError is an error that knows the exit code it stands for. With a nil
// err the command has already said on its output what there is to say.
type exitError struct {
	code int
	err  error
}

// exitWith ends the program with code and prints err, which may be nil.
func exitWith(code int, err error) error { return &exitError{code: code, err: err} }

// exitWithf ends the program with code and prints the formatted message.
func exitWithf(code int, format string, args ...any) error {
	return &exitError{code: code, err: fmt.Errorf(format, args...)}
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode returns the code that err stands for, and what is to be printed of
// it; nothing when that is empty.
func exitCode(err error) (code int, message string) {
	var exit *exitError
	switch {
	case err == nil:
		return exitOK, ""
	case errors.As(err, &exit) && exit.err == nil:
		return exit.code, ""
	case errors.As(err, &exit):
		return exit.code, err.Error()
	case errors.Is(err, context.Canceled):
		return exitInterrupted, "interrupted"
	default:
		return exitFailure, err.Error()
	}
}
