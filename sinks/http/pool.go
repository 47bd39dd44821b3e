package http

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

const (
	// How many idle connections one sink keeps, and how long. It is as many as a
	// trigger may have attempts under way: with fewer, the triggers that share a
	// sink would close connections and dial for new ones all the time.
	maxIdle     = 10_000
	idleTimeout = 30 * time.Second
	// The buffers of a connection in use. The larger one bounds the headers of
	// an answer.
	readBuffer  = 16 << 10
	writeBuffer = 4 << 10
)

// A connection is one keep-alive connection.
type connection struct {
	net.Conn
	probe     *probe // of the connection below TLS
	idleSince time.Time
	reused    bool
	bounded   bool   // it has a deadline of its own
	interrupt func() // ends what goes on
}

func newConnection(conn, raw net.Conn) *connection {
	return &connection{Conn: conn, probe: newProbe(raw), interrupt: func() { _ = conn.SetDeadline(time.Unix(1, 0)) }}
}

// bound gives the connection a deadline when the context has none. A context
// with one interrupts it by its end: a deadline here would be a second timer,
// set anew for each request.
func (c *connection) bound(ctx context.Context) error {
	_, bounded := ctx.Deadline()
	switch {
	case !bounded:
		c.bounded = true
		return c.SetDeadline(time.Now().Add(fallbackTimeout))
	case c.bounded:
		c.bounded = false
		return c.SetDeadline(time.Time{})
	}
	return nil
}

// A pool keeps the idle connections of one sink to one address. The newest is
// used first, so that those which are not needed grow old.
type pool struct {
	address string
	dialer  *net.Dialer
	tls     *tls.Config // nil without TLS

	readers, writers sync.Pool

	mu     sync.Mutex
	idle   []*connection // the oldest first
	reaper *time.Timer   // set while there are idle ones
	closed bool
}

// get returns an idle connection that the other side has not closed, or a new
// one.
func (p *pool) get(ctx context.Context) (*connection, error) {
	for {
		c := p.pop()
		if c == nil {
			return p.dial(ctx)
		}
		if time.Since(c.idleSince) < idleTimeout && c.probe.quiet() {
			c.reused = true
			return c, nil
		}
		_ = c.Close()
	}
}

func (p *pool) pop() *connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	c := p.idle[last]
	p.idle[last] = nil
	p.idle = p.idle[:last]
	return c
}

func (p *pool) dial(ctx context.Context) (*connection, error) {
	raw, err := p.dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		return nil, err
	}
	if p.tls == nil {
		return newConnection(raw, raw), nil
	}
	secure := tls.Client(raw, p.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return newConnection(secure, raw), nil
}

// put keeps a connection for the next request, or closes it when there are
// enough.
func (p *pool) put(c *connection) {
	c.idleSince = time.Now()
	if !p.push(c) {
		_ = c.Close()
	}
}

func (p *pool) push(c *connection) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || len(p.idle) >= maxIdle {
		return false
	}
	p.idle = append(p.idle, c)
	if p.reaper == nil {
		p.reaper = time.AfterFunc(idleTimeout, p.reap)
	}
	return true
}

// reap closes what has been idle for too long. It runs only while something
// is idle.
func (p *pool) reap() {
	for _, c := range p.expired(time.Now().Add(-idleTimeout)) {
		_ = c.Close()
	}
}

func (p *pool) expired(before time.Time) []*connection {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for n < len(p.idle) && !p.idle[n].idleSince.After(before) {
		n++
	}
	old := append([]*connection(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	p.reaper = nil
	if len(p.idle) > 0 && !p.closed {
		p.reaper = time.AfterFunc(time.Until(p.idle[0].idleSince.Add(idleTimeout)), p.reap)
	}
	return old
}

// close closes the idle connections; those in use are closed when they come
// back.
func (p *pool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	if p.reaper != nil {
		p.reaper.Stop()
	}
	p.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

func (p *pool) reader(c net.Conn) *bufio.Reader {
	if r, ok := p.readers.Get().(*bufio.Reader); ok {
		r.Reset(c)
		return r
	}
	return bufio.NewReaderSize(c, readBuffer)
}

func (p *pool) releaseReader(r *bufio.Reader) {
	r.Reset(nil)
	p.readers.Put(r)
}

func (p *pool) writer(c net.Conn) *bufio.Writer {
	if w, ok := p.writers.Get().(*bufio.Writer); ok {
		w.Reset(c)
		return w
	}
	return bufio.NewWriterSize(c, writeBuffer)
}

func (p *pool) releaseWriter(w *bufio.Writer) {
	w.Reset(nil)
	p.writers.Put(w)
}
