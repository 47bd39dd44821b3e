package functions

import (
	"encoding/json"
	"fmt"
	"time"
)

// The lines that the service writes into the log of a function, in its words
// and with its tabs.

func startLine(requestID string) string {
	return "START RequestId: " + requestID + " Version: $LATEST"
}

func endLine(requestID string) string { return "END RequestId: " + requestID }

func timeoutLine(now time.Time, requestID string, timeout time.Duration) string {
	return now.UTC().Format("2006-01-02T15:04:05.000Z ") + requestID + " " + timedOut(timeout)
}

func timedOut(timeout time.Duration) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds())
}

// reportLine is the REPORT of an invocation. failure is the error's type, for
// those that the function itself has not reported.
func reportLine(r Report, failure string) string {
	line := fmt.Sprintf("REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %d ms\tMemory Size: %d MB\tMax Memory Used: %d MB",
		r.RequestID, milliseconds(r.Duration), r.Billed.Milliseconds(), r.Memory>>20, (r.MaxMemory+1<<20-1)>>20)
	if r.Init > 0 {
		line += fmt.Sprintf("\tInit Duration: %.2f ms", milliseconds(r.Init))
	}
	switch r.Outcome {
	case OutcomeTimeout:
		line += "\tStatus: timeout"
	case OutcomeExit, OutcomeTooLarge:
		line += "\tStatus: error\tError Type: " + failure
	case OutcomeSuccess, OutcomeError, OutcomeCanceled:
	}
	return line
}

// initReport begins the line of an init that has failed.
const initReport = "INIT_REPORT"

// initReportLine is written for an init that has failed.
func initReportLine(took time.Duration, status, failure string) string {
	line := fmt.Sprintf(initReport+" Init Duration: %.2f ms\tPhase: init\tStatus: %s", milliseconds(took), status)
	if failure != "" {
		line += "\tError Type: " + failure
	}
	return line
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// billed is in whole milliseconds, rounded up.
func billed(d time.Duration) time.Duration {
	return (d + time.Millisecond - 1).Truncate(time.Millisecond)
}

// failure makes the error that the service answers with when the function has
// reported none.
func failure(outcome Outcome, kind, message string) *FunctionError {
	payload, err := json.Marshal(struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{kind, message})
	if err != nil { // two strings
		payload = []byte("{}")
	}
	return &FunctionError{Outcome: outcome, Type: kind, Message: message, Payload: payload}
}
