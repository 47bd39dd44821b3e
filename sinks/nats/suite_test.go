package nats_test

import (
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"

	"sluice/config"
	"sluice/sinks"
	sinknats "sluice/sinks/nats"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

// A suiteWorker answers as it is told.
type suiteWorker struct {
	conn      *nats.Conn
	behaviour atomic.Int64
	mu        sync.Mutex
	received  []sinktest.Received
}

func (w *suiteWorker) take(m *nats.Msg) {
	number, _ := strconv.Atoi(m.Header.Get(worker.HeaderAttempt))
	received := sinktest.Received{ID: m.Header.Get(worker.HeaderDelivery), Attempt: number, Data: string(m.Data)}
	w.mu.Lock()
	w.received = append(w.received, received)
	w.mu.Unlock()
	answer := worker.AnswerAck
	switch sinktest.Behaviour(w.behaviour.Load()) {
	case sinktest.Succeed, sinktest.Answer, sinktest.Leave: // Exercise knows that the last two are not there
	case sinktest.Fail:
		answer = worker.AnswerNak
	case sinktest.FailEven:
		if received.Even() {
			answer = worker.AnswerNak
		}
	case sinktest.Refuse:
		answer = worker.AnswerTerm
	case sinktest.Break, sinktest.Hang:
		return // there is no half of a message
	}
	_ = m.Respond([]byte(answer))
}

func (w *suiteWorker) all() []sinktest.Received {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sinktest.Received(nil), w.received...)
}

func TestSuite(t *testing.T) {
	for _, mode := range []sinknats.Mode{sinknats.Binary, sinknats.Raw} {
		t.Run(string(mode), func(t *testing.T) {
			var url string
			sinktest.Exercise(t, sinktest.Fixture{
				Name:        "nats " + string(mode),
				CannotLeave: true,
				Worker: func(t *testing.T) sinktest.Worker {
					t.Helper()
					s := serve(t, nil)
					url = s.ClientURL()
					w := &suiteWorker{conn: dial(t, s)}
					if _, err := w.conn.QueueSubscribe("work", "workers", w.take); err != nil {
						t.Fatal(err)
					}
					if err := w.conn.Flush(); err != nil {
						t.Fatal(err)
					}
					return sinktest.Worker{
						Behave: func(b sinktest.Behaviour) { w.behaviour.Store(int64(b)) },
						Stop:   w.conn.Close, Received: w.all,
					}
				},
				Sink: func(t *testing.T) sinks.Sink {
					t.Helper()
					return build(t, url, func(c *sinknats.Config) {
						c.Mode, c.AckWait = mode, config.Duration(patience/20)
					})
				},
			})
		})
	}
}
