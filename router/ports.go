package router

import (
	"context"
	"time"

	"sluice/dlq"
	"sluice/event"
)

// A Log is the log of events, as the router reads it.
type Log interface {
	// Bounds returns the first and the last sequence; the last is 0 when nothing
	// was ever stored.
	Bounds(ctx context.Context) (first, last uint64, err error)
	// FirstSince returns the sequence of the first message that was accepted at a
	// time or later, or that of the next one when there is none.
	FirstSince(ctx context.Context, at time.Time) (uint64, error)
	// Tail gives every stretch from a sequence on, in order, until ctx ends or
	// take fails.
	Tail(ctx context.Context, from uint64, take func(event.Batch) error) error
	// Range returns the next stretch at or above a sequence; it does not wait
	// for more than there is.
	Range(ctx context.Context, from uint64, limit, maxBytes int) (event.Batch, error)
	// Fetch returns the entries at ascending sequences, without those that are
	// gone.
	Fetch(ctx context.Context, ascending []uint64) ([]*event.Entry, error)
	// Body returns the data of an event that is kept apart from its entry. It
	// returns event.ErrLost, wrapped, when it is not there any more; any other
	// error passes.
	Body(ctx context.Context, large *event.Large) ([]byte, error)
}

// A Ledger is where the records go. An append that fails with event.ErrFenced
// was refused because the claim's last sequence is another; after any other
// error its fate is unknown.
type Ledger interface {
	// LastRecord returns the newest record of a claim, or of all for "";
	// sequence 0 means that there is none.
	LastRecord(ctx context.Context, claim string) (sequence uint64, data []byte, err error)
	// ReadRecords gives the records of a claim, or of all for "", up to the last
	// one at the time of the call.
	ReadRecords(ctx context.Context, claim string, from uint64, take func(sequence uint64, at time.Time, data []byte) error) error
	// RecordSince returns the sequence of the first record that is not older than
	// at, or the largest number when there is none.
	RecordSince(ctx context.Context, at time.Time) (uint64, error)
	AppendRecord(ctx context.Context, claim string, expect uint64, data []byte) (uint64, error)
	AppendSnapshot(ctx context.Context, claim string, expect uint64, chunks [][]byte) (first, last uint64, err error)
}

// Replies is where the events go that sinks have answered deliveries with.
// PublishReplies returns nil when they are durable under a name, and for the
// same delivery's again stores none twice. event.ErrTooLarge means that they
// never can be.
type Replies interface {
	PublishReplies(ctx context.Context, name, delivery string, events ...event.Event) error
}

// Letters is where dead deliveries go. Put returns nil when the letter is
// durable, also when it was there already.
type Letters interface {
	Put(ctx context.Context, letter *dlq.Letter) error
}
