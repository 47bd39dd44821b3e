package amqpconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A conn bounds what the library does not: a write to a broker that takes
// nothing ends after a while, and nothing is read while the gate is shut.
type conn struct {
	net.Conn
	gate     *Gate
	patience time.Duration // of one write
	closed   chan struct{}
	close    func() error
	timedOut atomic.Bool // a read or a write

	mu          sync.Mutex
	read, write time.Time // the deadlines that the library has set
}

// newConn wraps a connection. A write may take as long as the library waits for
// a sign of life.
func newConn(plain net.Conn, gate *Gate, heartbeat time.Duration) *conn {
	c := &conn{Conn: plain, gate: gate, patience: heartbeat * 3 / 2, closed: make(chan struct{})}
	c.close = sync.OnceValue(func() error {
		close(c.closed)
		return plain.Close()
	})
	return c
}

// Read waits until the gate is open. That time does not count as the broker's
// silence.
func (c *conn) Read(p []byte) (int, error) {
	began := time.Now()
	if c.gate.wait(c.closed) {
		c.mu.Lock()
		if deadline := c.read; !deadline.IsZero() {
			_ = c.Conn.SetReadDeadline(deadline.Add(time.Since(began))) // the read below tells when it is closed
		}
		c.mu.Unlock()
	}
	n, err := c.Conn.Read(p)
	return n, c.note(err)
}

func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	deadline := time.Now().Add(c.patience)
	if !c.write.IsZero() && c.write.Before(deadline) {
		deadline = c.write
	}
	err := c.Conn.SetWriteDeadline(deadline)
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := c.Conn.Write(p)
	return n, c.note(err)
}

func (c *conn) note(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.timedOut.Store(true)
	}
	return err
}

// Close may be called more than once.
func (c *conn) Close() error { return c.close() }

// SetDeadline bounds reads and writes, also those that are under way.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline bounds reads.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read = t
	return c.Conn.SetReadDeadline(t)
}

// SetWriteDeadline bounds writes.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write = t
	return c.Conn.SetWriteDeadline(t)
}

// A Gate bounds how many bytes of messages are held: while there are more,
// nothing is read from the broker, whose flow control holds back the rest. So a
// prefetch of many messages does not take the memory of as many large ones. A
// nil Gate is open.
type Gate struct {
	limit int64

	mu     sync.Mutex
	held   int64
	open   bool          // for ever
	opened chan struct{} // while it is shut
}

// NewGate returns a gate that is shut while more than limit bytes are held.
func NewGate(limit int64) *Gate { return &Gate{limit: limit} }

// Add says that n more bytes are held, or fewer.
func (g *Gate) Add(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += int64(n)
	g.update()
}

// Open opens the gate for ever.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
	g.update()
}

func (g *Gate) update() {
	shut := g.held > g.limit && !g.open
	switch {
	case shut && g.opened == nil:
		g.opened = make(chan struct{})
	case !shut && g.opened != nil:
		close(g.opened)
		g.opened = nil
	}
}

// wait returns when the gate is open, or closed is. It tells whether it has
// waited.
func (g *Gate) wait(closed <-chan struct{}) bool {
	if g == nil {
		return false
	}
	waited := false
	for {
		g.mu.Lock()
		opened := g.opened
		g.mu.Unlock()
		if opened == nil {
			return waited
		}
		waited = true
		select {
		case <-opened:
		case <-closed:
			return waited
		}
	}
}
