// Package link keeps the one connection of a sink that has one.
package link

import (
	"context"
	"fmt"
	"sync"

	"sluice/sinks"
)

// A Conn is a connection.
type Conn interface {
	// Err says why the connection has broken; nil while it works, or mends itself.
	Err() error
	// Close ends it, and returns when nothing of it is left.
	Close()
}

// A Link is opened when a delivery first needs it, and again when one needs it
// after it has broken. It may be used by many goroutines at once.
type Link[C Conn] struct {
	connect func() (C, error)
	stop    func() // breaks off a connect that is under way

	mu      sync.Mutex
	last    *dialing[C] // nil before the first
	pending *dialing[C] // nil when none is under way
	closed  bool
}

// A dialing is one call of connect, for all that wait for it.
type dialing[C Conn] struct {
	done chan struct{}
	conn C
	err  error
}

// works tells whether the connection that was opened can be used.
func (d *dialing[C]) works() bool { return d != nil && d.err == nil && d.conn.Err() == nil }

// New returns a link that connect opens; its context ends when the link is closed.
func New[C Conn](connect func(ctx context.Context) (C, error)) *Link[C] {
	ctx, stop := context.WithCancel(context.Background())
	return &Link[C]{connect: func() (C, error) { return connect(ctx) }, stop: stop}
}

// Get returns the connection, and opens it first when there is none that works.
// Those that wait meanwhile share what comes of it. It returns sinks.ErrClosed
// after Close, and connect's error.
func (l *Link[C]) Get(ctx context.Context) (C, error) {
	d, err := l.dialing()
	if err != nil {
		var none C
		return none, err
	}
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		var none C
		return none, fmt.Errorf("while connecting: %w", ctx.Err())
	}
}

// dialing returns the connection that works, or the one that is being opened.
func (l *Link[C]) dialing() (*dialing[C], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return nil, sinks.ErrClosed
	case l.pending != nil:
		return l.pending, nil
	case l.last.works():
		return l.last, nil
	}
	l.pending = &dialing[C]{done: make(chan struct{})}
	go l.dial(l.pending, l.last)
	return l.pending, nil
}

// dial opens a connection once nothing is left of the one before.
func (l *Link[C]) dial(d, before *dialing[C]) {
	before.close()
	d.conn, d.err = l.connect()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last, l.pending = d, nil
	close(d.done)
}

// close ends the connection, where there is one.
func (d *dialing[C]) close() {
	if d != nil && d.err == nil {
		d.conn.Close()
	}
}

// Close ends the connection. It is called once, after the last Get has returned.
func (l *Link[C]) Close() {
	l.stop()
	l.mu.Lock()
	l.closed = true
	pending := l.pending
	l.mu.Unlock()
	if pending != nil {
		<-pending.done
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last.close()
}
