package worker

// The headers that a delivery carries beside the event's own.
const (
	// HeaderDelivery is the delivery's id, the same on every attempt: workers
	// de-duplicate by it.
	HeaderDelivery = "Sluice-Delivery"
	// HeaderAttempt is the number of the attempt, from 1.
	HeaderAttempt = "Sluice-Attempt"
	// HeaderTrigger is the name of the trigger.
	HeaderTrigger = "Sluice-Trigger"
	// HeaderClaim rises with every run of sluice: a worker that has seen a higher
	// one for a delivery may refuse it as late.
	HeaderClaim = "Sluice-Claim"
	// HeaderAckWait is how long the worker may be silent, in milliseconds: within
	// that time it answers, or asks for more by AnswerProgress.
	HeaderAckWait = "Sluice-Ack-Wait"
	// HeaderTimeout is how long the attempt may take at most, in milliseconds,
	// however often the worker asks for time.
	HeaderTimeout = "Sluice-Timeout"
)

// The answers, which are those of JetStream's acknowledgements: the method Ack
// of a client library, and its like, give them.
const (
	// AnswerAck says that the delivery is done; an empty answer says the same.
	AnswerAck = "+ACK"
	// AnswerNak says that the attempt has failed. It may be followed by
	// {"delay": N}: the next one comes not before N nanoseconds have passed.
	AnswerNak = "-NAK"
	// AnswerTerm says that every attempt would fail alike: the delivery ends as a
	// letter. A reason may follow.
	AnswerTerm = "+TERM"
	// AnswerProgress asks for time: the time of HeaderAckWait begins anew.
	AnswerProgress = "+WPI"
)

// The headers of an answer that has failed, as services of NATS have them.
const (
	// HeaderError is the reason.
	HeaderError = "Nats-Service-Error"
	// HeaderErrorCode is a code, which is taken for one of HTTP when there is no
	// other answer.
	HeaderErrorCode = "Nats-Service-Error-Code"
)
