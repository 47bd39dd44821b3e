package bus

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// A lane is what a reader reads over. What one asks for arrives at once, and what
// comes over the same connection waits behind it.
type lane struct {
	js    jetstream.JetStream
	ahead int // messages that a reader holds at most and nobody has taken yet
}

const (
	// liveAhead and catchUpAhead are how far a reader is ahead at the end of the
	// log, and of those who catch up.
	liveAhead    = 2048
	catchUpAhead = 512
	// readAheadBytes bounds what a reader holds that nobody has taken yet.
	readAheadBytes = 16 << 20
	// pullExpiry and pullHeartbeat let a stalled pull be noticed in time.
	pullExpiry    = 10 * time.Second
	pullHeartbeat = time.Second
	// consumerIdle is when the server forgets a consumer that nobody pulls from.
	consumerIdle = time.Minute
)

// A reader reads a stream upward with a consumer that needs no acknowledgements,
// and reads ahead within bounds. It survives whatever ends the consumer: it makes
// a new one that starts where the last message was.
type reader struct {
	lane    lane
	server  *embedded // nil when the servers are elsewhere
	line    *lifeline
	stream  string
	config  jetstream.OrderedConsumerConfig
	log     *slog.Logger
	convert func(*stored) any // runs beside who takes, and keeps of a message its data and texts alone

	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	ahead []arrived
	bytes int
	want  int           // ready is told from so many on,
	upTo  uint64        // or when this sequence has arrived
	ready chan struct{} // a token when something has arrived
	space chan struct{} // a token when something was taken
}

// An arrived message, converted.
type arrived struct {
	sequence uint64
	size     int
	value    any
}

// read starts a reader at the sequence from. It is to be closed.
func (b *Bus) read(ctx context.Context, lane lane, stream string, from uint64, config jetstream.OrderedConsumerConfig, convert func(*stored) any) *reader {
	r := b.newReader(lane, stream, from, config, convert)
	r.start(ctx)
	return r
}

func (b *Bus) newReader(lane lane, stream string, from uint64, config jetstream.OrderedConsumerConfig, convert func(*stored) any) *reader {
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	config.OptStartSeq = max(from, 1)
	config.InactiveThreshold = consumerIdle
	config.MaxResetAttempts = 1
	return &reader{
		lane: lane, server: b.server, line: &b.line, stream: stream, config: config, log: b.log, convert: convert,
		done: make(chan struct{}), ready: make(chan struct{}, 1), space: make(chan struct{}, 1),
	}
}

func (r *reader) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	go r.run(ctx)
}

// close ends the reader and waits for it.
func (r *reader) close() {
	r.cancel()
	<-r.done
}

// run makes consumers, one after the other, until ctx ends.
func (r *reader) run(ctx context.Context) {
	defer close(r.done)
	consume := r.consume
	if r.server != nil {
		consume = r.listen
	}
	for tries := 0; ctx.Err() == nil; tries++ {
		before := r.config.OptStartSeq
		err := consume(ctx)
		if ctx.Err() != nil {
			return
		}
		if r.config.OptStartSeq != before {
			tries = 0
		}
		r.log.WarnContext(ctx, "reading the bus was interrupted", slog.String("stream", r.stream),
			slog.Uint64("next", r.config.OptStartSeq), slog.Any("error", err))
		_ = pause(ctx, min(2*time.Second, 50*time.Millisecond<<min(tries, 10)))
	}
}

// consume reads with an ordered consumer of nats.go until it fails.
func (r *reader) consume(ctx context.Context) error {
	consumer, err := r.lane.js.OrderedConsumer(ctx, r.stream, r.config)
	if err != nil {
		return err
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(r.lane.ahead, readAheadBytes),
		jetstream.PullExpiry(pullExpiry), jetstream.PullHeartbeat(pullHeartbeat),
	)
	if err != nil {
		return err
	}
	defer r.drop(ctx, consumer)
	defer messages.Stop()
	next := jetstream.NextContext(ctx)
	for {
		msg, err := messages.Next(next)
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		m := stored{
			subject: msg.Subject(), sequence: meta.Sequence.Stream, time: meta.Timestamp,
			header: event.FieldsOf(msg.Headers()), data: msg.Data(),
		}
		if err := r.waitForSpace(ctx, m.weight()); err != nil {
			return err
		}
		if err := r.arrive(&m); err != nil {
			return err
		}
	}
}

// drop deletes the consumer, because the server keeps it for a while.
func (r *reader) drop(ctx context.Context, consumer jetstream.Consumer) {
	if r.lane.js.Conn().IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if info := consumer.CachedInfo(); info != nil {
		_ = r.lane.js.DeleteConsumer(ctx, r.stream, info.Name) // else the server does, after a while
	}
}

var errOrder = errors.New("the consumer went back in the log")

// weight is what a message counts against the bounds of a reader.
func (m *stored) weight() int { return len(m.data) + 512 }

// arrive hands one message over.
func (r *reader) arrive(m *stored) error {
	if m.sequence < r.config.OptStartSeq {
		return errOrder
	}
	size, value := m.weight(), r.convert(m)
	r.mu.Lock()
	r.ahead = append(r.ahead, arrived{m.sequence, size, value})
	r.bytes += size
	enough := r.enough()
	r.mu.Unlock()
	r.config.OptStartSeq = m.sequence + 1
	if enough {
		token1(r.ready)
	}
	return nil
}

// expect sets when ready is told, and tells whether it is so already. Without
// it every message is told.
func (r *reader) expect(want int, upTo uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.want, r.upTo = want, upTo
	return r.enough()
}

// enough tells whether what was expected has arrived. The lock is held.
func (r *reader) enough() bool {
	n := len(r.ahead)
	return n > 0 && (n >= r.want || r.ahead[n-1].sequence >= r.upTo)
}

// past tells whether the next message lies above the sequence last.
func (r *reader) past(last uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ahead) > 0 && r.ahead[0].sequence > last
}

func (r *reader) waitForSpace(ctx context.Context, size int) error {
	for {
		r.mu.Lock()
		full := len(r.ahead) >= r.lane.ahead || (len(r.ahead) > 0 && r.bytes+size > readAheadBytes)
		r.mu.Unlock()
		if !full {
			return nil
		}
		token1(r.ready)
		select {
		case <-r.space:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take removes what has arrived, up to and including the sequence last, at
// most maxMessages, and of maxBytes as many as fit and at least one.
func (r *reader) take(last uint64, maxMessages, maxBytes int) []arrived {
	r.mu.Lock()
	n, size := 0, 0
	for n < len(r.ahead) && n < maxMessages && r.ahead[n].sequence <= last && (n == 0 || size+r.ahead[n].size <= maxBytes) {
		size += r.ahead[n].size
		n++
	}
	taken := r.ahead[:n:n]
	if n == len(r.ahead) {
		r.ahead = nil
	} else {
		taken = slices.Clone(taken)
		clear(r.ahead[:n]) // else it is kept as long as what comes after it
		r.ahead = r.ahead[n:]
	}
	r.bytes -= size
	r.mu.Unlock()
	if n > 0 {
		token1(r.space)
	}
	return taken
}

// token1 puts a token into a channel that holds one.
func token1(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
