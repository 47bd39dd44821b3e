package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// MaxBatch is the largest number of events or entries that go into one atomic
// batch beside a cursor or position.
const MaxBatch = maxGroup - 1

// maxPosition is the largest cursor or position, in bytes.
const maxPosition = 512 << 10

// An Out is where one source publishes. It may be used by many goroutines at
// once. Two Outs of the same source fence each other.
type Out struct {
	bus    *Bus
	source string

	mu     sync.Mutex
	shards map[string]*fence
}

// Source returns where the source of that name publishes.
func (b *Bus) Source(name string) *Out {
	return &Out{bus: b, source: name, shards: map[string]*fence{}}
}

// Publish returns nil when all events are durable. An event whose source and
// id were published within the de-duplication window is not stored again. After
// an error any of the events may have been stored. It returns
// event.ErrUnavailable, event.ErrFull or event.ErrTooLarge, wrapped.
func (o *Out) Publish(ctx context.Context, events ...event.Event) error {
	messages, err := o.messages(ctx, events)
	if err != nil || len(messages) == 0 {
		return err
	}
	_, err = o.bus.publisher.publish(ctx, messages)
	return err
}

func (o *Out) messages(ctx context.Context, events []event.Event) ([]*nats.Msg, error) {
	if err := checkToken("source", o.source); err != nil {
		return nil, err
	}
	messages := make([]*nats.Msg, len(events))
	for i := range events {
		var err error
		if messages[i], err = o.bus.message(ctx, o.source, &events[i]); err != nil {
			return nil, fmt.Errorf("event %q: %w", events[i].ID, err)
		}
	}
	return messages, nil
}

// PublishAt makes the events and the shard's new cursor durable together: all
// or nothing. With no events only the cursor moves. It returns event.ErrFenced
// when somebody else has moved the cursor since this Out has read or written it;
// reading it again with Cursor takes note of that.
func (o *Out) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if len(events) > MaxBatch {
		return fmt.Errorf("%d events at once: at most %d", len(events), MaxBatch)
	}
	if err := errors.Join(checkToken("shard", shard), checkPosition("cursor", cursor)); err != nil {
		return err
	}
	messages, err := o.messages(ctx, events)
	if err != nil {
		return err
	}
	return o.bus.writeFenced(ctx, o.fence(shard), o.bus.names.Cursor(o.source, shard), cursor, withoutDoubles(messages))
}

func checkPosition(what string, data []byte) error {
	if len(data) > maxPosition {
		return fmt.Errorf("%w: a %s of %d bytes, at most %d", event.ErrTooLarge, what, len(data), maxPosition)
	}
	return nil
}

// withoutDoubles keeps the first of the messages with one id: a second would
// have the whole batch refused.
func withoutDoubles(messages []*nats.Msg) []*nats.Msg {
	seen := make(map[string]bool, len(messages))
	kept := messages[:0]
	for _, msg := range messages {
		if id := messageID(msg); !seen[id] {
			seen[id] = true
			kept = append(kept, msg)
		}
	}
	return kept
}

// Cursor returns what the last PublishAt of the shard has stored, or nil.
func (o *Out) Cursor(ctx context.Context, shard string) ([]byte, error) {
	if err := errors.Join(checkToken("source", o.source), checkToken("shard", shard)); err != nil {
		return nil, err
	}
	return o.bus.readFenced(ctx, o.fence(shard), o.bus.names.Cursor(o.source, shard))
}

func (o *Out) fence(shard string) *fence {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, found := o.shards[shard]
	if !found {
		f = &fence{}
		o.shards[shard] = f
	}
	return f
}

// readFenced returns what a fenced subject holds, or nil, and lets later
// writes expect it.
func (b *Bus) readFenced(ctx context.Context, f *fence, subject string) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	last, err := b.lastMessage(ctx, b.names.Events, subject)
	if err != nil {
		return nil, err
	}
	if err := checkWrite(last); err != nil {
		return nil, err
	}
	f.see(last)
	if last == nil {
		return nil, nil
	}
	return last.data, nil
}
