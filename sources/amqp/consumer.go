package amqp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/connect/amqpconn"
)

// maxHeld is how many bytes of messages may be here before nothing more is read.
const maxHeld = 64 << 20

// A consumer is one connection on which the queue is consumed.
type consumer struct {
	*source
	connection *amqp091.Connection
	gate       *amqpconn.Gate
	session    string // random: part of the ids of messages that have none
	channel    *amqp091.Channel
	deliveries <-chan amqp091.Delivery
	broken     chan *amqp091.Error // the channel's, closed with it
	closing    sync.Once
	over       chan struct{} // closed by close
	done       chan struct{} // closed when nothing more is received, because of why
	why        error

	mu       sync.Mutex
	received []amqp091.Delivery // and not taken
	wake     chan struct{}

	held int // messages that no event has room for; publish's
}

func newConsumer(s *source, connection *amqp091.Connection, gate *amqpconn.Gate) *consumer {
	return &consumer{
		source: s, connection: connection, gate: gate, session: rand.Text(),
		broken: make(chan *amqp091.Error, 1), over: make(chan struct{}), done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
}

// open connects and begins to consume.
func (s *source) open(ctx context.Context) (*consumer, error) {
	c, err := s.dial(ctx, amqpconn.NewGate(maxHeld))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, c.close) // the library's calls know no context
	err = c.consume()
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// consume makes what the file asks for, and begins.
func (c *consumer) consume() (err error) {
	if c.channel, err = c.connection.Channel(); err != nil {
		return fmt.Errorf("opening a channel: %w", amqpconn.Reason(err))
	}
	c.channel.NotifyClose(c.broken)
	if err := c.channel.Qos(c.cfg.Prefetch, 0, false); err != nil {
		return fmt.Errorf("asking for a prefetch of %d: %w", c.cfg.Prefetch, amqpconn.Reason(err))
	}
	if err := c.declare(); err != nil {
		return err
	}
	for i := range c.cfg.Bind {
		if err := c.bind(&c.cfg.Bind[i]); err != nil {
			return err
		}
	}
	c.deliveries, err = c.channel.Consume(c.cfg.Queue, "sluice", false, c.cfg.Exclusive, false, false, nil)
	if amqpconn.Code(err) == amqp091.AccessRefused {
		return fmt.Errorf("the queue %q cannot be consumed; somebody else may consume it exclusively: %w", c.cfg.Queue, amqpconn.Reason(err))
	}
	if err != nil {
		return fmt.Errorf("consuming the queue %q: %w", c.cfg.Queue, amqpconn.Reason(err))
	}
	return nil
}

func (c *consumer) declare() (err error) {
	if d := c.cfg.Declare; d != nil {
		_, err = c.channel.QueueDeclare(c.cfg.Queue, d.durable(), false, false, false, d.table())
	} else {
		_, err = c.channel.QueueDeclarePassive(c.cfg.Queue, false, false, false, false, nil)
	}
	switch {
	case err == nil:
		return nil
	case amqpconn.Code(err) == amqp091.NotFound:
		return fmt.Errorf("there is no queue %q: create it, or have sluice create it by declare: %w", c.cfg.Queue, amqpconn.Reason(err))
	case amqpconn.Code(err) == amqp091.PreconditionFailed:
		return fmt.Errorf("the queue %q is not what declare says: %w", c.cfg.Queue, amqpconn.Reason(err))
	}
	return fmt.Errorf("the queue %q: %w", c.cfg.Queue, amqpconn.Reason(err))
}

func (c *consumer) bind(b *Binding) error {
	for _, key := range b.keys() {
		err := c.channel.QueueBind(c.cfg.Queue, key, b.Exchange, false, table(b.Arguments))
		if amqpconn.Code(err) == amqp091.NotFound {
			return fmt.Errorf("there is no exchange %q to bind the queue to: create it: %w", b.Exchange, amqpconn.Reason(err))
		}
		if err != nil {
			return fmt.Errorf("binding the queue to the exchange %q: %w", b.Exchange, amqpconn.Reason(err))
		}
	}
	return nil
}

// close ends the connection: what is not acknowledged goes back to the queue. It
// may be called more than once.
func (c *consumer) close() {
	c.closing.Do(func() {
		close(c.over)
		c.gate.Open()                                                // the answer stands behind what was not read
		_ = c.connection.CloseDeadline(time.Now().Add(closeTimeout)) // it may have broken already
	})
}

// receive takes what the broker sends until the consumer ends. It never waits for
// the bus: how much there can be is bounded by the prefetch and the gate.
func (c *consumer) receive() {
	for d := range c.deliveries {
		c.gate.Add(size(&d))
		c.taken.Add(1)
		c.mu.Lock()
		c.received = append(c.received, d)
		c.mu.Unlock()
		c.signal()
	}
	c.why = c.cause()
	close(c.done)
}

func (c *consumer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// errEnded says that a consumer has ended, and not its channel.
var errEnded = errors.New("the broker has ended the consumer: the queue was deleted, or its node has gone")

// cause is why nothing more is received.
func (c *consumer) cause() error {
	select {
	case err := <-c.broken:
		if err != nil {
			return amqpconn.Reason(err)
		}
		return errors.New("the connection is closed")
	default:
		return errEnded
	}
}

// count asks now and then how long the queue is, on a channel of its own.
func (c *consumer) count() {
	tick := time.NewTicker(countEvery)
	defer tick.Stop()
	for {
		channel, err := c.connection.Channel()
		for err == nil {
			var queue amqp091.Queue
			if queue, err = channel.QueueDeclarePassive(c.cfg.Queue, false, false, false, false, nil); err != nil {
				break
			}
			c.ready.Store(int64(queue.Messages))
			select {
			case <-tick.C:
			case <-c.over:
				return
			}
		}
		c.ready.Store(-1)
		select {
		case <-tick.C:
		case <-c.over:
			return
		}
	}
}
