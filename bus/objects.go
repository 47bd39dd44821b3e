package bus

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
	"golang.org/x/sync/semaphore"

	"sluice/event"
)

const (
	// maxInline is the most data that is stored with its event, in bytes.
	maxInline = 256 << 10
	// chunkSize is how much of an object is in one message: below what a NATS
	// server takes unless it is told otherwise.
	chunkSize = 512 << 10
	// chunksAtOnce is how many messages are asked for in one request. The server
	// sends them without waiting, and cuts a connection off that lets 64 MiB wait:
	// so no more than readsAtOnce objects are read at a time.
	chunksAtOnce = 8
	readsAtOnce  = 4
	// objectPace is the slowest disk, in bytes a second, that is waited for.
	objectPace = 2 << 20
	// generationTime is how long the same data is the same object.
	generationTime = 5 * time.Minute
	generationForm = "200601021504"
)

// objects keeps the data of events that is too large to be stored with them. An
// object is the messages of one subject, in one atomic batch: it is there as a
// whole or not at all. It is named by when it was stored, in steps of five
// minutes, and by the digest of its data, so that the same again within that
// time adds nothing. An object is never changed. Whoever is about to refer to
// one does so long before the janitor would take it away.
type objects struct {
	bus     *Bus
	batcher *batcher
	turn    *semaphore.Weighted // held while an object is stored: one at a time
	reading *semaphore.Weighted // held while one is read: readsAtOnce of them
	now     func() time.Time
}

func newObjects(b *Bus) *objects {
	return &objects{bus: b, batcher: b.newBatcher(b.names.Objects), turn: semaphore.NewWeighted(1), reading: semaphore.NewWeighted(readsAtOnce), now: steadyClock()}
}

// steadyClock returns the wall clock as it was now, and goes on without its
// jumps: publishers and the janitor of one process agree on how old an object is.
func steadyClock() func() time.Time {
	start := time.Now()
	base := start.Round(0)
	return func() time.Time { return base.Add(time.Since(start)) }
}

func generationOf(at time.Time) string {
	return at.UTC().Truncate(generationTime).Format(generationForm)
}

// detach returns the event as it is stored with the log. Data that is too large
// is durable as an object before it returns (invariant I1).
func (s *objects) detach(ctx context.Context, e *event.Event) (*event.Event, error) {
	if len(e.Data) <= s.bus.options.MaxInline {
		return e, nil
	}
	large, err := s.put(ctx, e.Data)
	if err != nil {
		return nil, fmt.Errorf("storing %d bytes of data: %w", len(e.Data), err)
	}
	stored := *e
	stored.Data, stored.Large = nil, large
	return &stored, nil
}

// put stores an object, unless it is there.
func (s *objects) put(ctx context.Context, data []byte) (*event.Large, error) {
	if err := s.turn.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w: waiting to store an object: %w", event.ErrUnavailable, err)
	}
	defer s.turn.Release(1)
	size := int64(len(data))
	if err := s.batcher.space.admit(size); err != nil {
		return nil, err
	}
	defer s.batcher.space.done(size)
	large := event.NewLarge(generationOf(s.now()), sha256.Sum256(data), len(data))
	for range fenceTries {
		err := s.batcher.storeAlone(ctx, s.chunks(large, data)).err
		switch {
		case err == nil, isFenced(err): // it is there
			return large, nil
		case !isBusy(err):
			return nil, storeError(err)
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return nil, storeError(err)
		}
	}
	return nil, fmt.Errorf("%w: the object %s is too busy", event.ErrUnavailable, large.Object)
}

// chunks returns the messages of an object. The first expects none before it.
func (s *objects) chunks(large *event.Large, data []byte) []*nats.Msg {
	subject := s.bus.names.Object(large.Object)
	messages := make([]*nats.Msg, 0, (len(data)+chunkSize-1)/chunkSize)
	for chunk := range slices.Chunk(data, chunkSize) {
		messages = append(messages, &nats.Msg{Subject: subject, Data: chunk, Header: nats.Header{
			event.HeaderFormat: {strconv.Itoa(event.FormatVersion)},
		}})
	}
	messages[0].Header[nats.ExpectedLastSubjSeqHdr] = []string{"0"}
	return messages
}

// Body returns data that is kept apart from its event. It returns event.ErrLost,
// wrapped, when it is not there or is not what was stored, and
// event.ErrUnavailable when that cannot be told now.
func (b *Bus) Body(ctx context.Context, large *event.Large) ([]byte, error) {
	data, err := b.objects.get(ctx, large)
	if err != nil {
		return nil, fmt.Errorf("the object %s: %w", large.Object, err)
	}
	return data, nil
}

func (s *objects) get(ctx context.Context, large *event.Large) ([]byte, error) {
	if err := s.reading.Acquire(ctx, 1); err != nil {
		return nil, fmt.Errorf("%w: waiting to read it: %w", event.ErrUnavailable, err)
	}
	defer s.reading.Release(1)
	ctx, cancel := context.WithTimeout(ctx, storeTimeout+patience(large.Size))
	defer cancel()
	ctx, release := s.bus.line.hold(ctx)
	defer release()
	data := make([]byte, 0, large.Size)
	for next := uint64(1); int64(len(data)) < large.Size; {
		more, last, err := s.some(ctx, large, next, data)
		if err == nil && last < next {
			err = s.missing(ctx, large, next)
		}
		if err != nil {
			return nil, err
		}
		data, next = more, last+1
	}
	if found := event.NewLarge("", sha256.Sum256(data), len(data)); found.Digest() != large.Digest() {
		return nil, fmt.Errorf("%w: what is stored is damaged: its SHA-256 is %s", event.ErrLost, found.Digest())
	}
	return data, nil
}

// some appends the next chunks to data, and returns the sequence of the last.
func (s *objects) some(ctx context.Context, large *event.Large, from uint64, data []byte) (_ []byte, last uint64, err error) {
	messages, err := jetstreamext.GetBatch(ctx, s.bus.js, s.bus.names.Objects, chunksAtOnce,
		jetstreamext.GetBatchSubject(s.bus.names.Object(large.Object)), jetstreamext.GetBatchSeq(from))
	if err != nil {
		return data, 0, storeError(err)
	}
	for m, err := range messages {
		switch {
		case errors.Is(err, jetstreamext.ErrNoMessages):
			return data, last, nil
		case err != nil:
			return data, last, storeError(err)
		case int64(len(data)+len(m.Data)) > large.Size:
			return data, last, fmt.Errorf("%w: more than %d bytes are stored", event.ErrLost, large.Size)
		}
		data, last = append(data, m.Data...), m.Sequence
	}
	return data, last, nil
}

// missing asks the leader why there is nothing at or above a sequence: a replica
// may be behind.
func (s *objects) missing(ctx context.Context, large *event.Large, from uint64) error {
	last, err := s.bus.lastMessage(ctx, s.bus.names.Objects, s.bus.names.Object(large.Object))
	switch {
	case err != nil:
		return err
	case last == nil:
		return fmt.Errorf("%w: there is no such object", event.ErrLost)
	case last.sequence < from:
		return fmt.Errorf("%w: less than %d bytes are stored", event.ErrLost, large.Size)
	}
	return fmt.Errorf("%w: it cannot be read yet", event.ErrUnavailable)
}

// list returns the names of all objects.
func (s *objects) list(ctx context.Context) ([]string, error) {
	all := s.bus.names.all(kindObject)
	info, err := s.bus.objectStream.Info(ctx, jetstream.WithSubjectFilter(all))
	if err != nil {
		return nil, storeError(err)
	}
	names := make([]string, 0, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		names = append(names, strings.TrimPrefix(subject, s.bus.names.Object("")))
	}
	return names, nil
}

// remove takes an object away.
func (s *objects) remove(ctx context.Context, object string) error {
	return s.bus.purge(ctx, s.bus.objectStream, jetstream.WithPurgeSubject(s.bus.names.Object(object)))
}

// generationEnd returns when the last publisher may have named an object so.
func generationEnd(object string) (time.Time, error) {
	text, _, _ := strings.Cut(object, ".")
	began, err := time.Parse(generationForm, text)
	return began.Add(generationTime), err
}

// patience is how much longer than anything else it may take to store or read
// so many bytes.
func patience(size int64) time.Duration {
	return time.Duration(size) * time.Second / objectPace
}
