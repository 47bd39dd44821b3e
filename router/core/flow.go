package core

import "time"

// A Flow bounds how the deliveries of a trigger start, besides its concurrency.
// What it holds back waits: none is lost but those that a later one replaces,
// where Debounce asks for it. The zero value bounds nothing.
type Flow struct {
	// PerKey is how many deliveries of one key may be under way at once; 0 means
	// as many as the trigger may have.
	PerKey   int
	Rate     Rate
	Debounce Debounce
	Breaker  Breaker
	// Adaptive has the trigger learn how many deliveries may be under way at
	// once, up to its concurrency, from how long attempts take and whether the
	// sink says that it has no room.
	Adaptive bool
	// Ordered starts an attempt only when the earlier deliveries of the same
	// order key are settled. Deliveries without one keep no order.
	Ordered bool
}

// A Rate is how many attempts may start. The zero value bounds nothing.
type Rate struct {
	// Limit attempts may start within Per, evenly but for 10 ms; Burst of them at
	// once after a time without any.
	Limit int
	Per   time.Duration
	Burst int
	// Keyed is set when each key has a rate of its own.
	Keyed bool
}

// A Debounce has deliveries wait until nothing more has come for Window, but no
// longer than Most. The zero value lets each go at once.
type Debounce struct {
	Window time.Duration
	// Most is how long the first one waits at most; 0 means for as long as others
	// come.
	Most time.Duration
	// All keeps all that have come, which then go together. Without it the last
	// one goes, and replaces those before it.
	All bool
}

// A Breaker stops attempts while most of them fail. The zero value never does.
type Breaker struct {
	// Failures is the part of the attempts within Window that must fail, above 0
	// and at most 1, and Least how many attempts there must be.
	Failures float64
	Least    int
	Window   time.Duration
	// Open is how long no attempt starts before one is made to see whether the
	// sink works again.
	Open time.Duration
}

// Keys are what the limits of one trigger go by for one event. A limit that has
// no key has the empty one for all events.
type Keys struct {
	Order, Concurrency, Rate, Debounce string
	// Batch is handed on to Start.
	Batch string
}

// A Hold says that deliveries of a trigger do not start, and what for.
type Hold struct {
	Reason HoldReason
	// Deliveries is how many are held, as far as they are known in memory, and
	// Keys how many keys they have; 0 when the limit has none.
	Deliveries, Keys int
	// Until is when the hold ends or is looked at again, in Unix nanoseconds; 0
	// when that depends on something else than time.
	Until int64
	// Limit is the bound that holds, of concurrency.
	Limit int
	// Event is the lowest sequence that others wait for, of order.
	Event uint64
}

// A HoldReason is why deliveries do not start.
type HoldReason string

// The reasons of holds.
const (
	HeldByConcurrency    HoldReason = "concurrency"     // as many are under way as may be
	HeldByKeyConcurrency HoldReason = "key_concurrency" // of the key
	HeldByAdaptive       HoldReason = "adaptive"        // as many as the sink was found to take
	HeldByRate           HoldReason = "rate"
	HeldByDebounce       HoldReason = "debounce"
	HeldByBatch          HoldReason = "batch" // started, and gathered until a batch is due: whoever does that says so
	HeldByBreaker        HoldReason = "breaker"
	HeldByRetry          HoldReason = "retry"   // it is not yet time for their next attempt
	HeldByOrder          HoldReason = "order"   // an earlier delivery of the key is unsettled
	HeldByBuffer         HoldReason = "buffer"  // its gate is closed until half of its buffer is free
	HeldByWaiting        HoldReason = "waiting" // its gate is closed: too many wait for a retry or a letter
	HeldByLedger         HoldReason = "ledger"  // outcomes wait to be written
	HeldByCrashes        HoldReason = "crashes" // under way at two crashes: attempted one at a time, of all triggers
)
