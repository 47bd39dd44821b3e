package functions

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a pool is given beside its Spec.
type Options struct {
	Logger   *slog.Logger // discards when nil
	Observer Observer     // may be nil
	// Scratch is the path of a folder of this pool alone, made when it is not
	// there. What an earlier pool has left in it is removed, processes too.
	Scratch string
	// Metrics may be nil. Pools share one.
	Metrics *Metrics
}

// Metrics are those of all pools.
type Metrics struct{}

// NewMetrics registers the metrics.
func NewMetrics(_ prometheus.Registerer) (*Metrics, error) { return &Metrics{}, nil }

// Stats is how a pool stands.
type Stats struct {
	// Workers that start, wait for an invocation, or have one.
	Starting, Idle, Busy int
	// Waiting invocations, for a worker that starts or for room.
	Waiting int
	// Failed starts in a row. While there are some, Backoff is how long no
	// worker will be started, and Err what went wrong.
	Failed  int
	Backoff time.Duration
	Err     error
}

// A Pool has the workers of one function.
type Pool struct{ spec Spec }

// NewPool checks the spec, and starts the provisioned workers in the
// background.
func NewPool(spec Spec, _ Options) (*Pool, error) {
	spec = spec.WithDefaults()
	if err := spec.check(); err != nil {
		return nil, err
	}
	return &Pool{spec: spec}, nil
}

// Invoke waits for a worker and calls the function. Its errors are
// *FunctionError when the invocation has begun, and then the Result has its
// Report and LogTail, *StartError, ErrThrottled, ErrClosed and ctx's own. A
// worker whose invocation is canceled is killed, since nobody knows what it
// still does.
func (p *Pool) Invoke(_ context.Context, _ Invocation) (Result, error) {
	return Result{}, ErrClosed
}

// Refresh says that the program has changed: new workers are started from it,
// those that are there end after what they run.
func (p *Pool) Refresh() {}

// Stats says how the pool stands.
func (p *Pool) Stats() Stats { return Stats{} }

// Close ends all workers. Whoever wants running invocations to end waits for
// them first: what still runs is killed, and answered with ErrClosed.
func (p *Pool) Close() error { return nil }

// lastLine returns the last line that is not blank.
func lastLine(log []byte) string {
	text := strings.TrimRight(string(log), "\r\n\t ")
	return text[strings.LastIndexByte(text, '\n')+1:]
}
