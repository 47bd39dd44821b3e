package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
	"sluice/sources/upstream"
)

const (
	shard = "stream"
	// maxLeft is how many messages that are too large are remembered.
	maxLeft = 100
	// unused is after which time the server removes a consumer that nobody uses.
	unused = time.Minute
)

// A position is what the cursor holds.
type position struct {
	Version int `json:"v"`
	// Stream and Created tell one stream from another.
	Stream  string    `json:"stream"`
	Created time.Time `json:"created"`
	// Last is the sequence of the last message that was published.
	Last uint64 `json:"last"`
	// At is where to begin as long as nothing was published.
	At time.Time `json:"at,omitzero"`
	// Left are the sequences of messages before it that were too large.
	Left []uint64 `json:"left,omitempty"`
}

const positionVersion = 1

// A newerError is a cursor that a newer sluice has written.
type newerError struct{ version int }

func (e *newerError) Error() string {
	return fmt.Sprintf("its cursor has version %d, of a newer sluice; this one reads up to %d", e.version, positionVersion)
}

// A cursor reads a stream from where the last events were stored.
type cursor struct {
	*run
	position position
	loaded   bool
}

func (c *cursor) read(ctx context.Context, well func()) error {
	stream, info, err := c.info(ctx)
	if err != nil {
		return err
	}
	if info.Config.Retention != jetstream.LimitsPolicy {
		return fmt.Errorf("its messages go away when they are acknowledged (retention %v), so that a consumer is needed: write consumer", info.Config.Retention)
	}
	if err := c.begin(ctx, info); err != nil {
		return err
	}
	if err := c.again(ctx, stream); err != nil {
		return err
	}
	consumer, err := c.consumer(ctx, stream)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		_ = stream.DeleteConsumer(ctx, consumer.CachedInfo().Name) // else the server does, after a while
	}()
	// A stream that was made anew before there was the consumer is not this one.
	if _, now, err := c.info(ctx); err != nil || !now.Created.Equal(c.position.Created) {
		return errors.Join(errAnew, err)
	}
	from, err := messages(consumer)
	if err != nil {
		return err
	}
	defer from.Stop()
	c.setLag(int64(consumer.CachedInfo().NumPending), c.env.Now())
	well()
	return c.follow(ctx, from)
}

var errAnew = errors.New("the stream was made anew")

// begin finds out where to read from.
func (c *cursor) begin(ctx context.Context, info *jetstream.StreamInfo) error {
	if !c.loaded {
		if err := c.load(ctx); err != nil {
			return err
		}
		c.loaded = true
	}
	known := c.position
	switch {
	case known.Created.IsZero(), known.Stream != c.cfg.Stream: // the first time
		s, err := c.cfg.start()
		if err != nil {
			return err
		}
		c.position = position{Last: s.after, At: s.at}
		if s.new {
			c.position.Last = info.State.LastSeq
		}
	case !known.Created.Equal(info.Created):
		c.env.Logger.Warn("the stream was made anew, and is read from its beginning", slog.String("stream", c.cfg.Stream),
			slog.Time("before", known.Created), slog.Time("now", info.Created))
		c.position = position{}
	case info.State.LastSeq < known.Last:
		c.env.Logger.Warn("the servers have lost the end of the stream", slog.String("stream", c.cfg.Stream),
			slog.Uint64("read_up_to", known.Last), slog.Uint64("stream_ends_at", info.State.LastSeq))
		c.position.Last = info.State.LastSeq
	default:
		if first := info.State.FirstSeq; known.Last > 0 && first > known.Last+1 {
			c.env.Logger.Warn("messages of the stream are gone, some of them perhaps before they were read",
				slog.String("stream", c.cfg.Stream), slog.Uint64("read_up_to", known.Last), slog.Uint64("stream_begins_at", first))
		}
		return nil
	}
	c.position.Stream, c.position.Created = c.cfg.Stream, info.Created
	return c.store(ctx, c.position, nil)
}

func (c *cursor) load(ctx context.Context) error {
	var data []byte
	err := c.health.Until(ctx, "bus", func(ctx context.Context) (err error) {
		data, err = c.out.Cursor(ctx, shard)
		return err
	})
	if err != nil || data == nil {
		return err
	}
	if err := json.Unmarshal(data, &c.position); err != nil {
		return fmt.Errorf("the cursor cannot be read: %w", err)
	}
	if c.position.Version > positionVersion {
		return &newerError{version: c.position.Version}
	}
	return nil
}

// store makes events and a position durable.
func (c *cursor) store(ctx context.Context, p position, events []event.Event) error {
	p.Version = positionVersion
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return c.health.Until(ctx, "bus", func(ctx context.Context) error {
		return c.out.PublishAt(ctx, shard, data, events...)
	})
}

// consumer makes one that lives as long as it is used.
func (c *cursor) consumer(ctx context.Context, stream jetstream.Stream) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	wanted := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: unused, MemoryStorage: true, Replicas: 1,
		FilterSubjects: c.cfg.Subjects, Description: "the source " + c.env.Name + " of sluice",
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: c.position.Last + 1,
	}
	if at := c.position.At; !at.IsZero() {
		wanted.DeliverPolicy, wanted.OptStartSeq, wanted.OptStartTime = jetstream.DeliverByStartTimePolicy, 0, &at
	}
	return stream.CreateConsumer(ctx, wanted)
}

// follow publishes what comes, in its order and without a gap.
func (c *cursor) follow(ctx context.Context, from jetstream.MessagesContext) error {
	for given := uint64(0); ; {
		all, err := c.batch(ctx, from, c.position.Created)
		for i := range all {
			if given++; all[i].meta.Sequence.Consumer != given {
				return fmt.Errorf("message %d of the consumer was expected, and %d came: it is asked for again", given, all[i].meta.Sequence.Consumer)
			}
		}
		if len(all) > 0 {
			if err := c.take(ctx, all); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
	}
}

func (c *cursor) take(ctx context.Context, all []pulled) error {
	long, cancel := upstream.Grace(ctx, grace)
	defer cancel()
	events := c.events(plain(all))
	_, err := upstream.Divide(len(events), func(from, to int) error {
		next := c.position
		next.Last, next.At = all[to-1].sequence, time.Time{}
		err := c.store(long, next, events[from:to])
		switch {
		case err == nil:
			c.position = next
			c.setLag(int64(all[to-1].meta.NumPending), all[to-1].time)
		case errors.Is(err, event.ErrTooLarge) && to-from == 1:
			return c.leave(long, all[from].sequence)
		}
		return err
	})
	return err
}

// leave passes by a message that is too large, and remembers it: with a larger
// bus.max_event it is published at the next start.
func (c *cursor) leave(ctx context.Context, sequence uint64) error {
	if len(c.position.Left) == maxLeft {
		return fmt.Errorf("more than %d messages are larger than bus.max_event: raise that, or delete them: %s", maxLeft, some(c.position.Left))
	}
	next := c.position
	next.Left = append(slices.Clone(next.Left), sequence)
	next.Last, next.At = sequence, time.Time{}
	if err := c.store(ctx, next, nil); err != nil {
		return err
	}
	c.position = next
	c.tell()
	return nil
}

func (c *cursor) tell() {
	if len(c.position.Left) == 0 {
		c.health.Set("left", nil)
		return
	}
	c.health.Set("left", fmt.Errorf("stream %q: messages are larger than bus.max_event and were passed by: raise that and start again, or delete them: %s",
		c.cfg.Stream, some(c.position.Left)))
}

// some names a few sequences.
func some(all []uint64) string {
	const few = 5
	text := fmt.Sprint(all[:min(few, len(all))])
	if len(all) > few {
		text += fmt.Sprintf(" and %d more", len(all)-few)
	}
	return text
}

// again publishes what was left, as far as it is there and can be published now.
func (c *cursor) again(ctx context.Context, stream jetstream.Stream) error {
	for _, sequence := range c.position.Left {
		var found []message
		raw, err := stream.GetMsg(ctx, sequence)
		switch {
		case errors.Is(err, jetstream.ErrMsgNotFound):
		case err != nil:
			return err
		default:
			found = []message{{
				subject: raw.Subject, header: raw.Header, data: raw.Data, time: raw.Time,
				origin: c.cfg.Stream, id: streamID(c.cfg.Stream, c.position.Created, sequence),
			}}
		}
		next := c.position
		next.Left = slices.DeleteFunc(slices.Clone(next.Left), func(one uint64) bool { return one == sequence })
		err = c.store(ctx, next, c.events(found))
		if errors.Is(err, event.ErrTooLarge) {
			continue
		}
		if err != nil {
			return err
		}
		c.position = next
	}
	c.tell()
	return nil
}
