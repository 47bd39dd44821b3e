package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/sinks"
	"sluice/worker"
)

// A wire is a connection with an inbox for answers. The client's own requests
// take one answer each; here a worker may ask for time before.
type wire struct {
	conn  *nats.Conn
	js    jetstream.JetStream
	inbox string // with a dot at the end

	count   atomic.Uint64
	mu      sync.Mutex
	waiting map[string]*exchange // by the last token of the subject
	breaks  map[*func()]struct{} // called when the connection breaks
}

// An exchange is one request that is not answered yet.
type exchange struct {
	progress chan struct{}
	answer   chan *nats.Msg
}

func openWire(url string, options []nats.Option) (*wire, error) {
	conn, err := nats.Connect(url, options...)
	if err != nil {
		return nil, connectError(err)
	}
	w := &wire{conn: conn, inbox: conn.NewInbox() + ".", waiting: map[string]*exchange{}, breaks: map[*func()]struct{}{}}
	conn.SetDisconnectErrHandler(func(*nats.Conn, error) { w.broken() })
	w.js, err = jetstream.New(conn)
	if err == nil {
		_, err = conn.Subscribe(w.inbox+"*", w.take)
	}
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribing to answers: %w", err)
	}
	return w, nil
}

// take gives an answer to whoever waits for it. The first one counts.
func (w *wire) take(m *nats.Msg) {
	w.mu.Lock()
	x := w.waiting[strings.TrimPrefix(m.Subject, w.inbox)]
	w.mu.Unlock()
	switch {
	case x == nil: // it comes too late
	case string(m.Data) == worker.AnswerProgress:
		select {
		case x.progress <- struct{}{}:
		default:
		}
	default:
		select {
		case x.answer <- m:
		default:
		}
	}
}

// broken calls what wants to know that the connection has broken.
func (w *wire) broken() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for call := range w.breaks {
		(*call)()
	}
}

// onBreak has call called, which does not block, when the connection breaks,
// until forget is called.
func (w *wire) onBreak(call func()) (forget func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaks[&call] = struct{}{}
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.breaks, &call)
	}
}

// Err is nil: a connection that has broken mends itself.
func (*wire) Err() error { return nil }

// Close ends the connection.
func (w *wire) Close() { w.conn.Close() }

// ready returns an error when the connection is broken; it is mended meanwhile.
func (w *wire) ready() error {
	if w.conn.IsConnected() {
		return nil
	}
	if err := w.conn.LastError(); err != nil {
		return fmt.Errorf("the connection is broken, and is being opened again: %w", err)
	}
	return errors.New("the connection is broken, and is being opened again")
}

// request sends a message and waits for its answer, for as long as the worker is
// not silent for longer than silence.
func (w *wire) request(ctx context.Context, m *nats.Msg, silence time.Duration) (*nats.Msg, error) {
	x := &exchange{progress: make(chan struct{}, 1), answer: make(chan *nats.Msg, 1)}
	token := strconv.FormatUint(w.count.Add(1), 36)
	w.mu.Lock()
	w.waiting[token] = x
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.waiting, token)
	}()
	m.Reply = w.inbox + token
	if err := w.conn.PublishMsg(m); err != nil {
		return nil, w.sendError(err)
	}
	return w.await(ctx, x, silence)
}

func (w *wire) await(ctx context.Context, x *exchange, silence time.Duration) (*nats.Msg, error) {
	quiet := time.NewTimer(silence)
	defer quiet.Stop()
	for {
		select {
		case m := <-x.answer:
			return m, nil
		case <-x.progress:
			quiet.Reset(silence)
		case <-quiet.C:
			return nil, w.silent(silence)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// silent is the error of a worker that does not answer.
func (w *wire) silent(silence time.Duration) error {
	if err := w.conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) {
		return fmt.Errorf("no answer for %v (ack_wait), and the server has refused something: %w", silence, err)
	}
	return fmt.Errorf("the worker was silent for %v (ack_wait): it answers within that time, or asks for more", silence)
}

// sendError is that of a message that was not sent.
func (w *wire) sendError(err error) error {
	if errors.Is(err, nats.ErrMaxPayload) {
		return sinks.Permanent(fmt.Errorf("the message is larger than the %d bytes that the server takes (max_payload)", w.conn.MaxPayload()))
	}
	if broken := w.ready(); broken != nil {
		return broken
	}
	return fmt.Errorf("sending: %w", err)
}
