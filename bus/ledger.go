package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

// LastRecord returns the last record of a claim, or of all claims for the
// empty one, as the stream's leader has it. Sequence 0 means that there is none.
func (b *Bus) LastRecord(ctx context.Context, claim string) (sequence uint64, data []byte, err error) {
	last, err := b.lastRecord(ctx, claim)
	if err != nil || last == nil {
		return 0, nil, err
	}
	return last.sequence, last.data, nil
}

func (b *Bus) lastRecord(ctx context.Context, claim string) (*stored, error) {
	if claim != "" {
		if err := checkToken("claim", claim); err != nil {
			return nil, err
		}
	}
	last, err := b.lastMessage(ctx, b.names.Ledger, b.names.Record(claim))
	if err != nil {
		return nil, err
	}
	return last, checkWrite(last)
}

// ReadRecords calls fn with the records of a claim, or of all claims for the
// empty one, from the sequence from on and up to what is the last one at the
// time of the call. fn may keep data.
func (b *Bus) ReadRecords(ctx context.Context, claim string, from uint64, fn func(sequence uint64, at time.Time, data []byte) error) error {
	last, err := b.lastRecord(ctx, claim)
	if err != nil || last == nil || last.sequence < from {
		return err
	}
	config := jetstream.OrderedConsumerConfig{FilterSubjects: []string{b.names.Record(claim)}}
	r := b.read(ctx, b.live, b.names.Ledger, from, config, func(m *stored) any {
		kept := *m
		kept.header = slices.Clone(m.header)
		return &kept
	})
	defer r.close()
	for done := uint64(0); done < last.sequence; {
		taken := r.take(last.sequence, math.MaxInt, math.MaxInt)
		if len(taken) == 0 {
			select {
			case <-r.ready:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		for _, a := range taken {
			m := a.value.(*stored)
			if err := errors.Join(checkWrite(m), ctx.Err()); err != nil {
				return err
			}
			if err := fn(m.sequence, m.time, m.data); err != nil {
				return err
			}
		}
		done = taken[len(taken)-1].sequence
	}
	return nil
}

// RecordSince returns the sequence of the first record that is not older than
// at, or the largest number when there is none.
func (b *Bus) RecordSince(ctx context.Context, at time.Time) (uint64, error) {
	return b.firstSince(ctx, b.names.Ledger, at, math.MaxUint64)
}

// AppendRecord appends one record to a claim whose last record has the
// sequence expect, 0 for none, and returns its sequence once it is durable. It
// returns event.ErrFenced when the claim's last record is another one. After any
// other error the record may have been stored: append the same again with the
// same expectation.
func (b *Bus) AppendRecord(ctx context.Context, claim string, expect uint64, data []byte) (uint64, error) {
	msg, err := b.record(claim, data)
	if err != nil {
		return 0, err
	}
	msg.Header[nats.ExpectedLastSubjSeqHdr] = []string{strconv.FormatUint(expect, 10)}
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	ctx, release := b.line.hold(ctx)
	defer release()
	ack, err := b.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(20))
	if err == nil {
		err = b.Keep(b.names.Ledger)
	}
	if err != nil {
		return 0, storeError(err)
	}
	return ack.Sequence, nil
}

// AppendSnapshot appends several records to a claim, all or none, and returns
// the first one's sequence and the last one's. Errors are those of AppendRecord.
func (b *Bus) AppendSnapshot(ctx context.Context, claim string, expect uint64, chunks [][]byte) (first, last uint64, err error) {
	if len(chunks) == 0 || len(chunks) > maxGroup {
		return 0, 0, fmt.Errorf("a snapshot of %d chunks: 1 to %d are possible", len(chunks), maxGroup)
	}
	if len(chunks) == 1 {
		last, err = b.AppendRecord(ctx, claim, expect, chunks[0])
		return last, last, err
	}
	messages := make([]*nats.Msg, len(chunks))
	for i, chunk := range chunks {
		if messages[i], err = b.record(claim, chunk); err != nil {
			return 0, 0, err
		}
	}
	messages[0].Header[nats.ExpectedLastSubjSeqHdr] = []string{strconv.FormatUint(expect, 10)}
	snapshots := b.newBatcher(b.names.Ledger)
	if last, err = snapshots.storeBatch(ctx, messages); err != nil {
		return 0, 0, storeError(err)
	}
	return last - uint64(len(chunks)-1), last, nil
}

// MaxRecord is the largest record or chunk that the ledger takes, in bytes: with its
// headers it is a message that every server takes.
const MaxRecord = minPayload - 4<<10

func (b *Bus) record(claim string, data []byte) (*nats.Msg, error) {
	if err := checkToken("claim", claim); err != nil {
		return nil, err
	}
	if len(data) > MaxRecord {
		return nil, fmt.Errorf("%w: a record of %d bytes, at most %d", event.ErrTooLarge, len(data), MaxRecord)
	}
	return &nats.Msg{Subject: b.names.Record(claim), Data: data, Header: nats.Header{
		event.HeaderFormat: {strconv.Itoa(event.FormatVersion)},
	}}, nil
}
