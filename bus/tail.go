package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"
)

// mendTails takes back what a power cut has left of a batch. The embedded server
// stores the messages of a batch one after the other, and syncs them at the end: a
// cut in between leaves some of them, which nobody has been told of and nobody has
// read. The server completes such a batch when it finds it staged. What was staged
// in memory is lost then, and on a disk it may be. All or nothing: what is there of
// the last batch of a stream goes, unless it is whole.
func (b *Bus) mendTails(ctx context.Context) error {
	if b.server == nil {
		return nil // the servers of a cluster agree on whole batches
	}
	mended := false
	for _, name := range b.streams() {
		removed, err := b.mendTail(ctx, name)
		if err != nil {
			return fmt.Errorf("stream %s: the end of the last batch: %w", name, storeError(err))
		}
		mended = mended || removed
	}
	if !mended {
		return nil
	}
	// The server knows the ids of what was removed, and would take what comes again
	// under them for stored. Another one asks what is there.
	b.conn.Close()
	if err := b.server.again(); err != nil {
		return err
	}
	return b.connect(ctx)
}

// mendTail tells whether it has removed anything.
func (b *Bus) mendTail(ctx context.Context, name string) (removed bool, err error) {
	stream, err := b.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	last, err := b.lastMessage(ctx, name, ">")
	if err != nil || last == nil {
		return false, err
	}
	place, _ := strconv.ParseUint(last.header.Get(jetstreamext.BatchSeqHeader), 10, 64)
	if place == 0 || last.header.Get(jetstreamext.BatchCommitHeader) != "" {
		return false, nil // in no batch, or the end of one
	}
	// A message that has been removed on purpose leaves its number.
	if stream.CachedInfo().State.LastSeq != last.sequence || place > last.sequence {
		return false, nil
	}
	b.log.WarnContext(ctx, "the machine has stopped while a batch was being stored: the part of it that was stored is removed",
		slog.String("stream", name), slog.Uint64("messages", place), slog.Uint64("last", last.sequence))
	for sequence := last.sequence - place + 1; sequence <= last.sequence; sequence++ {
		if err := stream.DeleteMsg(ctx, sequence); err != nil && !errors.Is(err, jetstream.ErrMsgNotFound) {
			return false, err
		}
	}
	return true, nil
}
