package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/sources"
)

// apiTimeout bounds one question to JetStream.
const apiTimeout = 10 * time.Second

// A pulled message is one of a stream, with its place there.
type pulled struct {
	message

	msg      jetstream.Msg
	sequence uint64
	meta     *jetstream.MsgMetadata
}

// messages begins to pull. The server sends ahead what has maxBytes at most.
func messages(consumer jetstream.Consumer) (jetstream.MessagesContext, error) {
	return consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(2*sources.MaxBatch, maxBytes),
		jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(heartbeat),
		jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
}

// batch returns the next message, and those that are there behind it.
func (r *run) batch(ctx context.Context, from jetstream.MessagesContext, created time.Time) ([]pulled, error) {
	var all []pulled
	size := 0
	next := jetstream.NextContext(ctx)
	for len(all) < sources.MaxBatch && size < maxBytes {
		msg, err := from.Next(next)
		if len(all) > 0 && (errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		one, err := r.pulled(msg, created)
		if err != nil {
			return all, err
		}
		all = append(all, one)
		size += len(msg.Data())
		next = jetstream.NextMaxWait(gather)
	}
	return all, nil
}

func (r *run) pulled(msg jetstream.Msg, created time.Time) (pulled, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return pulled{}, fmt.Errorf("a message without its place in the stream: %w", err)
	}
	return pulled{
		msg: msg, meta: meta, sequence: meta.Sequence.Stream,
		message: message{
			subject: msg.Subject(), header: msg.Headers(), data: msg.Data(), time: meta.Timestamp,
			origin: r.cfg.Stream, id: streamID(r.cfg.Stream, created, meta.Sequence.Stream),
		},
	}, nil
}

// plain returns the messages without their places.
func plain(all []pulled) []message {
	messages := make([]message, len(all))
	for i := range all {
		messages[i] = all[i].message
	}
	return messages
}

// info asks for the stream.
func (r *run) info(ctx context.Context) (jetstream.Stream, *jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := r.js.Stream(ctx, r.cfg.Stream)
	if err != nil {
		return nil, nil, err
	}
	return stream, stream.CachedInfo(), nil
}
