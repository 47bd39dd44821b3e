package bus

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// listen reads from the embedded server with one consumer until it fails. It asks
// for no more than there is room for, so that it can always read what comes: the
// server drops who does not.
func (r *reader) listen(ctx context.Context) error {
	consumer, err := r.newConsumer(ctx)
	if err != nil {
		return err
	}
	defer r.drop(ctx, consumer)
	conn, err := r.server.InProcessConn()
	if err != nil {
		return err
	}
	w, err := newWire(conn)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, w.close)()
	l := &listening{reader: r, wire: w, subject: "$JS.API.CONSUMER.MSG.NEXT." + r.stream + "." + consumer.CachedInfo().Name}
	ended, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		l.keepAsking(ended)
	}()
	err = l.read()
	w.close()
	close(ended)
	<-done
	return err
}

// consumerKept is how long the embedded server keeps a consumer while nothing is
// asked for. It is gone with the process in any case.
const consumerKept = 24 * time.Hour

// newConsumer makes a consumer as an ordered one of nats.go is made. It waits for
// the server also when ctx ends: whoever does not know what was made cannot delete it.
func (r *reader) newConsumer(ctx context.Context) (jetstream.Consumer, error) {
	ctx, release := r.line.hold(context.WithoutCancel(ctx))
	defer release()
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return r.lane.js.CreateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
		DeliverPolicy: r.config.DeliverPolicy, OptStartSeq: r.config.OptStartSeq, FilterSubjects: r.config.FilterSubjects,
		HeadersOnly: r.config.HeadersOnly, InactiveThreshold: consumerKept,
		AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1, Replicas: 1, MemoryStorage: true,
	})
}

// A listening is a reader with its wire.
type listening struct {
	*reader
	*wire
	subject string // to ask at

	asking sync.Mutex   // of whoever asks
	asked  atomic.Int64 // messages that have not come yet
	left   int          // bytes that may come yet of what was asked for
}

// keepAsking asks for more whenever something was taken.
func (l *listening) keepAsking(ended <-chan struct{}) {
	for {
		select {
		case <-l.space:
		case <-ended:
			return
		}
		if l.ask() != nil {
			l.wire.close() // whoever reads has an error
			return
		}
	}
}

// ask asks for as much as there is room for, once everything has come that was
// asked for before, and half of the room is free. The server is to answer in time
// as long as something is asked for.
func (l *listening) ask() error {
	l.asking.Lock()
	defer l.asking.Unlock()
	if l.asked.Load() > 0 {
		return nil
	}
	messages, bytes := l.room()
	if messages < l.lane.ahead/2 || bytes < readAheadBytes/2 {
		return l.conn.SetReadDeadline(time.Time{})
	}
	if err := l.conn.SetReadDeadline(time.Now().Add(pullExpiry + storeTimeout)); err != nil {
		return err
	}
	l.left = bytes
	l.asked.Store(int64(messages))
	return l.publish(l.subject, fmt.Sprintf(`{"batch":%d,"max_bytes":%d,"expires":%d}`, messages, bytes, pullExpiry))
}

// room is how much may arrive before it is full.
func (r *reader) room() (messages, bytes int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lane.ahead - len(r.ahead), readAheadBytes - r.bytes
}

// read takes what comes until that fails.
func (l *listening) read() error {
	err := l.ask()
	var m stored
	for place := uint64(1); err == nil; {
		err = l.next(&m)
		if answer, ok := errors.AsType[*answerError](err); ok {
			err = l.over(answer)
			continue
		}
		if err == nil && m.place != place {
			err = errOrder
		}
		if err == nil {
			err = l.arrive(&m)
		}
		if place++; err == nil && l.last(&m) {
			err = l.ask()
		}
	}
	return err
}

// last counts a message, and tells whether it is the last one of what was asked
// for. When it takes the last byte the server says nothing of those messages that
// do not come any more.
func (l *listening) last(m *stored) bool {
	if l.left -= m.wire; l.left == 0 {
		l.asked.Store(0)
		return true
	}
	return l.asked.Add(-1) == 0
}

// over asks again when no more comes of what was asked for: its time is over, or
// the next message does not fit into its bytes. That all has come is known.
func (l *listening) over(answer *answerError) error {
	switch {
	case answer.status == 409 && answer.text == "Batch Completed":
		return nil
	case answer.status == 408, answer.status == 409 && answer.text == "Message Size Exceeds MaxBytes":
		l.asked.Store(0)
		return l.ask()
	}
	return answer
}
