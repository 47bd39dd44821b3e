package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/event"
	"sluice/sources"
)

const (
	// maxBatchBytes bounds one PublishAt, unless one record alone is larger.
	maxBatchBytes = 4 << 20
	// recordOverhead is what a record takes in memory beside what is in it.
	recordOverhead = 256

	firstRetry = 250 * time.Millisecond
	maxRetry   = 15 * time.Second
	// grace is how long a publish may still take when its partition is to be let go.
	grace = time.Second
)

// A partition is a partition of a topic while the source reads it. One goroutine
// publishes what the poll has put into its queue.
type partition struct {
	session *session
	topic   string
	topicID string // empty where brokers give none
	number  int32
	shard   string
	maker   *maker

	stop   sync.Once
	quit   chan struct{} // closed when no more may be published
	cancel context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	queue []*kgo.Record
	bytes int64
	wake  chan struct{} // holds a token when the queue has something
	at    cursor        // durable; the worker alone changes it

	position atomic.Int64 // at.Offset
	end      atomic.Int64 // of the log, as last seen
	oldest   atomic.Int64 // the time of the oldest record that waits, in ms; 0 for none
}

func (p *partition) name() string { return fmt.Sprintf("%s/%d", p.topic, p.number) }

func sizeOf(r *kgo.Record) int64 {
	size := recordOverhead + len(r.Key) + len(r.Value)
	for i := range r.Headers {
		size += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return int64(size)
}

// offer puts records into the queue. It does not block: what waits in all
// queues is bounded before it is polled.
func (p *partition) offer(records []*kgo.Record, end int64) {
	p.end.Store(end)
	if len(records) == 0 {
		return
	}
	var bytes int64
	for _, r := range records {
		bytes += sizeOf(r)
	}
	p.session.buffered.add(bytes)
	p.mu.Lock()
	if len(p.queue) == 0 {
		p.oldest.Store(records[0].Timestamp.UnixMilli())
	}
	p.queue = append(p.queue, records...)
	p.bytes += bytes
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// next takes a batch out of the queue; nil when the partition is to be let go.
func (p *partition) next(ctx context.Context) ([]*kgo.Record, int64) {
	for {
		select {
		case <-p.quit:
			return nil, 0
		default:
		}
		if batch, bytes := p.take(); len(batch) > 0 {
			return batch, bytes
		}
		select {
		case <-p.quit:
			return nil, 0
		case <-ctx.Done():
			return nil, 0
		case <-p.wake:
		}
	}
}

func (p *partition) take() (batch []*kgo.Record, bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.queue) && n < sources.MaxBatch && (n == 0 || bytes+sizeOf(p.queue[n]) <= maxBatchBytes) {
		bytes += sizeOf(p.queue[n])
		n++
	}
	batch = p.queue[:n:n]
	if p.queue = p.queue[n:]; len(p.queue) == 0 {
		p.queue = nil
	}
	p.bytes -= bytes
	return batch, bytes
}

// run publishes until the partition is let go.
func (p *partition) run(ctx context.Context) {
	defer close(p.ended)
	for {
		batch, bytes := p.next(ctx)
		if batch == nil {
			return
		}
		err := p.publish(ctx, p.fresh(batch))
		p.session.buffered.add(-bytes)
		p.settleOldest()
		if err != nil {
			p.session.fail(p, err)
			return
		}
	}
}

// settleOldest sets the time of the oldest record that waits.
func (p *partition) settleOldest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.oldest.Store(0)
		return
	}
	p.oldest.Store(p.queue[0].Timestamp.UnixMilli())
}

// fresh leaves out what is published already.
func (p *partition) fresh(records []*kgo.Record) []*kgo.Record {
	n := 0
	for n < len(records) && records[n].Offset < p.at.Offset {
		n++
	}
	return records[n:]
}

// publish makes a batch durable, as often as it takes. It returns an error only
// when the partition cannot go on.
func (p *partition) publish(ctx context.Context, records []*kgo.Record) error {
	for len(records) > 0 {
		events := make([]event.Event, len(records))
		for i, r := range records {
			events[i] = p.maker.event(r)
		}
		err := p.store(ctx, records, events)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, event.ErrFenced):
			if err := p.fenced(ctx, err); err != nil {
				return err
			}
			records = p.fresh(records)
		default:
			return err
		}
	}
	return nil
}

// store publishes events, and tries again what may pass. A batch with an event
// that is too large is halved until it is that event alone, which is passed over.
func (p *partition) store(ctx context.Context, records []*kgo.Record, events []event.Event) error {
	err := p.persist(ctx, func() error { return p.write(ctx, records[len(records)-1], events) })
	if !errors.Is(err, event.ErrTooLarge) {
		return err
	}
	if len(records) == 1 {
		return p.passOver(ctx, records[0], err)
	}
	half := len(records) / 2
	if err := p.store(ctx, records[:half], events[:half]); err != nil {
		return err
	}
	return p.store(ctx, records[half:], events[half:])
}

// passOver goes on behind a record that no event can hold. It stays in the topic.
func (p *partition) passOver(ctx context.Context, r *kgo.Record, err error) error {
	p.session.health.happened("too large "+p.name(), fmt.Errorf("the record %s/%d was passed over, it is still in the topic: %w", p.name(), r.Offset, err))
	return p.persist(ctx, func() error { return p.write(ctx, r, nil) })
}

// write publishes events with the cursor behind the last of their records, or
// marks it for the group.
func (p *partition) write(ctx context.Context, last *kgo.Record, events []event.Event) error {
	next := p.at
	next.Offset = last.Offset + 1
	var err error
	switch {
	case p.session.cfg.Offsets == ByCursor:
		err = p.session.out.PublishAt(ctx, p.shard, next.encode(), events...)
	case len(events) > 0:
		err = p.session.out.Publish(ctx, events...)
	}
	if err != nil {
		return err
	}
	p.move(next)
	if p.session.cfg.Group != "" {
		p.session.client.MarkCommitRecords(last)
	}
	return nil
}

func (p *partition) move(to cursor) {
	p.at = to
	p.position.Store(to.Offset)
}

// errLetGo says that the partition is let go before something was durable.
var errLetGo = errors.New("the partition is let go")

// persist tries to write until it has worked, the reason is one that does not
// pass, or the partition is let go.
func (p *partition) persist(ctx context.Context, write func() error) error {
	pause := backoff.NewExponentialBackOff(backoff.WithInitialInterval(firstRetry), backoff.WithMaxInterval(maxRetry), backoff.WithMaxElapsedTime(0))
	for {
		err := write()
		if err == nil {
			p.session.health.set("bus", nil)
			return nil
		}
		if errors.Is(err, event.ErrFenced) || errors.Is(err, event.ErrTooLarge) {
			return err
		}
		if ctx.Err() == nil {
			p.session.health.set("bus", err)
		}
		timer := time.NewTimer(pause.NextBackOff())
		select {
		case <-p.quit:
			timer.Stop()
			return errLetGo
		case <-timer.C:
		}
	}
}

// fenced looks where somebody else has moved the cursor to. Without a group
// nobody else may read the partition. With one it is a member that has not heard
// yet that it has lost the partition, or this one has not: what is published is
// left out then.
func (p *partition) fenced(ctx context.Context, cause error) error {
	if p.session.cfg.Group == "" {
		return fmt.Errorf("another sluice reads the partition %s by this source's cursor: %w", p.name(), cause)
	}
	data, err := p.session.out.Cursor(ctx, p.shard)
	if err != nil {
		return err
	}
	now, err := decodeCursor(data)
	switch {
	case err != nil:
		return err
	case now == nil || now.Topic != p.at.Topic || now.Generation != p.at.Generation || now.Offset < p.at.Offset:
		return errAnew
	}
	p.move(*now)
	return nil
}

// letGo ends the worker: at once when it waits, and within the grace when it
// publishes. What waits in the queue is dropped; whoever reads the partition
// next begins at the cursor.
func (p *partition) letGo() {
	p.stop.Do(func() { close(p.quit) })
	timer := time.AfterFunc(grace, p.cancel)
	<-p.ended
	timer.Stop()
	p.cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session.buffered.add(-p.bytes)
	p.queue, p.bytes = nil, 0
}
