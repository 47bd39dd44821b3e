package dlq

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// A Log is where replays publish. It must be one log for all users of a job.
type Log interface {
	// Direct makes the entries and the job's new position durable together: all
	// or nothing. It returns event.ErrFenced when somebody else has moved the
	// position since it was read or written here.
	Direct(ctx context.Context, job string, position []byte, entries ...event.Directed) error
	// Position returns what the last Direct of the job has stored, or nil.
	Position(ctx context.Context, job string) ([]byte, error)
	// Positions returns the names of all jobs that have a position.
	Positions(ctx context.Context) ([]string, error)
}

// A Forgetter is a Log that can forget a job's position.
type Forgetter interface {
	Forget(ctx context.Context, job string) error
}

// Options configure a Store.
type Options struct {
	// Prefix is the first token of the subjects, and Stream the name of the
	// letters' stream, which must exist.
	Prefix, Stream string
	// Log is where replays go.
	Log Log
	// Settled tells of each delivery whether the ledger has it as dead: only then
	// may its letter be replayed or purged. It is given the deliveries' ids, up to
	// a thousand.
	Settled func(ids ...string) []bool
	// Keep is called when the server has acknowledged a letter, and returns when it
	// is durable; nil where that is the same.
	Keep func() error
	// Known tells whether there is a trigger of this name; nil for all.
	Known func(trigger string) bool
	// History is the log as replays of history read it, Incarnation its id, and
	// Select finds what they take. Without these there are none.
	History     History
	Incarnation string
	Select      func(*HistoryFilter) (*Selection, error)
	// Settle waits until a janitor has ended that has asked for Line before; nil
	// when there is none.
	Settle func()
	// Room returns an error, such as event.ErrFull, when replays should not add
	// to the log now; nil for always room.
	Room func(ctx context.Context) error
	// Logger is where jobs report; nil for nowhere.
	Logger *slog.Logger
	// Now is the clock; nil for the system's.
	Now func() time.Time
}

func (o Options) withDefaults() (Options, error) {
	if o.Prefix == "" || o.Stream == "" || o.Log == nil || o.Settled == nil {
		return o, errors.New("dlq: Prefix, Stream, Log and Settled are required")
	}
	if o.Known == nil {
		o.Known = func(string) bool { return true }
	}
	if o.Settle == nil {
		o.Settle = func() {}
	}
	if o.Room == nil {
		o.Room = func(context.Context) error { return nil }
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// A Store holds the letters. Its methods may be called by many goroutines at
// once. Put waits for none of the others.
type Store struct {
	options Options
	js      jetstream.JetStream
	stream  jetstream.Stream

	// table is held by whoever reads the jobs from the log, makes one, or lets
	// one end or go on: no other change is missed so. It comes before turns.
	table sync.Mutex
	// turn is held by whoever takes letters away: a batch of a replay, a purge,
	// the end of a job. So no letter is purged between being read for a replay
	// and being replayed.
	turn sync.Mutex
	// historySteps bounds how many batches of history are in memory at a time.
	letterSteps, historySteps chan struct{}
	// mu guards jobs and their fields. It is never held during input or output.
	mu     sync.Mutex
	jobs   map[string]*job
	coming map[*record]struct{} // records of history that hold it and are about to be stored
	wake   chan struct{}        // has room for one
}

// historyBatches is how many batches of history are in memory at a time, however
// many jobs there are.
const historyBatches = 2

// Open returns the store of an existing stream. Call Run to work replays.
func Open(ctx context.Context, js jetstream.JetStream, options Options) (*Store, error) {
	options, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	stream, err := js.Stream(ctx, options.Stream)
	if err != nil {
		return nil, fmt.Errorf("opening the stream of letters: %w", translate(err))
	}
	s := &Store{
		options: options, js: js, stream: stream, jobs: map[string]*job{}, coming: map[*record]struct{}{}, wake: make(chan struct{}, 1),
		letterSteps: make(chan struct{}, 1), historySteps: make(chan struct{}, historyBatches),
	}
	if err := s.load(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// Put stores a letter. It returns nil when it is durable, and also when the
// letter of this delivery is there already. It returns event.ErrFull,
// event.ErrTooLarge or event.ErrUnavailable, wrapped, when that is the reason.
func (s *Store) Put(ctx context.Context, l *Letter) error {
	if _, err := event.ParseDeliveryID(l.ID.String()); err != nil {
		return fmt.Errorf("storing a letter: %w", err)
	}
	msg, err := encode(s.options.Prefix, l)
	if err != nil {
		return err
	}
	_, err = s.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	if err == nil {
		return s.kept(l)
	}
	if isCode(err, codeWrongLastSequence, codeBusy) {
		// Somebody has put it, or is about to: it counts once it can be read.
		if _, err = s.stream.GetLastMsgForSubject(ctx, msg.Subject); err == nil {
			return s.kept(l)
		}
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			err = event.ErrUnavailable
		}
	}
	return fmt.Errorf("storing the letter of %s: %w", l.ID, translate(err))
}

// kept returns nil when a letter that the server has is durable.
func (s *Store) kept(l *Letter) error {
	if s.options.Keep == nil {
		return nil
	}
	if err := s.options.Keep(); err != nil {
		return fmt.Errorf("storing the letter of %s: %w", l.ID, err)
	}
	return nil
}

// Get returns the letter of a delivery, or ErrNotFound, wrapped.
func (s *Store) Get(ctx context.Context, id string) (*Letter, error) {
	parsed, err := event.ParseDeliveryID(id)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	msg, err := s.stream.GetLastMsgForSubject(ctx, subject(s.options.Prefix, parsed))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, fmt.Errorf("there is no letter of %s: %w", id, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the letter of %s: %w", id, translate(err))
	}
	letter, err := decode(parsed, msg.Header, msg.Data)
	if err != nil {
		return nil, fmt.Errorf("reading the letter of %s: %w", id, err)
	}
	return letter, nil
}

// The codes of the server's errors that mean something here.
const (
	codeWrongLastSequence jetstream.ErrorCode = 10071
	codeBusy              jetstream.ErrorCode = 10164
	codeTooLarge          jetstream.ErrorCode = 10054
	codeHeaderTooLarge    jetstream.ErrorCode = 10097
	codeStoreFailed       jetstream.ErrorCode = 10077
	codeNoStorage         jetstream.ErrorCode = 10047
)

func isCode(err error, codes ...jetstream.ErrorCode) bool {
	var answer *jetstream.APIError
	if !errors.As(err, &answer) {
		return false
	}
	return slices.Contains(codes, answer.ErrorCode)
}

// translate adds the error of package event that says what to do.
func translate(err error) error {
	switch {
	case isCode(err, codeStoreFailed, codeNoStorage):
		return fmt.Errorf("%w: %w", event.ErrFull, err)
	case isCode(err, codeTooLarge, codeHeaderTooLarge), errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: %w", event.ErrTooLarge, err)
	case errors.Is(err, context.Canceled), errors.Is(err, event.ErrUnavailable):
		return err
	}
	var answer *jetstream.APIError
	if errors.As(err, &answer) && answer.Code < 500 {
		return err
	}
	return fmt.Errorf("%w: %w", event.ErrUnavailable, err)
}
