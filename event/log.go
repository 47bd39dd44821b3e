package event

import "time"

// Parts is the number of partitions of the log. It is fixed for ever: it is
// part of every stored subject.
const Parts = 32

// An Entry is an event as it stands in the log.
type Entry struct {
	// Sequence is the position in the log, from 1, rising but not without gaps.
	Sequence uint64
	// Time is when the log accepted the event.
	Time time.Time
	// Part is the partition of the event, from 0 to Parts-1.
	Part int
	// Source is the name of the sluice source that published the event.
	Source string
	// Trigger is set on a directed entry only: the one trigger it is for.
	Trigger string
	// Origin is what the entry was made from: the id of the delivery whose letter
	// a directed entry replays, or whose result it is, or which an event is a reply
	// to; the EntryID of an event whose history is replayed. It is empty for what a
	// source has published, and for an asynchronous invocation.
	Origin string
	// Size is the number of bytes that the stored message occupies in memory.
	Size int
	// Event is the decoded event, or nil when Err is set.
	Event *Event
	// Err says why a stored message could not be decoded. Header and Raw then
	// hold what is stored, so that nothing is lost.
	Err    error
	Header map[string][]string
	Raw    []byte
}

// A Batch is a stretch of the log: every position from From to To, of which
// Entries are the events and directed entries in ascending order. Positions
// without an entry were trimmed, or hold cursors and the like.
type Batch struct {
	From, To uint64
	Entries  []*Entry
}

// A Directed is an entry to be published for one trigger only.
type Directed struct {
	Trigger string
	// Origin is kept with the entry: the id of the delivery or entry that it
	// replays, or of the delivery whose result it is.
	Origin string
	Event  Event
}
