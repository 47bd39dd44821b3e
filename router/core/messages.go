package core

import (
	"time"

	"sluice/router/ledger"
)

// An Input is something that happened outside of the core.
type Input interface{ input() }

// An Entry is an event of the log and the triggers that it matches, in
// ascending order. Body is opaque to the core: it comes back in Start.
type Entry struct {
	Sequence uint64
	Size     int // bytes that the body holds in memory
	Triggers []uint32
	// Keys are those of each of Triggers, nil for one whose flow has none; it may
	// be nil when no trigger has any.
	Keys []*Keys
	Body any
}

// The inputs.
type (
	// Matched is the next stretch of the log, from the shared reader: every
	// position from From to To, matched with the given version of the index.
	Matched struct {
		From, To, Version uint64
		Entries           []Entry
	}
	// Swept answers Read in the same form.
	Swept Matched
	// Fetched answers Fetch. What is missing in Entries is not in the log.
	Fetched struct{ Entries []Entry }
	// Identified answers Identify, with the keys as the triggers of this version
	// have them. What is not among them is not in the log.
	Identified struct {
		Version uint64
		Keys    map[ledger.Key]*Keys
	}
	// Finished is the end of an attempt that Start has asked for.
	Finished struct {
		Key    ledger.Key
		Result Result
	}
	// Appended says that the record of this number is durable.
	Appended struct {
		Number   uint64
		Sequence uint64 // of its first message in the ledger
		Bytes    int
	}
	// LetterStored says that the letter of a dying delivery is durable.
	LetterStored struct{ Key ledger.Key }
	// Configure replaces the configured triggers. Version must rise; it is the
	// version of the index that the shell builds from the answer, Indexed.
	Configure struct {
		Version  uint64
		Triggers []Trigger
		// Last is the last sequence of the log if this is the first
		// configuration of the claim: a trigger that is new to the ledger starts
		// behind it.
		Last  uint64
		Token any
	}
	// Pause closes a trigger's gate and starts no more of its attempts.
	Pause struct {
		Name  string
		Token any
	}
	// Resume takes Pause back.
	Resume struct {
		Name  string
		Token any
	}
	// Drain starts no more attempts, and stops when those under way have ended.
	Drain struct{}
	// Stop does not wait for them.
	Stop struct{}
)

func (Matched) input()      {}
func (Swept) input()        {}
func (Fetched) input()      {}
func (Identified) input()   {}
func (Finished) input()     {}
func (Appended) input()     {}
func (LetterStored) input() {}
func (Configure) input()    {}
func (Pause) input()        {}
func (Resume) input()       {}
func (Drain) input()        {}
func (Stop) input()         {}

// An Output is something that the core wants to be done.
type Output interface{ output() }

// The outputs.
type (
	// Start asks for an attempt, answered by Finished.
	Start struct {
		Key     ledger.Key
		Attempt int
		Body    any
		// Batch is the key that the deliveries of one batch have in common.
		Batch string
		// Alone: it was under way at two crashes, and must not go out together
		// with others.
		Alone bool
	}
	// Append asks for records to be appended to the claim, all or none: usually
	// one, or the chunks of a snapshot. Number is that of the last. It is answered
	// by Appended; no other Append comes before.
	Append struct {
		Number   uint64
		Records  []*ledger.Record
		Snapshot bool
	}
	// Fetch asks for the events at these ascending sequences; one at a time.
	Fetch struct{ Sequences []uint64 }
	// Identify asks for the keys of these deliveries, ascending; one at a time.
	Identify struct{ Deliveries []ledger.Key }
	// Read asks for the next stretch of the log from a position on, of at most
	// Max entries; one at a time. It is answered by Swept.
	Read struct {
		From uint64
		Max  int
	}
	// WriteLetter asks for the letter of a dying delivery, answered by
	// LetterStored.
	WriteLetter struct {
		Key     ledger.Key
		Name    string
		Reason  string
		History []ledger.Attempt
	}
	// Indexed tells the numbers of the configured triggers, by name. From now
	// on the shell may match with an index of this version.
	Indexed struct {
		Version uint64
		Numbers map[string]uint32
	}
	// Acknowledge says that what came with the token is durable, or why it is
	// refused.
	Acknowledge struct {
		Token any
		Err   error
	}
	// Stopped is the last output: the claim's last record is durable.
	Stopped struct{}
	// Broken is the last output after a defect: a record does not fit the state.
	Broken struct{ Err error }
)

func (Start) output()       {}
func (Append) output()      {}
func (Fetch) output()       {}
func (Identify) output()    {}
func (Read) output()        {}
func (WriteLetter) output() {}
func (Indexed) output()     {}
func (Acknowledge) output() {}
func (Stopped) output()     {}
func (Broken) output()      {}

// A Trigger is the configuration of one trigger.
type Trigger struct {
	Name string
	// Was are the names that it had before, the newest first.
	Was []string
	// Fingerprint stands for what it matches: when it changes, events are
	// matched anew from then on.
	Fingerprint string
	// From is the first sequence that the trigger is offered if it is new to the
	// ledger; 0 means what comes from now on. One that the ledger knows goes on
	// where it is.
	From uint64
	// Concurrency is how many deliveries may be under way at once.
	Concurrency int
	// Batch is how many deliveries one attempt takes together at most; 0 and 1
	// mean that each goes by itself.
	Batch int
	// Buffer is how many matched events wait in memory before the gate closes.
	Buffer int
	Retry  RetryPolicy
	Flow   Flow
	// KeySpec stands for how the keys of its events are found; empty when its
	// flow has none. When it changes, they are found anew.
	KeySpec string
}

// Options are the limits of a core. The zero value of each means its default.
type Options struct {
	// Budget is how many bytes of bodies the triggers may hold together: 64 MiB.
	Budget int
	// Ring is how many events the shared reader keeps for triggers that are
	// almost there: 4,096.
	Ring int
	// WaitingLimit is how many deliveries of one trigger may wait for a retry
	// before its gate closes: 10,000.
	WaitingLimit int
	// WaitingTotal is how many deliveries of all triggers may wait before the
	// limit of each becomes its share of that, 64 at least: 100,000.
	WaitingTotal int
	// UnwrittenLimit is how many outcomes may be unwritten before no more
	// attempts start: 10,000.
	UnwrittenLimit int
	// UnwrittenAge is how long an outcome may be unwritten before no more
	// attempts start: 1 s.
	UnwrittenAge time.Duration
	// ListAfter is how long a delivery may hold back the mark: 1 s.
	ListAfter time.Duration
	// RecordEvery is the shortest time between two records: 5 ms.
	RecordEvery time.Duration
	// SnapshotEvery is how many bytes of records are followed by a snapshot: 64 MiB.
	SnapshotEvery int
	// Sweep is how many entries one Read asks for: 1,024.
	Sweep int
	// RemovedAfter is how long the deliveries of a trigger that has left the
	// configuration wait for its return: 24 h.
	RemovedAfter time.Duration
}

func (o Options) withDefaults() Options {
	set(&o.Budget, 64<<20)
	set(&o.Ring, 4096)
	set(&o.WaitingLimit, 10_000)
	set(&o.WaitingTotal, 100_000)
	set(&o.UnwrittenLimit, 10_000)
	set(&o.UnwrittenAge, time.Second)
	set(&o.ListAfter, time.Second)
	set(&o.RecordEvery, 5*time.Millisecond)
	set(&o.SnapshotEvery, 64<<20)
	set(&o.Sweep, 1024)
	set(&o.RemovedAfter, 24*time.Hour)
	return o
}

func set[T comparable](field *T, byDefault T) {
	var zero T
	if *field == zero {
		*field = byDefault
	}
}
