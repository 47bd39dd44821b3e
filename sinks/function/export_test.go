package function

import (
	"time"

	"sluice/sinks"
)

// Wait sets how long invocations of a sink wait for room.
func Wait(s sinks.Sink, most time.Duration) { s.(*sink).maxWait = most }
