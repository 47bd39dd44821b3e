package sinks

import "time"

// An End is what is known of a delivery that has ended.
type End struct {
	// Delivery has the event as it was delivered, and how many attempts were made.
	// After a failure, data that is kept apart and has more than a MiB is not
	// loaded: the event then has Large.
	Delivery Delivery
	// Response is the sink's, after a success.
	Response Response
	// Failed is set after a failure, and Expired when the delivery was too old for
	// another attempt. Error is that of the last one.
	Failed, Expired bool
	Error           string
	Time            time.Time
}
