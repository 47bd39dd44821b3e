// Package sources defines where events come from: the interface that every
// source implements, and what the program gives to it.
package sources

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"sluice/event"
)

// A Source turns what it sees into events. Run blocks until ctx ends and then
// returns nil; a returned error is shown as the source's health and restarts
// it with backoff. A source acknowledges its upstream only when Publish has
// returned nil (invariant I1), and gives the same thing the same event id
// however often it sees it (I5).
type Source interface {
	Run(ctx context.Context, out Out) error
}

// An Out is where one source publishes. It may be used by many goroutines at
// once.
type Out interface {
	// Publish returns nil when all events are durable. An event whose source
	// and id were published within the de-duplication window is not stored
	// again; that is no error. After an error any of the events may have been
	// stored: publish the same ones again. It returns event.ErrUnavailable,
	// event.ErrFull or event.ErrTooLarge, wrapped, when that is the reason.
	Publish(ctx context.Context, events ...event.Event) error

	// PublishAt makes the events and the shard's new cursor durable together:
	// all or nothing. It takes at most MaxBatch events; with none, only the
	// cursor moves. The cursor is at most 512 KiB. It returns event.ErrFenced when
	// somebody else has moved the cursor since this Out has read or written it.
	// A shard's name is a non-empty string of letters, digits, - and _.
	PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error

	// Cursor returns what the last PublishAt of the shard has stored, or nil.
	Cursor(ctx context.Context, shard string) ([]byte, error)
}

// MaxBatch is the largest number of events that one PublishAt takes.
const MaxBatch = 999

// An Adapter is one kind of source, as it is listed in the program's one list.
type Adapter struct {
	// Kind is the key in the file: "s3".
	Kind string
	// Config returns a pointer to a configuration with the defaults filled in.
	Config func() Config
}

// A Config is the section of the file that one source owns. Its fields carry
// yaml tags. Validate is called on the decoded section and returns all
// problems at once, joined, each made by config.Invalid.
type Config interface {
	Validate() error
	// Source builds the source. It opens no connection.
	Source(env Env) (Source, error)
}

// An Env is what the program gives to a source.
type Env struct {
	Name   string // of the source in the file
	Logger *slog.Logger
	// Ingest is where HTTP sources mount their paths before Run.
	Ingest Mux
	// Report takes the source's health whenever it changes; nil is healthy. An
	// error that Run returns is reported by who runs it.
	Report func(error)
	// Now is the clock, never nil.
	Now func() time.Time
}

// A Mux takes the handlers of HTTP sources.
type Mux interface {
	// Handle serves path, and nothing below it, until remove is called; or
	// everything below, when path ends with /*. It returns an error that names
	// the other source when the path is taken.
	Handle(source, path string, handler http.Handler) (remove func(), err error)
}

// A Placement says on how many routers of an installation a source runs.
type Placement int

// The placements.
const (
	OnOne    Placement = iota // on one router at a time: the default
	OnAll                     // on all routers: it has no state of its own
	ByShards                  // its shards are shared out
)

// A Placed source says where it runs; others run OnOne.
type Placed interface{ Placement() Placement }

// A Lagging source tells how far it is behind its upstream.
type Lagging interface {
	// Lag returns the age of the oldest thing it knows of and has not
	// published, and how many there are; -1 where it cannot know.
	Lag() (age time.Duration, items int64)
}
