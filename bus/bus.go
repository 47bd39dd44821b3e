// Package bus is the log that everything stands on: JetStream streams, in an
// embedded server or on a cluster, for events, for the ledger of what became of
// them, and for dead letters. It publishes and reads them, keeps cursors, and
// trims what nobody needs any more.
package bus

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/connect/natsconn"
	"sluice/event"
)

// Options say how a bus is opened. Either Dir or URL is required.
type Options struct {
	// Dir is the folder of the embedded server. It belongs to one process at a
	// time.
	Dir string
	// URL lists the servers of a JetStream cluster, separated by commas.
	URL string
	// Login says who sluice is to these servers, and TLS how they are reached; nil
	// is nobody, and the system's authorities.
	Login natsconn.Login
	TLS   *tls.Config
	// ConnectWithin is how long Open tries to reach a server that does not answer:
	// 10 s by default.
	ConnectWithin time.Duration
	// Cluster and Tags say which servers hold the streams; any when empty.
	Cluster string
	Tags    []string
	// Replicas is how many servers of a cluster hold each stream; 1 by default.
	Replicas int
	// Prefix is the first token of all subjects; "sluice" by default.
	Prefix string

	// MaxBytes is the most that the events may take, 8 GiB by default;
	// ObjectBytes (8 GiB, data that is kept apart from its events), LedgerBytes (1
	// GiB), LetterBytes (1 GiB) and StateBytes (64 MiB) bound the other streams.
	// All are reserved: none can take another's space.
	MaxBytes, ObjectBytes, LedgerBytes, LetterBytes, StateBytes int64
	// MaxInline is the most data that is stored with its event, in bytes; what is
	// larger is kept apart. 256 KiB by default.
	MaxInline int
	// MaxEventSize is the most that one event may have, data and attributes, in
	// bytes; 1 MiB by default.
	MaxEventSize int
	// MinFree is how many bytes stay free on the disk of Dir, 256 MiB by default:
	// below it events are refused, so that the ledger and letters can be written.
	MinFree int64
	// Duplicates is how long an event's id is remembered; two minutes by default.
	Duplicates time.Duration

	// Listen is where the embedded server takes connections of other programs,
	// such as 127.0.0.1:4222; none when empty.
	Listen string
	// SyncInterval is how often the embedded server syncs its files. The default
	// 0 means: before every acknowledgement. Anything else can lose accepted
	// events in a power cut.
	SyncInterval time.Duration

	// Logger takes what the bus has to say; nothing is logged without one.
	Logger *slog.Logger
}

const gib = 1 << 30

func (o Options) withDefaults() Options {
	o.Prefix = orDefault(o.Prefix, "sluice")
	o.Replicas = orDefault(o.Replicas, 1)
	o.MaxBytes = orDefault(o.MaxBytes, 8*gib)
	o.ObjectBytes = orDefault(o.ObjectBytes, 8*gib)
	o.MaxInline = orDefault(o.MaxInline, maxInline)
	o.LedgerBytes = orDefault(o.LedgerBytes, gib)
	o.LetterBytes = orDefault(o.LetterBytes, gib)
	o.StateBytes = orDefault(o.StateBytes, 64<<20)
	o.MinFree = orDefault(o.MinFree, defaultMinFree)
	o.MaxEventSize = orDefault(o.MaxEventSize, 1<<20)
	o.Duplicates = orDefault(o.Duplicates, 2*time.Minute)
	o.ConnectWithin = orDefault(o.ConnectWithin, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// minPayload is the largest message that a server must take: its default. What
// is larger is kept apart, or stored in chunks.
const minPayload = 1 << 20

func (o Options) validate() error {
	var problems []error
	if (o.Dir == "") == (o.URL == "") {
		problems = append(problems, errors.New("bus: give either a folder or a URL"))
	}
	for _, limit := range []struct {
		name       string
		value, min int64
	}{
		{"events", o.MaxBytes, 1 << 20},
		{"objects", o.ObjectBytes, 1 << 20},
		{"data that is stored with its event", int64(o.MaxInline), 1},
		{"ledger", o.LedgerBytes, 1 << 20},
		{"letters", o.LetterBytes, 1 << 20},
		{"state", o.StateBytes, 1 << 16},
		{"event", int64(o.MaxEventSize), 1 << 10},
		{"free space", o.MinFree, 1 << 20},
	} {
		if limit.value < limit.min {
			problems = append(problems, fmt.Errorf("bus: %d bytes for %s are too few: at least %d", limit.value, limit.name, limit.min))
		}
	}
	if o.MaxEventSize > event.MaxSize {
		problems = append(problems, fmt.Errorf("bus: events of %d bytes are too large: at most %d", o.MaxEventSize, event.MaxSize))
	}
	if o.MaxInline > maxInline {
		problems = append(problems, fmt.Errorf("bus: %d bytes of data with an event are too many: at most %d", o.MaxInline, maxInline))
	}
	if o.Duplicates < 0 || o.SyncInterval < 0 {
		problems = append(problems, errors.New("bus: a duration is negative"))
	}
	return errors.Join(problems...)
}

// A Bus is an open log. It may be used by many goroutines at once.
type Bus struct {
	options      Options
	names        Names
	log          *slog.Logger
	server       *embedded // nil on a cluster
	space        *space    // nil on a cluster
	conn         *nats.Conn
	js           jetstream.JetStream
	live         lane // over the same connection
	catchUp      lane // over one of its own
	events       jetstream.Stream
	ledger       jetstream.Stream
	objectStream jetstream.Stream
	incarnation  string

	line      lifeline
	blocks    map[string]*blocks // by stream; empty on a cluster
	publisher *publisher
	gathering *gathering
	ranges    *rangeReaders
	objects   *objects

	mu   sync.Mutex
	jobs map[string]*fence
}

// Open starts the embedded server, or connects to a cluster, and makes sure
// that the streams exist as they must be. A stream that exists otherwise is an
// [IncompatibleError].
func Open(ctx context.Context, options Options) (*Bus, error) {
	options = options.withDefaults()
	if err := options.validate(); err != nil {
		return nil, err
	}
	names, err := newNames(options.Prefix)
	if err != nil {
		return nil, err
	}
	b := &Bus{options: options, names: names, log: options.Logger, jobs: map[string]*fence{}}
	if err := b.open(ctx); err != nil {
		// ctx may be what has ended: the server still takes its time to stop.
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeWithin)
		defer cancel()
		return nil, errors.Join(err, b.hangUp(closing))
	}
	return b, nil
}

// closeWithin is how long closing may take what Open could not finish.
const closeWithin = 10 * time.Second

func (b *Bus) open(ctx context.Context) error {
	if b.options.Dir != "" {
		server, err := startEmbedded(b.options, b.names)
		if err != nil {
			return err
		}
		b.server, b.space = server, newSpace(b.options.Dir, b.options.MinFree)
		b.warnOfSpace(ctx)
	}
	if err := b.connect(ctx); err != nil {
		return err
	}
	if err := b.mendTails(ctx); err != nil {
		return err
	}
	if err := b.examine(ctx); err != nil {
		return err
	}
	if err := b.openStreams(ctx); err != nil {
		return b.explain(err)
	}
	if b.server != nil {
		if err := b.settleFolders(ctx); err != nil {
			return err
		}
	}
	b.ranges = newRangeReaders(b)
	b.objects = newObjects(b)
	b.publisher = newPublisher(b.newBatcher(b.names.Events))
	b.gathering = &gathering{batcher: b.publisher.batcher}
	go b.publisher.run(context.WithoutCancel(ctx))
	return nil
}

// settleFolders has everything in its place in the folder of the embedded server,
// before anything is stored, and looks after the server from then on.
func (b *Bus) settleFolders(ctx context.Context) error {
	server, err := b.server.current()
	if err != nil {
		return err
	}
	b.server.settle(server)
	b.server.keep(ctx)
	b.blocks = map[string]*blocks{}
	for _, stream := range b.streams() {
		b.blocks[stream] = newBlocks(b.options.Dir, stream)
		if err := b.blocks[stream].open(); err != nil {
			return fmt.Errorf("the blocks of stream %s: %w", stream, err)
		}
	}
	if err := syncFolders(b.options.Dir); err != nil {
		return fmt.Errorf("the bus's folder: %w", err)
	}
	return nil
}

// streams returns the names of the streams.
func (b *Bus) streams() []string {
	return []string{b.names.Events, b.names.Ledger, b.names.Letters, b.names.Objects}
}

// Keep makes durable what the server has acknowledged of a stream, for those who
// store there themselves: it is to be called before that is relied on.
func (b *Bus) Keep(stream string) error { return b.blocks[stream].settle() }

func (b *Bus) newBatcher(stream string) *batcher {
	least, most := minOnDisk, maxGroup
	if b.server != nil {
		most = embeddedGroup
		if b.server.staging.inMemory() {
			least = minBatch
		}
	}
	return &batcher{js: b.js, line: &b.line, blocks: b.blocks[stream], space: b.space, log: b.log, replicated: b.options.Replicas > 1, least: least, most: most}
}

// Close stores what is waiting to be published, refuses more, ends all
// readers, and stops the embedded server: within the time that ctx leaves.
func (b *Bus) Close(ctx context.Context) error {
	err := errors.Join(b.publisher.close(ctx), b.gathering.close(ctx))
	b.ranges.close()
	return errors.Join(err, b.hangUp(ctx))
}

// hangUp closes the connections and stops the embedded server.
func (b *Bus) hangUp(ctx context.Context) error {
	b.disconnect()
	if b.server == nil {
		return nil
	}
	return b.server.stop(ctx)
}

// JetStream returns the connection that other parts keep their own streams
// with.
func (b *Bus) JetStream() jetstream.JetStream { return b.js }

// Names returns the names of the streams and subjects.
func (b *Bus) Names() Names { return b.names }

// Prefix returns the first token of all subjects.
func (b *Bus) Prefix() string { return b.names.Prefix }

// Incarnation returns the random name of the event stream as it was created:
// another one means that sequences have begun again.
func (b *Bus) Incarnation() string { return b.incarnation }

// ClientURL returns where other programs reach the embedded server, or the
// cluster's URL; empty when no port is open, and while the server is restarted.
func (b *Bus) ClientURL() string {
	switch {
	case b.server == nil:
		return b.options.URL
	case b.options.Listen == "":
		return ""
	}
	s, err := b.server.current()
	if err != nil {
		return ""
	}
	return s.ClientURL()
}

// State opens the key-value bucket for leases and other small state.
func (b *Bus) State(ctx context.Context) (jetstream.KeyValue, error) {
	kv, err := b.js.KeyValue(ctx, b.names.State)
	if err != nil {
		return nil, storeError(err)
	}
	return kv, nil
}
