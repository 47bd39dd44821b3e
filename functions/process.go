package functions

import (
	"context"
	"os"
	"strings"
	"time"
)

// A Launcher starts the processes of workers.
type Launcher interface {
	// Launch starts one. ctx is that of the start only.
	Launch(ctx context.Context, l Launch) (Process, error)
	// Close is called when all processes have ended.
	Close() error
}

// A Launch is what a process is started with.
type Launch struct {
	// Worker is the random name of the worker.
	Worker string
	// Env is what the worker is told of itself. What else it sees, such as PATH, is
	// the launcher's.
	Env map[string]string
	// Folder is the worker's private temporary folder; it is removed behind it.
	Folder string
	// Output takes what the process writes. Launch closes it, also when it
	// fails, as soon as it has handed it on.
	Output *os.File
}

// A Process is one that was started, with all that it has started itself.
type Process interface {
	// Started is when it has begun to run.
	Started() time.Time
	// Settle waits until what it has written so far has come to its output, as far
	// as that can be known.
	Settle()
	// Done is closed when it has ended, and all that it has started with it.
	Done() <-chan struct{}
	// Exit says how it has ended, once it is done.
	Exit() Exit
	// Terminate asks it to end. Kill ends it and all that it has started.
	// Neither does anything once it is done.
	Terminate()
	Kill()
	// MaxMemory is the most bytes that it has used until now.
	MaxMemory() int64
}

// An Exit says how a process has ended.
type Exit struct {
	// Status is "exit status 1" or "signal: killed".
	Status string
	// OutOfMemory: it was killed because it has used more than it may.
	OutOfMemory bool
}

// words are the service's error type and message.
func (e Exit) words() (kind, message string) {
	switch {
	case e.OutOfMemory:
		return TypeOutOfMemory, "Runtime exited with error: signal: killed"
	case e.Status == "exit status 0":
		return TypeExit, "Runtime exited without providing a reason"
	}
	return TypeExit, "Runtime exited with error: " + strings.TrimSuffix(e.Status, " (core dumped)")
}
