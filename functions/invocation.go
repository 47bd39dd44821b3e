package functions

import "time"

// An Invocation is one call of a function.
type Invocation struct {
	// RequestID is a UUID, the same on each attempt of a delivery.
	RequestID string
	// Payload is JSON.
	Payload []byte
	// TraceID has X-Ray's form; it may be empty.
	TraceID string
	// ClientContext is JSON; it may be empty.
	ClientContext string
	// MaxWait is how long the invocation may wait for room in the pool; with 0
	// it is throttled at once. The start of a worker is not counted: it has its
	// own limit.
	MaxWait time.Duration
}

// A Result is what a function has answered.
type Result struct {
	Payload     []byte
	ContentType string
	Report      Report
	// LogTail are the last 4 KiB that the invocation has logged, its platform
	// lines among them. It is empty when workers run several at once.
	LogTail []byte
}

// An Outcome is how an invocation has ended.
type Outcome string

// The outcomes.
const (
	OutcomeSuccess  Outcome = "success"
	OutcomeError    Outcome = "error"     // the function has reported an error
	OutcomeTimeout  Outcome = "timeout"   // it was killed at its timeout
	OutcomeExit     Outcome = "exit"      // its process has ended before it answered, of too much memory too
	OutcomeTooLarge Outcome = "too_large" // its answer is larger than 6 MiB
	OutcomeCanceled Outcome = "canceled"  // the caller has given up, or the pool was closed, so it was killed
)

// A Report is what the REPORT line of an invocation says.
type Report struct {
	Function, RequestID string
	Start               time.Time
	// Duration is the invocation's own. Billed is it in whole milliseconds,
	// rounded up, with the init of a cold start.
	Duration, Billed time.Duration
	// Init is how long the worker took to start; 0 for a warm start.
	Init time.Duration
	// Memory is the limit, MaxMemory the most that the worker has used in its
	// life, in bytes.
	Memory, MaxMemory int64
	Outcome           Outcome
}

// A Line is one line of a function's log.
type Line struct {
	// RequestID is empty for what is logged outside an invocation, or by a
	// worker that has several at once.
	Function, RequestID string
	// Worker is the random name of the process.
	Worker string
	Time   time.Time
	// Platform lines are sluice's own, in the service's words: START, END,
	// REPORT, INIT_REPORT and the timeout's.
	Platform bool
	// Text has no end of line. A longer line than 256 KiB is cut into several.
	Text string
}

// An Observer takes what pools log. It is called by several goroutines at once
// and must not block.
type Observer interface {
	Line(line Line)
	Report(report Report)
}
