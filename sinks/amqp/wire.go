package amqp

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"
	"golang.org/x/sync/semaphore"

	"sluice/connect/amqpconn"
	"sluice/sinks"
	"sluice/worker"
)

const (
	// maxUnconfirmed is how many bytes of messages may be without a confirm.
	maxUnconfirmed = 64 << 20
	// overhead is what a message counts beside its body.
	overhead = 2 << 10
	// closeTimeout bounds the orderly end of a connection.
	closeTimeout = 3 * time.Second
)

// A wire is one connection with one channel that confirms. All messages go
// through one goroutine, as the client library's calls know no context, and all
// that the broker says comes back through another one: a message that no queue
// takes is returned before it is confirmed.
type wire struct {
	exchange   string
	mandatory  bool
	connection *amqp091.Connection
	channel    *amqp091.Channel
	limit      *atomic.Int64 // the link's
	outgoing   chan *outgoing
	room       *semaphore.Weighted

	broken   chan *amqp091.Error
	returns  chan amqp091.Return
	confirms chan amqp091.Confirmation
	blocks   chan amqp091.Blocking
	gone     context.Context //nolint:containedctx // it is the wire's own end
	end      context.CancelFunc
	cause    error // why it is gone; not before
	workers  sync.WaitGroup

	mu      sync.Mutex
	last    uint64               // delivery tag
	pending map[uint64]*outgoing // by delivery tag; nil when the wire is gone
	blocked chan struct{}        // closed when the broker takes messages again; nil while it does
	reason  string               // why it takes none
}

// An outgoing is a message on its way.
type outgoing struct {
	key     string
	message amqp091.Publishing
	state   atomic.Int32
	result  chan error // has room for one
}

// The states of a message.
const (
	waiting int32 = iota
	sent
	abandoned
)

func newOutgoing(key string, m amqp091.Publishing) *outgoing {
	return &outgoing{key: key, message: m, result: make(chan error, 1)}
}

func (o *outgoing) size() int64 { return min(int64(len(o.message.Body)+overhead), maxUnconfirmed) }

// abandon tells whether the message was not sent, and never will be.
func (o *outgoing) abandon() bool { return o.state.CompareAndSwap(waiting, abandoned) }

// openWire opens the channel and begins.
func openWire(c *Config, connection *amqp091.Connection, limit *atomic.Int64) (*wire, error) {
	w := &wire{
		exchange: c.Exchange, mandatory: c.Mandatory, connection: connection, limit: limit,
		outgoing: make(chan *outgoing), room: semaphore.NewWeighted(maxUnconfirmed), pending: map[uint64]*outgoing{},
	}
	w.gone, w.end = context.WithCancel(context.Background())
	var err error
	if w.channel, err = connection.Channel(); err == nil {
		err = w.channel.Confirm(false)
	}
	if err != nil {
		w.hangUp()
		return nil, fmt.Errorf("opening a channel that confirms: %w", amqpconn.Reason(err))
	}
	w.broken = w.channel.NotifyClose(make(chan *amqp091.Error, 1))
	w.returns = w.channel.NotifyReturn(make(chan amqp091.Return))
	w.confirms = w.channel.NotifyPublish(make(chan amqp091.Confirmation))
	w.blocks = connection.NotifyBlocked(make(chan amqp091.Blocking))
	w.workers.Go(w.write)
	w.workers.Go(w.listen)
	return w, nil
}

// hangUp ends the connection; it may have ended.
func (w *wire) hangUp() { _ = w.connection.CloseDeadline(time.Now().Add(closeTimeout)) }

// Err tells whether the connection has ended.
func (w *wire) Err() error { return w.gone.Err() }

// Close ends the connection, and returns when nothing of it is left.
func (w *wire) Close() {
	w.hangUp()
	w.workers.Wait()
}

// offer hands a message to the writing goroutine.
func (w *wire) offer(ctx context.Context, o *outgoing) error {
	select {
	case w.outgoing <- o:
		return nil
	case <-w.gone.Done():
		return notSent(w.cause)
	case <-ctx.Done():
		return w.unsent(ctx.Err())
	}
}

// await returns what has become of a message that was offered.
func (w *wire) await(ctx context.Context, o *outgoing) error {
	for gone := w.gone.Done(); ; gone = nil {
		select {
		case err := <-o.result:
			return err
		case <-gone:
			if o.abandon() {
				return notSent(w.cause)
			}
		case <-ctx.Done():
			if o.abandon() {
				return w.unsent(ctx.Err())
			}
			return fmt.Errorf("sent, and not confirmed within the attempt's time%s: %w", w.why(), ctx.Err())
		}
	}
}

func notSent(err error) error { return fmt.Errorf("not sent: %w", err) }

// why says that the broker takes no messages, if so.
func (w *wire) why() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.blocked == nil {
		return ""
	}
	return fmt.Sprintf("; the broker takes no messages at the moment (%s)", w.reason)
}

// unsent is the error of a message for which the attempt's time was too short.
func (w *wire) unsent(err error) error {
	why := w.why()
	err = fmt.Errorf("not sent within the attempt's time%s: %w", why, err)
	if why == "" {
		return err
	}
	return &sinks.ThrottledError{Err: err}
}

// write sends what is offered.
func (w *wire) write() {
	for {
		select {
		case o := <-w.outgoing:
			if w.ready(o) {
				w.send(o)
			}
		case <-w.gone.Done():
			return
		}
	}
}

// ready waits until the broker takes messages, and there is room for one more
// without a confirm; not beyond the wire's own end.
func (w *wire) ready(o *outgoing) bool {
	for {
		w.mu.Lock()
		blocked := w.blocked
		w.mu.Unlock()
		if blocked == nil {
			return w.room.Acquire(w.gone, o.size()) == nil
		}
		select {
		case <-blocked:
		case <-w.gone.Done():
			return false
		}
	}
}

// send publishes a message, unless it was abandoned meanwhile. What fails ends
// the wire: half of a message may be on its way.
func (w *wire) send(o *outgoing) {
	w.mu.Lock()
	if w.pending == nil || !o.state.CompareAndSwap(waiting, sent) {
		w.mu.Unlock()
		w.room.Release(o.size())
		return
	}
	w.last++
	w.pending[w.last] = o
	w.mu.Unlock()
	if err := w.channel.Publish(w.exchange, o.key, w.mandatory, false, o.message); err != nil {
		w.hangUp()
	}
}

// An attempted is what tells the attempts of deliveries apart.
type attempted struct{ id, attempt any }

// listen takes what the broker says until the connection is closed. Nothing in it
// waits for the library, which waits for it.
func (w *wire) listen() {
	returned := map[attempted]error{}
	for w.returns != nil || w.confirms != nil || w.blocks != nil {
		select {
		case r, open := <-w.returns:
			if !open {
				w.returns = nil
				continue
			}
			returned[attempted{r.MessageId, r.Headers[worker.HeaderAttempt]}] = unroutable(&r)
		case c, open := <-w.confirms:
			if !open {
				w.confirms = nil
				w.fail()
				w.workers.Go(w.hangUp) // the channel may have ended alone
				continue
			}
			w.settle(c, returned)
		case b, open := <-w.blocks:
			if !open {
				w.blocks = nil
				continue
			}
			w.block(b)
		}
	}
}

// unroutable is the error of a message that was returned.
func unroutable(r *amqp091.Return) error {
	return fmt.Errorf("no queue takes what is sent to the exchange %q with the routing key %q: bind one, or write mandatory: false: the broker says: %d %s",
		r.Exchange, r.RoutingKey, r.ReplyCode, r.ReplyText)
}

var errNack = errors.New("the broker has not taken it: a queue is full, or has failed")

// settle ends a message by its confirm.
func (w *wire) settle(c amqp091.Confirmation, returned map[attempted]error) {
	w.mu.Lock()
	o := w.pending[c.DeliveryTag]
	delete(w.pending, c.DeliveryTag)
	w.mu.Unlock()
	if o == nil {
		return
	}
	w.room.Release(o.size())
	at := attempted{o.message.MessageId, o.message.Headers[worker.HeaderAttempt]}
	err := returned[at]
	delete(returned, at)
	if !c.Ack {
		err = &sinks.ThrottledError{Err: errNack}
	}
	o.result <- err
}

func (w *wire) block(b amqp091.Blocking) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reason = b.Reason
	switch {
	case b.Active && w.blocked == nil:
		w.blocked = make(chan struct{})
	case !b.Active && w.blocked != nil:
		close(w.blocked)
		w.blocked = nil
	}
}

// fail ends everything that waits for a confirm.
func (w *wire) fail() {
	var err error = amqp091.ErrClosed
	if said := <-w.broken; said != nil {
		err = said
	}
	f := w.failure(err)
	w.limit.Store(f.limit)
	w.mu.Lock()
	pending := w.pending
	w.pending = nil
	w.mu.Unlock()
	w.cause = f.err
	w.end()
	for _, o := range pending {
		o.result <- f.of(o)
	}
}

// A failure is why a channel has ended.
type failure struct {
	err         error
	size, limit int64 // of the message that was too large
}

// tooLarge is what RabbitMQ says, with both sizes.
var tooLarge = regexp.MustCompile(`message size (\d+) is larger than configured max size (\d+)`)

func (w *wire) failure(err error) failure {
	switch amqpconn.Code(err) {
	case amqp091.NotFound:
		return failure{err: fmt.Errorf("there is no exchange %q: create it: %w", w.exchange, amqpconn.Reason(err))}
	case amqp091.AccessRefused:
		return failure{err: fmt.Errorf("the user may not publish to the exchange %q: %w", w.exchange, amqpconn.Reason(err))}
	case amqp091.PreconditionFailed:
		if sizes := tooLarge.FindStringSubmatch(err.Error()); sizes != nil {
			f := failure{err: fmt.Errorf("the channel has ended because of another message: %w", amqpconn.Reason(err))}
			f.size, _ = strconv.ParseInt(sizes[1], 10, 64)  // digits; too many of them are no size
			f.limit, _ = strconv.ParseInt(sizes[2], 10, 64) // as above
			return f
		}
	}
	return failure{err: amqpconn.Reason(err)}
}

// of is the error of one message that was sent.
func (f failure) of(o *outgoing) error {
	size := int64(len(o.message.Body))
	if f.limit > 0 && size == f.size {
		return overLimit(size, f.limit)
	}
	return fmt.Errorf("sent, and not confirmed: %w", f.err)
}

// overLimit is the error of a message that the broker never takes.
func overLimit(size, limit int64) error {
	return sinks.Permanent(fmt.Errorf("the message has %d bytes, and the broker takes %d (max_message_size)", size, limit))
}
