package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// StreamStats are the figures of one stream.
type StreamStats struct {
	Name string
	// Messages and Bytes are what it holds, MaxBytes what it may hold.
	Messages, Bytes, MaxBytes uint64
	// First and Last are the sequences of its first and last message, FirstTime
	// and LastTime when they were stored.
	First, Last         uint64
	FirstTime, LastTime time.Time
}

// Stats returns the figures of the streams, in the order events, ledger,
// letters, objects.
func (b *Bus) Stats(ctx context.Context) ([]StreamStats, error) {
	all := make([]StreamStats, 0, 4)
	for _, name := range b.streams() {
		stats, err := b.streamStats(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, stats)
	}
	return all, nil
}

func (b *Bus) streamStats(ctx context.Context, name string) (StreamStats, error) {
	stream, err := b.js.Stream(ctx, name)
	if err != nil {
		return StreamStats{}, fmt.Errorf("stream %s: %w", name, storeError(err))
	}
	info := stream.CachedInfo()
	return StreamStats{
		Name: name, Messages: info.State.Msgs, Bytes: info.State.Bytes, MaxBytes: uint64(info.Config.MaxBytes),
		First: info.State.FirstSeq, Last: info.State.LastSeq,
		FirstTime: info.State.FirstTime, LastTime: info.State.LastTime,
	}, nil
}

// Healthy returns nil when events can be stored: the server is there, the stream
// of events is the one that was opened and answers a message as it would one to be
// stored, and the disk has room.
func (b *Bus) Healthy(ctx context.Context) error {
	if b.server != nil {
		if _, err := b.server.current(); err != nil {
			return err
		}
	}
	if err := b.space.check(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, _, err := b.Bounds(ctx); err != nil {
		return err
	}
	probe := &nats.Msg{Subject: b.names.Event(0, "health"), Header: nats.Header{nats.MsgIdHdr: {"sluice health"}}}
	fresh, err := b.publisher.dropStored(ctx, []*nats.Msg{probe})
	if err != nil {
		return storeError(err)
	}
	if len(fresh) != 1 {
		return fmt.Errorf("%w: the stream %s did not answer as it should", event.ErrUnavailable, b.names.Events)
	}
	return nil
}

// warnOfSpace says when the limits promise more than the disk can hold.
func (b *Bus) warnOfSpace(ctx context.Context) {
	free, err := freeSpace(b.options.Dir)
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err != nil {
		b.log.WarnContext(ctx, "free space is unknown", slog.String("dir", b.options.Dir), slog.Any("error", err))
		return
	}
	var used uint64
	if s, err := b.server.current(); err == nil {
		if stats, err := s.Jsz(nil); err == nil {
			used = stats.Store
		}
	}
	o := b.options
	if limits := o.reserved(); limits > free+int64(used) {
		b.log.WarnContext(ctx, "the disk is smaller than the bus's limits", slog.String("dir", o.Dir),
			slog.Int64("limits", limits), slog.Int64("free", free), slog.Uint64("used", used))
	}
}

// infoOf returns the state of a stream as it is now.
func infoOf(ctx context.Context, stream jetstream.Stream) (jetstream.StreamState, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return jetstream.StreamState{}, storeError(err)
	}
	return info.State, nil
}
