// Package worker takes deliveries of sluice's nats sink: it answers them, asks
// for time while they are worked on, and keeps panics from ending the process.
//
// A worker in another language does the same with the client library of NATS:
// the headers and the answers are constants here.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"sluice/event"
)

// A Delivery is one event for one trigger. It may come again: after a crash, and
// when an answer was lost.
type Delivery struct {
	// ID is the same on every attempt.
	ID      string
	Attempt int // from 1
	Trigger string
	// Claim rises with every run of sluice.
	Claim uint64
	Event event.Event
}

// A Handler works on a delivery. Nil means that it is done. Any other error is a
// failed attempt, which is repeated as the trigger's retry policy says; Refuse
// and RetryAfter say more. Its context ends when sluice has given up, not when
// Serve is to end. It is called by many goroutines at once.
type Handler func(ctx context.Context, d *Delivery) error

// Options are what Serve takes.
type Options struct {
	// Subject is that of the sink; it may have wildcards.
	Subject string
	// Queue is the queue group: each delivery goes to one worker of it. Workers of
	// one subject belong to one group, as only the first answer counts.
	Queue string
	// Concurrency is how many deliveries are worked on at once; 10 when it is 0.
	// Others wait, and sluice is asked for time.
	Concurrency int
	// Logger is for what nobody else is told; nil for none.
	Logger *slog.Logger
}

const (
	defaultConcurrency = 10
	// drainTime bounds how long the last answers may take to be sent.
	drainTime = 5 * time.Second
)

// Serve works on deliveries until ctx ends. Then it takes no more, finishes those
// that are being worked on, and returns nil. It returns an error when it cannot
// subscribe, or when the connection is closed; that is the caller's, and goes on
// through reconnects by itself.
func Serve(ctx context.Context, conn *nats.Conn, o Options, handle Handler) error {
	if o.Concurrency == 0 {
		o.Concurrency = defaultConcurrency
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &server{options: o, handle: handle, places: make(chan struct{}, o.Concurrency)}
	closed := make(chan struct{})
	sub, err := conn.QueueSubscribe(o.Subject, o.Queue, func(m *nats.Msg) {
		s.all.Go(func() { s.serve(ctx, m) })
	})
	if err != nil {
		return fmt.Errorf("worker: subscribe to %q: %w", o.Subject, err)
	}
	sub.SetClosedHandler(func(string) { close(closed) })
	return s.await(ctx, conn, sub, closed)
}

// A server is what Serve runs.
type server struct {
	options Options
	handle  Handler
	places  chan struct{} // as many as may be worked on at once
	all     sync.WaitGroup
}

// await waits for the end, and for what is under way then.
func (s *server) await(ctx context.Context, conn *nats.Conn, sub *nats.Subscription, closed <-chan struct{}) error {
	select {
	case <-closed:
		s.all.Wait()
		return fmt.Errorf("worker: %w", nats.ErrConnectionClosed)
	case <-ctx.Done():
	}
	err := sub.Drain()
	if err == nil {
		<-closed
	}
	s.all.Wait()
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err = errors.Join(err, conn.FlushWithContext(drain)); err != nil {
		return fmt.Errorf("worker: the last answers may not have been sent: %w", err)
	}
	return nil
}

// serve works on one message, and asks for time until it is answered.
func (s *server) serve(ctx context.Context, m *nats.Msg) {
	d, err := decode(m)
	if err != nil {
		s.answer(m, Refuse(err))
		return
	}
	work := context.WithoutCancel(ctx)
	if limit := milliseconds(m, HeaderTimeout); limit > 0 {
		var cancel context.CancelFunc
		work, cancel = context.WithTimeout(work, limit)
		defer cancel()
	}
	done := make(chan error, 1)
	go func() { done <- s.work(ctx, work, d) }()
	beat, stop := beats(m)
	defer stop()
	for {
		select {
		case err := <-done:
			s.answer(m, err)
			return
		case <-beat:
			if work.Err() == nil { // else sluice has given up
				s.send(m, &nats.Msg{Data: []byte(AnswerProgress)})
			}
		}
	}
}

var errStopping = errors.New("the worker stops, and has not begun to work on it")

// work waits for its place and calls the handler.
func (s *server) work(serve, work context.Context, d *Delivery) (err error) {
	select {
	case s.places <- struct{}{}:
		defer func() { <-s.places }()
	case <-serve.Done():
		return errStopping
	case <-work.Done():
		return work.Err()
	}
	defer func() {
		if p := recover(); p != nil {
			s.options.Logger.Error("the handler panicked", slog.Any("panic", p), slog.String("delivery", d.ID), slog.String("stack", string(debug.Stack())))
			err = fmt.Errorf("the handler panicked: %v", p)
		}
	}()
	return s.handle(work, d)
}

// beats tells when to ask for time: three times as often as it takes.
func beats(m *nats.Msg) (beat <-chan time.Time, stop func()) {
	wait := milliseconds(m, HeaderAckWait)
	if wait < 3*time.Millisecond {
		return nil, func() {}
	}
	ticker := time.NewTicker(wait / 3)
	return ticker.C, ticker.Stop
}

func milliseconds(m *nats.Msg, header string) time.Duration {
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 31)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// answer tells sluice how a delivery has ended.
func (s *server) answer(m *nats.Msg, err error) {
	s.send(m, answerOf(err))
}

func (s *server) send(m, answer *nats.Msg) {
	if err := m.RespondMsg(answer); err != nil { // the delivery comes again
		s.options.Logger.Warn("an answer cannot be sent", slog.Any("error", err), slog.String("delivery", m.Header.Get(HeaderDelivery)))
	}
}
