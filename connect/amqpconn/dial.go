package amqpconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// handshakeTimeout bounds the opening of a connection to one node, once the
// dialer has reached it.
const handshakeTimeout = 10 * time.Second

// Options are those of a connection.
type Options struct {
	// Name is what the broker's own tools show of the connection.
	Name   string
	Dialer *net.Dialer
	// Gate holds back what is read from the broker; nil for no bound.
	Gate *Gate
}

// Dial opens a connection to the first node that lets it. It ends with ctx. The
// error says what each node has said.
func (b *Broker) Dial(ctx context.Context, o Options) (*amqp091.Connection, error) {
	var all []error
	for _, node := range b.nodes {
		connection, err := b.dial(ctx, node, o)
		if err == nil {
			return connection, nil
		}
		if ctx.Err() != nil {
			return nil, fmt.Errorf("while connecting: %w", ctx.Err())
		}
		all = append(all, fmt.Errorf("%s: %w", node, err))
	}
	return nil, errors.Join(all...)
}

func (b *Broker) dial(ctx context.Context, node string, o Options) (*amqp091.Connection, error) {
	var c *conn
	stop := func() bool { return true }
	settings := b.config(o.Name)
	settings.Dial = func(network, address string) (net.Conn, error) {
		plain, err := o.Dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		c = newConn(plain, o.Gate, b.heartbeat)
		stop = context.AfterFunc(ctx, func() { _ = c.Close() }) // the handshake knows no context
		return c, c.SetDeadline(time.Now().Add(handshakeTimeout))
	}
	connection, err := amqp091.DialConfig(node, settings)
	if stop() && err == nil {
		return connection, nil
	}
	if c == nil {
		return nil, err
	}
	_ = c.Close() // the library leaves it open when the handshake fails
	switch {
	case err == nil:
		return nil, ctx.Err()
	case c.timedOut.Load():
		return nil, fmt.Errorf("it has not answered within %v", handshakeTimeout)
	}
	return nil, b.explain(err)
}

// explain says what a refusal means.
func (b *Broker) explain(err error) error {
	var refused *amqp091.Error
	if !errors.As(err, &refused) {
		return err
	}
	switch {
	case errors.Is(err, amqp091.ErrCredentials):
		return fmt.Errorf("it refuses the user %q: there is none, the password is wrong, or it may come from the broker's own machine only", b.user)
	case errors.Is(err, amqp091.ErrVhost):
		return fmt.Errorf("it refuses the virtual host %q, and does not say why", b.vhost)
	case refused.Code == amqp091.AccessRefused:
		return fmt.Errorf("it refuses the user %q: %s", b.user, refused.Reason)
	case refused.Code == amqp091.NotAllowed:
		return fmt.Errorf("it refuses the virtual host %q: %s", b.vhost, refused.Reason)
	}
	return Reason(err)
}

// Reason returns an error with the broker's own words where err has them, and
// what a lost connection means where it has none.
func Reason(err error) error {
	var said *amqp091.Error
	switch {
	case !errors.As(err, &said):
		return err
	case said == amqp091.ErrClosed:
		return errors.New("the connection is closed")
	case said.Server:
		return fmt.Errorf("the broker says: %s", said.Reason)
	}
	return fmt.Errorf("the connection has broken: %s", said.Reason)
}

// Code returns the broker's reply code (AMQP 0-9-1, section 1.8), or 0.
func Code(err error) int {
	var said *amqp091.Error
	if errors.As(err, &said) && said.Server {
		return said.Code
	}
	return 0
}
