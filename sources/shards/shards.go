// Package shards follows a stream that is made of shards: it finds them, reads
// those that split and merge in their order, and keeps a cursor for each. The
// sources of such streams say how their service is asked.
package shards

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"sluice/event"
	"sluice/sources"
)

// The errors that a Stream wraps, so that it is known what to do about them. Any
// other is tried again.
var (
	// ErrExpired means that an iterator is too old to be used: another one is asked
	// for.
	ErrExpired = errors.New("the iterator has expired")
	// ErrThrottled means that the service was asked too often.
	ErrThrottled = errors.New("the service was asked too often")
	// ErrNoShard means that there is no such shard, or no such stream, any more.
	ErrNoShard = errors.New("the shard is not there any more")
	// ErrTrimmed means that the place to go on from is not there any more.
	ErrTrimmed = errors.New("the place to go on from is not there any more")
)

// A Stream is how one service is asked about one stream. Its methods may be
// called by many goroutines at once, and make one request, or one per page.
type Stream interface {
	// Describe returns the stream with all its shards.
	Describe(ctx context.Context) (Description, error)
	// Iterator returns where to read a shard from.
	Iterator(ctx context.Context, shard string, at Position) (string, error)
	// Read reads what comes next.
	Read(ctx context.Context, shard, iterator string) (Page, error)
}

// A Description is a stream as it is at a moment.
type Description struct {
	// ID is the identity of the stream: another one of the same name has another.
	ID string
	// Retention is how long records are kept.
	Retention time.Duration
	// Shards are all that can be read, in any order.
	Shards []Shard
}

// A Shard is a part of a stream with an order.
type Shard struct {
	ID string
	// Parents are those that it has come from, by a split or a merge: it is read
	// when they have been. They need not be there any more.
	Parents []string
	// Closed tells whether nothing will be added to it.
	Closed bool
}

// A Position is a place in a shard.
type Position struct {
	From From
	// Sequence is that of At and After.
	Sequence string
	// Time is that of Timestamp.
	Time time.Time
}

// A From is a kind of position.
type From int

// The kinds of positions.
const (
	Horizon   From = iota // the oldest record that is there
	Latest                // behind the newest
	Timestamp             // the oldest since a time
	At                    // a record
	After                 // behind a record
)

// A Page is what one request reads.
type Page struct {
	Records []Record
	// Next is where to read on; empty at the end of a shard that is closed.
	Next string
	// Behind is how far the end of the page is behind the end of the shard; a
	// negative one is not known.
	Behind time.Duration
}

// A Record is one record of a shard.
type Record struct {
	Sequence string
	// Time is when the service has taken it.
	Time time.Time
	// Events are made of it: one, or several where a producer has put several into
	// one record.
	Events []event.Event
}

// A Loss says what to do about records that are gone unread.
type Loss string

// What to do about records that are gone.
const (
	// Continue goes on with the oldest record that is there, and says so.
	Continue Loss = "continue"
	// Stop leaves the shard alone, and says so, until somebody decides.
	Stop Loss = "stop"
)

// A Large says what to do about an event that the bus does not take, because of
// its size.
type Large string

// What to do about an event that is too large.
const (
	// Wait leaves the shard where it is, and says so.
	Wait Large = "wait"
	// Skip leaves the event out, and logs that.
	Skip Large = "skip"
)

const (
	// MinPoll is the shortest time between two requests for one shard: services
	// take five a second.
	MinPoll = 200 * time.Millisecond
	// DefaultPoll is the time between two requests for a shard that has nothing
	// new.
	DefaultPoll = time.Second
	// MaxPoll is the longest such time.
	MaxPoll = time.Minute
	// DefaultRefresh is the time between two looks for new shards. After the end of
	// a shard it is looked at once.
	DefaultRefresh = 30 * time.Second
	// MaxShards is how many shards a stream may have, those included that are
	// closed and not yet gone.
	MaxShards = 7000
	// Readers is how many pages are read and published at once, and so held in
	// memory.
	Readers = 16
)

// Options are what a Follower is made of.
type Options struct {
	Stream Stream
	// Start is where a stream begins that is seen for the first time: Horizon,
	// Latest, or Timestamp with Since.
	Start From
	Since time.Time
	// Poll is the time between two requests for a shard that has nothing new.
	Poll time.Duration
	// Refresh is the time between two looks for new shards.
	Refresh time.Duration
	Lost    Loss
	Large   Large
	// Close gives back, at the end of Run, what the stream is reached by.
	Close func()

	Logger *slog.Logger
	Report func(error)
	Now    func() time.Time
}

// A Follower publishes what is in a stream.
type Follower struct {
	options Options
	lags    lags
}

var _ sources.Lagging = (*Follower)(nil)

// New returns a follower.
func New(o Options) *Follower { return &Follower{options: o} }

// Lag returns how far the shard is behind that is behind the most. How many
// records that are no service says.
func (f *Follower) Lag() (age time.Duration, items int64) { return f.lags.most(), -1 }
