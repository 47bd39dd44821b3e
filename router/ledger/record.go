// Package ledger is the truth about deliveries: the records that a router
// appends, and the state that is a pure fold over them.
//
// Reading it: let c(t) be the cursor of trigger t if t is behind, else the
// mark. Up to c(t) a matching delivery is settled unless it is waiting; above
// c(t) it is unsettled unless an outcome says so.
package ledger

import "fmt"

// Format is the version of the stored records. A newer one is never read.
const Format = 1

// A Key names a delivery within an incarnation of the log: one event for one
// trigger.
type Key struct {
	_        struct{} `cbor:",toarray"`
	Trigger  uint32
	Sequence uint64
}

// Less orders keys by sequence, then by trigger.
func (k Key) Less(other Key) bool {
	if k.Sequence != other.Sequence {
		return k.Sequence < other.Sequence
	}
	return k.Trigger < other.Trigger
}

// A Kind says what became of an attempt, or of a delivery.
type Kind uint8

// The kinds of outcomes.
const (
	// Done settles the delivery: the sink has taken it.
	Done Kind = iota + 1
	// Retry makes the delivery wait until it is due again.
	Retry
	// Throttled makes it wait too, but the try does not count as an attempt.
	Throttled
	// Dying means that it is never attempted again, and waits for its letter.
	Dying
	// Dead settles it: its letter is durable.
	Dead
	// Discarded settles it without a letter, for a reason that is kept.
	Discarded
)

var kindNames = [...]string{Done: "done", Retry: "retry", Throttled: "throttled", Dying: "dying", Dead: "dead", Discarded: "discarded"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Settles tells whether a delivery with this outcome is settled.
func (k Kind) Settles() bool { return k == Done || k == Dead || k == Discarded }

// The reasons of outcomes that need one.
const (
	ReasonExhausted = "exhausted" // out of attempts
	ReasonPermanent = "permanent" // the sink said that no attempt can succeed
	ReasonExpired   = "expired"   // the next attempt would come after max_age
	ReasonPoison    = "poison"    // it was under way when the router crashed, three times
	ReasonRemoved   = "removed"   // its trigger left the configuration
	ReasonMissing   = "missing"   // its event is not in the log any more
	ReasonFiltered  = "filtered"  // its trigger's transform yields nothing
	ReasonDebounced = "debounced" // a later one of the same key has replaced it
)

// An Outcome is the end of an attempt or of a delivery. Times are Unix
// nanoseconds.
type Outcome struct {
	_        struct{} `cbor:",toarray"`
	Key      Key
	Kind     Kind
	Attempt  int   // the number of the attempt that ended, 0 for none
	Time     int64 // when it ended
	Duration int64 // how long the attempt took, in nanoseconds
	Status   int   // the sink's status code, 0 for none
	Detail   *Detail
}

// A Detail is what only some outcomes carry.
type Detail struct {
	_      struct{} `cbor:",toarray"`
	Due    int64    // of a retry: when the next attempt may start
	Reason string   // of dying and discarded, and of throttled when the sink is gone
	Error  string   // of a failed attempt, shortened
}

// A Gate is the standing of one trigger, whole, as of its record.
type Gate struct {
	_           struct{} `cbor:",toarray"`
	Trigger     uint32
	Name        string
	Fingerprint string // of what it matches
	Start       uint64 // the first sequence that was offered to it; 0: none yet
	Since       uint64 // the first sequence that was matched with this fingerprint
	Behind      bool
	Cursor      uint64 // c(t) while behind
	Paused      bool
	Removed     int64 // when it left the configuration; 0: it has not
}

// The reasons of pauses.
const (
	PausedByCommand = "command" // somebody has paused it
	PausedGone      = "gone"    // its sink has said that nobody is there any more
)

// A Pause says since when a trigger is paused, and why. It is written beside its
// gate, and holds until a gate is written that is not paused. Records from
// before there were any have none.
type Pause struct {
	_       struct{} `cbor:",toarray"`
	Trigger uint32
	Since   int64 // Unix nanoseconds
	Reason  string
	Error   string // what the sink has said, shortened
}

// A Cursor is the progress of one trigger that is behind.
type Cursor struct {
	_        struct{} `cbor:",toarray"`
	Trigger  uint32
	Sequence uint64
}

// A Count says how many deliveries of a trigger c(t) has passed in this record.
type Count struct {
	_       struct{} `cbor:",toarray"`
	Trigger uint32
	N       uint64
}

// A Record is one message of the ledger. Records of one claim form a chain:
// their numbers rise by one, and each was appended expecting its predecessor.
type Record struct {
	Format   int    `cbor:"1,keyasint"`
	Claim    uint64 `cbor:"2,keyasint"`
	Number   uint64 `cbor:"3,keyasint"`
	Time     int64  `cbor:"4,keyasint"`           // Unix nanoseconds; never falls
	Snapshot uint64 `cbor:"5,keyasint,omitempty"` // ledger sequence of the newest snapshot's first chunk
	Low      uint64 `cbor:"6,keyasint,omitempty"` // the lowest event sequence that was still needed before this record
	Mark     uint64 `cbor:"7,keyasint,omitempty"` // everything up to here was offered to every trigger that is not behind

	Outcomes []Outcome `cbor:"8,keyasint,omitempty"`
	Waiting  []Key     `cbor:"9,keyasint,omitempty"` // matched at or below c(t), unsettled, not waiting before
	Gates    []Gate    `cbor:"10,keyasint,omitempty"`
	Cursors  []Cursor  `cbor:"11,keyasint,omitempty"`
	Matched  []Count   `cbor:"12,keyasint,omitempty"`
	Started  []Key     `cbor:"13,keyasint,omitempty"` // suspects that are about to be attempted
	Stopped  bool      `cbor:"14,keyasint,omitempty"` // the last record of an orderly stop
	Sealed   bool      `cbor:"15,keyasint,omitempty"` // appended by who takes over: nothing follows
	Chunk    *Chunk    `cbor:"16,keyasint,omitempty"` // a part of a snapshot
	Pauses   []Pause   `cbor:"17,keyasint,omitempty"` // of the gates that are paused
}

// A Chunk is a part of a snapshot. Together the chunks of one number hold a
// whole state.
type Chunk struct {
	Index       int          `cbor:"1,keyasint"`
	Last        bool         `cbor:"2,keyasint,omitempty"`
	Incarnation string       `cbor:"3,keyasint,omitempty"` // of the event log
	NextTrigger uint32       `cbor:"4,keyasint,omitempty"`
	Triggers    []standing   `cbor:"5,keyasint,omitempty"`
	Waiting     []waitingKey `cbor:"6,keyasint,omitempty"`
	Settled     []Key        `cbor:"7,keyasint,omitempty"`
	Suspects    []suspectKey `cbor:"8,keyasint,omitempty"`
	Known       []Key        `cbor:"9,keyasint,omitempty"`
	Pauses      []Pause      `cbor:"10,keyasint,omitempty"`
	Gaps        []Gap        `cbor:"11,keyasint,omitempty"`
	Doubt       uint64       `cbor:"12,keyasint,omitempty"`
}

type standing struct {
	_       struct{} `cbor:",toarray"`
	Gate    Gate
	Totals  Totals
	Waiting int
}

type waitingKey struct {
	_       struct{} `cbor:",toarray"`
	Key     Key
	Waiting Waiting
}

type suspectKey struct {
	_       struct{} `cbor:",toarray"`
	Key     Key
	Suspect Suspect
}
