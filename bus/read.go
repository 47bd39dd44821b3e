package bus

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"sluice/event"
)

// The largest batch that Tail gives.
const (
	tailBatch = 512
	tailBytes = 8 << 20
)

func (b *Bus) decoder() func(*stored) any {
	return func(m *stored) any { return b.names.decode(m) }
}

// Bounds returns the first and the last sequence of the events. After all were
// trimmed, and before the first, first is last+1. It returns an *IncompatibleError
// when the stream was made anew: its sequences mean something else then.
func (b *Bus) Bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, release := b.line.hold(ctx)
	defer release()
	info, err := b.events.Info(ctx)
	if err != nil {
		return 0, 0, storeError(err)
	}
	if found := info.Config.Metadata[metaIncarnation]; found != b.incarnation {
		return 0, 0, &IncompatibleError{Stream: b.names.Events, Field: "metadata " + metaIncarnation, Found: found, Wanted: b.incarnation}
	}
	return max(info.State.FirstSeq, 1), info.State.LastSeq, nil
}

// FirstSince returns the sequence of the first message of the log that was
// accepted at a time or later, or that of the next one when there is none.
func (b *Bus) FirstSince(ctx context.Context, at time.Time) (uint64, error) {
	_, last, err := b.Bounds(ctx)
	if err != nil {
		return 0, err
	}
	return b.firstSince(ctx, b.names.Events, at, last+1)
}

// Tail calls fn with every stretch of the log from the sequence from on, and
// waits for more at its end. It gives what is there, up to 512 messages, without
// waiting for a batch to fill. It returns nil when ctx has ended, the error of
// fn, or a *event.NewerFormatError, wrapped, at a message that a newer sluice has
// stored. Sequences rise, whatever happens to consumer and connection.
func (b *Bus) Tail(ctx context.Context, from uint64, fn func(event.Batch) error) error {
	r := b.read(ctx, b.live, b.names.Events, from, jetstream.OrderedConsumerConfig{}, b.decoder())
	defer r.close()
	next := max(from, 1)
	for {
		taken := r.take(math.MaxUint64, tailBatch, tailBytes)
		if len(taken) == 0 {
			select {
			case <-r.ready:
				continue
			case <-ctx.Done():
				return nil
			}
		}
		batch, newer := assemble(next, taken)
		if batch.To >= batch.From {
			if err := fn(batch); err != nil {
				return err
			}
		}
		if newer != nil {
			return newer
		}
		next = batch.To + 1
	}
}

// assemble makes a batch of messages, which ends before one of a newer format.
func assemble(from uint64, taken []arrived) (event.Batch, error) {
	batch := event.Batch{From: from, To: from - 1, Entries: make([]*event.Entry, 0, len(taken))}
	for _, a := range taken {
		d := a.value.(*decoded)
		if d.newer != nil {
			return batch, d.newer
		}
		if d.ok {
			batch.Entries = append(batch.Entries, &d.entry)
		}
		batch.To = a.sequence
	}
	return batch, nil
}

// fetchers is how many gets Fetch has under way.
const fetchers = 16

// Fetch returns the entries at the given sequences, which must rise. Those that
// the log does not hold any more, and those that are no entries, are left out.
func (b *Bus) Fetch(ctx context.Context, ascending []uint64) ([]*event.Entry, error) {
	found := make([]*event.Entry, len(ascending))
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(fetchers, len(ascending)) {
		group.Go(func() error {
			for i := next.Add(1) - 1; i < int64(len(ascending)); i = next.Add(1) - 1 {
				var err error
				if found[i], err = b.fetch(ctx, ascending[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(found, func(e *event.Entry) bool { return e == nil }), nil
}

// fetch asks any replica, and the leader when that one does not have it.
func (b *Bus) fetch(ctx context.Context, sequence uint64) (*event.Entry, error) {
	m, err := b.fromReplica(ctx, sequence)
	if err == nil && m == nil {
		m, err = b.fromLeader(ctx, b.names.Events, messageQuery{Sequence: sequence})
	}
	if m == nil {
		return nil, err
	}
	d := b.names.decode(m)
	if d.newer != nil || !d.ok {
		return nil, d.newer
	}
	return &d.entry, nil
}

// fromReplica returns a message as one of the servers has it; nil when that one
// has none.
func (b *Bus) fromReplica(ctx context.Context, sequence uint64) (*stored, error) {
	ctx, release := b.line.hold(ctx)
	defer release()
	raw, err := b.events.GetMsg(ctx, sequence)
	if codeOf(err) == jetstream.JSErrCodeMessageNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, storeError(err)
	}
	return &stored{
		subject: raw.Subject, sequence: raw.Sequence, time: raw.Time, header: event.FieldsOf(raw.Header), data: raw.Data,
	}, nil
}
