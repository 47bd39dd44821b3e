package bus

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"strconv"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"sluice/event"
)

// A batcher stores messages in a stream: one atomic batch at a time, because
// two at once are slower than one after the other.
type batcher struct {
	js    jetstream.JetStream
	line  *lifeline
	space *space // nil on a cluster
	// blocks are those of the stream; nil on a cluster.
	blocks *blocks
	log    *slog.Logger
	// replicated: the stream is on several servers.
	replicated bool
	// least is from how many messages on a batch is faster, most how many the
	// server takes in one.
	least, most int

	batch sync.Mutex // held while a batch is in flight

	mu       sync.Mutex
	makeRoom func(context.Context) bool // trims history; nil without a janitor
}

// onFull sets what is called when the stream is full; true means: try again.
func (b *batcher) onFull(makeRoom func(context.Context) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.makeRoom = makeRoom
}

// madeRoom tells whether err is that the stream is full, and history could be
// trimmed.
func (b *batcher) madeRoom(ctx context.Context, err error) bool {
	if !errors.Is(storeError(err), event.ErrFull) {
		return false
	}
	b.mu.Lock()
	makeRoom := b.makeRoom
	b.mu.Unlock()
	return makeRoom != nil && makeRoom(ctx)
}

// store stores messages in their order, in a batch when there are enough of
// them, and returns the outcome of each. A batch that the server refuses, for
// one duplicate or anything else that is wrong with one message, is stored
// message by message, so that only the wrong one fails.
func (b *batcher) store(ctx context.Context, messages []*nats.Msg) []outcome {
	if len(messages) < b.least {
		return b.storeSingly(ctx, messages)
	}
	last, err := b.storeBatch(ctx, messages)
	if err == nil {
		return consecutive(last, len(messages))
	}
	if codeOf(err) == 0 || errors.Is(storeError(err), event.ErrFull) {
		return failed(len(messages), storeError(err))
	}
	b.log.LogAttrs(ctx, slog.LevelDebug, "batch refused: storing its messages singly",
		slog.Int("messages", len(messages)), slog.Any("error", err))
	for _, msg := range messages {
		clearBatch(msg)
	}
	return b.storeSingly(ctx, messages)
}

func consecutive(last uint64, n int) []outcome {
	outcomes := make([]outcome, n)
	for i := range outcomes {
		outcomes[i].sequence = last - uint64(n-1-i)
	}
	return outcomes
}

func failed(n int, err error) []outcome {
	outcomes := make([]outcome, n)
	for i := range outcomes {
		outcomes[i].err = err
	}
	return outcomes
}

// storeBatch stores all messages or none, and returns the last one's sequence;
// the others' precede it without a gap. When the stream is full, it makes room
// and tries once more.
func (b *batcher) storeBatch(ctx context.Context, messages []*nats.Msg) (last uint64, err error) {
	if last, err = b.tryBatch(ctx, messages); err != nil && b.madeRoom(ctx, err) {
		return b.tryBatch(ctx, messages)
	}
	return last, err
}

func (b *batcher) tryBatch(ctx context.Context, messages []*nats.Msg) (uint64, error) {
	b.batch.Lock()
	defer b.batch.Unlock()
	size := 0
	for _, msg := range messages {
		size += messageSize(msg)
	}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout+patience(int64(size)))
	defer cancel()
	ctx, release := b.line.hold(ctx)
	defer release()
	ack, err := jetstreamext.PublishMsgBatch(ctx, b.js, messages, flowControl(size, len(messages)))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, b.blocks.settle()
}

// flowControl lets about 8 MiB be under way, far below what the server's queue
// takes. Small batches go without waiting.
func flowControl(size, messages int) jetstreamext.BatchFlowControl {
	if size <= maxGroupBytes {
		return jetstreamext.BatchFlowControl{}
	}
	every := max(1, maxGroupBytes*messages/size)
	return jetstreamext.BatchFlowControl{AckEvery: every, AckTimeout: storeTimeout}
}

// clearBatch makes a message of a refused batch an ordinary one again: with
// these headers it would be taken for a part of a batch.
func clearBatch(msg *nats.Msg) {
	for _, name := range []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader} {
		delete(msg.Header, name)
	}
}

// storeAlone stores messages as one write, all or nothing. A single message needs no batch.
func (b *batcher) storeAlone(ctx context.Context, messages []*nats.Msg) outcome {
	for _, msg := range messages {
		clearBatch(msg)
	}
	if len(messages) > 1 {
		last, err := b.storeBatch(ctx, messages)
		return outcome{sequence: last, err: err}
	}
	o := b.sendSingly(ctx, messages)[0]
	if o.err != nil && b.madeRoom(ctx, o.err) {
		o = b.sendSingly(ctx, messages)[0]
	}
	return o
}

// storeSingly sends messages one after the other without waiting in between.
func (b *batcher) storeSingly(ctx context.Context, messages []*nats.Msg) []outcome {
	outcomes := b.sendSingly(ctx, messages)
	for i := range outcomes {
		if err := outcomes[i].err; err != nil && b.madeRoom(ctx, err) {
			again := b.sendSingly(ctx, messages[i:i+1])
			outcomes[i] = again[0]
		}
		outcomes[i].err = storeError(outcomes[i].err)
	}
	return outcomes
}

func (b *batcher) sendSingly(ctx context.Context, messages []*nats.Msg) []outcome {
	outcomes := make([]outcome, len(messages))
	futures := make([]jetstream.PubAckFuture, len(messages))
	for i, msg := range messages {
		msg.Reply = "" // of an earlier try
		futures[i], outcomes[i].err = b.js.PublishMsgAsync(msg, jetstream.WithStallWait(storeTimeout), jetstream.WithRetryAttempts(20))
	}
	for i, future := range futures {
		if outcomes[i].err == nil {
			outcomes[i] = await(ctx, future)
		}
	}
	if err := b.blocks.settle(); err != nil {
		return failed(len(messages), err)
	}
	return outcomes
}

func await(ctx context.Context, future jetstream.PubAckFuture) outcome {
	select {
	case ack := <-future.Ok():
		return outcome{sequence: ack.Sequence}
	case err := <-future.Err():
		return outcome{err: err}
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

// dropStored returns the messages whose ids the stream does not know. It asks
// with messages that cannot be stored, and the server looks for duplicates
// first.
func (b *batcher) dropStored(ctx context.Context, messages []*nats.Msg) ([]*nats.Msg, error) {
	probes := make([]*nats.Msg, len(messages))
	for i, msg := range messages {
		probes[i] = &nats.Msg{Subject: msg.Subject, Header: nats.Header{
			nats.MsgIdHdr: {messageID(msg)},
		}}
		b.impossible(probes[i])
	}
	var fresh []*nats.Msg
	for i, o := range b.sendSingly(ctx, probes) {
		switch {
		case o.err == nil: // known already
		case codeOf(o.err) == codeWrongLastMsgID, isFenced(o.err):
			fresh = append(fresh, messages[i])
		default:
			return nil, o.err
		}
	}
	return fresh, nil
}

// impossible has a message expect what cannot be. One server alone looks for
// duplicates before the last message id, and after the last sequence. Several do
// so before the last sequence; a last message id they look at only when all have
// agreed on the message, and then its id is taken for ever.
func (b *batcher) impossible(msg *nats.Msg) {
	if b.replicated {
		msg.Header[nats.ExpectedLastSeqHdr] = []string{strconv.FormatUint(math.MaxUint64, 10)}
		return
	}
	msg.Header[nats.ExpectedLastMsgIdHdr] = []string{"sluice no such id"}
}
