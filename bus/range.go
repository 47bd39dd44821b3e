package bus

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
)

const (
	// maxIdle is how many readers of Range stay open, rangeIdle how long.
	maxIdle   = 4
	rangeIdle = 10 * time.Second
	// silence is after how long without a message the bounds are looked at again:
	// what was expected may have been trimmed.
	silence = 250 * time.Millisecond
	// rangeStep is how many messages are waited for at once: to wait for each
	// costs half the speed.
	rangeStep = 128
)

// A rangeReader is a reader that stands before the sequence next. It knows
// that the log went up to last when it looked.
type rangeReader struct {
	*reader
	next, last uint64
	timer      *time.Timer // closes it when idle
}

// rangeReaders keeps the readers of Range open, so that whoever goes on where
// he has stopped reads at full speed.
type rangeReaders struct {
	bus *Bus

	mu     sync.Mutex
	idle   []*rangeReader // the longest unused first
	closed bool
	timers sync.WaitGroup
}

func newRangeReaders(b *Bus) *rangeReaders { return &rangeReaders{bus: b} }

// acquire returns the reader that stands before from, or a new one.
func (rs *rangeReaders) acquire(ctx context.Context, from uint64) *rangeReader {
	rs.mu.Lock()
	at := slices.IndexFunc(rs.idle, func(r *rangeReader) bool { return r.next == from })
	if at >= 0 {
		r := rs.idle[at]
		rs.remove(r)
		rs.mu.Unlock()
		return r
	}
	rs.mu.Unlock()
	b := rs.bus
	r := b.read(context.WithoutCancel(ctx), b.catchUp, b.names.Events, from, jetstream.OrderedConsumerConfig{}, b.decoder())
	return &rangeReader{reader: r, next: from}
}

// remove takes a reader off the idle list. The lock is held.
func (rs *rangeReaders) remove(r *rangeReader) {
	rs.idle = slices.DeleteFunc(rs.idle, func(other *rangeReader) bool { return other == r })
	if r.timer.Stop() {
		rs.timers.Done()
	}
}

// release keeps a reader for later, or closes it.
func (rs *rangeReaders) release(r *rangeReader) {
	rs.mu.Lock()
	if rs.closed {
		rs.mu.Unlock()
		r.close()
		return
	}
	rs.timers.Add(1)
	r.timer = time.AfterFunc(rangeIdle, func() { rs.expire(r) })
	rs.idle = append(rs.idle, r)
	var evicted *rangeReader
	if len(rs.idle) > maxIdle {
		evicted = rs.idle[0]
		rs.remove(evicted)
	}
	rs.mu.Unlock()
	if evicted != nil {
		evicted.close()
	}
}

func (rs *rangeReaders) expire(r *rangeReader) {
	defer rs.timers.Done()
	rs.mu.Lock()
	mine := slices.Contains(rs.idle, r)
	rs.idle = slices.DeleteFunc(rs.idle, func(other *rangeReader) bool { return other == r })
	rs.mu.Unlock()
	if mine {
		r.close()
	}
}

// close ends all idle readers; those in use end when they are released.
func (rs *rangeReaders) close() {
	rs.mu.Lock()
	rs.closed = true
	readers := slices.Clone(rs.idle)
	for _, r := range readers {
		rs.remove(r)
	}
	rs.mu.Unlock()
	for _, r := range readers {
		r.close()
	}
	rs.timers.Wait()
}

// Range returns the next stretch of the log at and above from: up to limit
// messages and about maxBytes bytes, and up to what exists; it does not wait for
// more. To of the batch is the last position that was looked at, from-1 when
// there is nothing. Calls that go on at To+1 read at full speed. It returns a
// *event.NewerFormatError, wrapped, together with what lies before it.
func (b *Bus) Range(ctx context.Context, from uint64, limit, maxBytes int) (event.Batch, error) {
	from, limit, maxBytes = max(from, 1), max(limit, 1), max(maxBytes, 1)
	r := b.ranges.acquire(ctx, from)
	batch, err := r.fill(ctx, b, limit, maxBytes)
	if err != nil {
		r.close() // it may have given what was not passed on
		return batch, err
	}
	r.next = batch.To + 1
	b.ranges.release(r)
	return batch, nil
}

// fill collects one batch.
func (r *rangeReader) fill(ctx context.Context, b *Bus, limit, maxBytes int) (event.Batch, error) {
	batch := event.Batch{From: r.next, To: r.next - 1}
	seen := 0
	for seen < limit && maxBytes > 0 {
		done, err := r.await(ctx, b, batch.To, min(limit-seen, rangeStep))
		if err != nil {
			return batch, err
		}
		if done {
			break
		}
		taken := r.take(r.last, limit-seen, maxBytes)
		for _, a := range taken {
			maxBytes -= a.size
		}
		seen += len(taken)
		if len(taken) == 0 {
			if r.past(r.last) {
				break
			}
			continue
		}
		more, newer := assemble(batch.To+1, taken)
		batch.To, batch.Entries = more.To, append(batch.Entries, more.Entries...)
		if newer != nil {
			return batch, newer
		}
	}
	if batch.To < r.last && seen < limit && maxBytes > 0 {
		batch.To = r.last // what lies between was trimmed
	}
	return batch, nil
}

// await returns when something may be taken, or done when nothing more exists
// above the position to.
func (r *rangeReader) await(ctx context.Context, b *Bus, to uint64, want int) (done bool, err error) {
	if to >= r.last {
		if _, r.last, err = b.Bounds(ctx); err != nil || to >= r.last {
			return true, err
		}
	}
	if r.expect(want, r.last) {
		return false, nil
	}
	timer := time.NewTimer(silence)
	defer timer.Stop()
	select {
	case <-r.ready:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	case <-timer.C:
	}
	if r.expect(1, 0) {
		return false, nil
	}
	// The last message may have been deleted, or all that was expected trimmed.
	next, err := b.fromLeader(ctx, b.names.Events, messageQuery{Sequence: to + 1, NextOf: ">"})
	return err == nil && next == nil, err
}
