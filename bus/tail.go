package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
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
	b.disconnect()
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
	// A message that has been removed on purpose leaves its number.
	place, _ := strconv.ParseUint(last.header.Get(jetstreamext.BatchSeqHeader), 10, 64)
	if place == 0 || place > last.sequence || stream.CachedInfo().State.LastSeq != last.sequence {
		return false, nil
	}
	batch := stretch{last.sequence - place + 1, last.sequence}
	if last.header.Get(jetstreamext.BatchCommitHeader) != "" {
		return b.mendHoles(ctx, stream, batch)
	}
	return true, b.remove(ctx, stream, batch)
}

// A stretch of sequences, both included.
type stretch struct{ from, to uint64 }

// remove removes what is there of a stretch.
func (b *Bus) remove(ctx context.Context, stream jetstream.Stream, s stretch) error {
	b.log.WarnContext(ctx, "the machine has stopped while a batch was being stored: the part of it that was stored is removed",
		slog.String("stream", stream.CachedInfo().Config.Name), slog.Uint64("first", s.from), slog.Uint64("last", s.to))
	for sequence := s.from; sequence <= s.to; sequence++ {
		_, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err == nil {
			err = stream.DeleteMsg(ctx, sequence)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// mendHoles looks at a batch whose end is there. Where it begins in one block and
// ends in the next, a cut may have taken the end of the first block and left the
// second. Then a cursor or position must go without which some of its events are.
func (b *Bus) mendHoles(ctx context.Context, stream jetstream.Stream, batch stretch) (removed bool, err error) {
	if stream.CachedInfo().State.NumDeleted == 0 {
		return false, nil
	}
	info, err := stream.Info(ctx, jetstream.WithDeletedDetails(true))
	if err != nil {
		return false, err
	}
	oldest, err := b.oldest(ctx, stream)
	if err != nil {
		return false, err
	}
	var write, gone stretch
	for _, hole := range info.State.Deleted {
		if hole < batch.from || hole > batch.to || hole < oldest { // the janitor takes the oldest only
			continue
		}
		if hole > write.to {
			if write, err = fencedAbove(ctx, stream, hole, batch.to); err != nil || write.to == 0 {
				return gone.to > 0, err
			}
		}
		if hole < write.from || write == gone { // before it: a position that was forgotten
			continue
		}
		if err := b.remove(ctx, stream, write); err != nil {
			return true, err
		}
		gone = write
	}
	return gone.to > 0, nil
}

// oldest returns the sequence of the first event or entry.
func (b *Bus) oldest(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	oldest := uint64(math.MaxUint64)
	for _, kind := range []string{kindEvent, kindDirected} {
		m, err := stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(b.names.all(kind)))
		if err == nil {
			oldest = min(oldest, m.Sequence)
		} else if !errors.Is(err, jetstream.ErrMsgNotFound) {
			return 0, err
		}
	}
	return oldest, nil
}

// fencedAbove returns the next fenced message above a sequence, with what was
// stored before it; nothing when there is none up to last.
func fencedAbove(ctx context.Context, stream jetstream.Stream, above, last uint64) (write stretch, err error) {
	for sequence := above + 1; sequence <= last; sequence++ {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			continue
		}
		if err != nil {
			return write, err
		}
		if before, err := strconv.ParseUint(m.Header.Get(headerBefore), 10, 64); err == nil {
			return stretch{sequence - before, sequence}, nil
		}
	}
	return write, nil
}
