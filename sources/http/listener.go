package http

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// partings is how many refused connections are told why at the same time;
	// beyond it they are closed without a word.
	partings = 128
	// partingTimeout is how long one of them may take.
	partingTimeout = time.Second
)

// A limitListener bounds the connections that are open: in total, and of one
// address. What is beyond it is answered at once and closed, so that it waits
// for nothing and takes nothing from the others.
type limitListener struct {
	net.Listener
	total, most int
	logger      *slog.Logger
	warned      atomic.Int64 // when the last warning was written, Unix seconds
	parting     chan struct{}
	parted      sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   int
	peers  map[netip.Prefix]*peer
}

// A peer is an address that has connections open.
type peer struct {
	connections int
	bodies      atomic.Int64 // the bytes of the bodies under way
}

func limit(inner net.Listener, options Options) *limitListener {
	return &limitListener{
		Listener: inner, total: options.MaxConnections, most: options.MaxConnectionsPerAddress,
		logger: options.Logger, parting: make(chan struct{}, partings), peers: map[netip.Prefix]*peer{},
	}
}

// Accept returns the next connection for which there is room.
func (l *limitListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		prefix := prefixOf(conn.RemoteAddr())
		from, refusal := l.take(prefix)
		if refusal == nil {
			return &counted{Conn: conn, peer: from, release: sync.OnceFunc(func() { l.give(prefix) })}, nil
		}
		l.warn(prefix, refusal)
		l.part(conn, refusal)
	}
}

// Close closes the listener, and waits for the connections that are being told
// why they are refused.
func (l *limitListener) Close() error {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	err := l.Listener.Close()
	l.parted.Wait()
	return err
}

func (l *limitListener) take(prefix netip.Prefix) (*peer, *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.peers[prefix]
	switch {
	case from != nil && from.connections >= l.most:
		return nil, &refusal{
			status: http.StatusTooManyRequests, message: fmt.Sprintf("your address has %d connections open: at most that many", l.most),
			retryAfter: retryOverloaded,
		}
	case l.open >= l.total:
		return nil, &refusal{
			status: http.StatusServiceUnavailable, message: fmt.Sprintf("%d connections are open: at most that many", l.total),
			retryAfter: retryOverloaded,
		}
	case from == nil:
		from = &peer{}
		l.peers[prefix] = from
	}
	from.connections++
	l.open++
	return from, nil
}

func (l *limitListener) give(prefix netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if from := l.peers[prefix]; from.connections > 1 {
		from.connections--
	} else {
		delete(l.peers, prefix)
	}
}

// warn logs a refusal, at most once a second.
func (l *limitListener) warn(prefix netip.Prefix, refused *refusal) {
	now, last := time.Now().Unix(), l.warned.Load()
	if now != last && l.warned.CompareAndSwap(last, now) {
		l.logger.Warn("ingest refuses connections", slog.String("address", prefix.String()), slog.String("reason", refused.message))
	}
}

// part answers a connection and closes it, beside what is accepted.
func (l *limitListener) part(conn net.Conn, refused *refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.parting) == cap(l.parting) { // only this method adds
		_ = conn.Close()
		return
	}
	l.parting <- struct{}{}
	l.parted.Go(func() {
		defer func() { <-l.parting }()
		defer func() { _ = conn.Close() }()
		tell(conn, refused)
	})
}

// tell writes the answer when the sender has begun to speak, as some take an
// answer before that for a broken connection, and reads what else it says for a
// while, as closing on it could take the answer away from it.
func tell(conn net.Conn, refused *refusal) {
	if conn.SetDeadline(time.Now().Add(partingTimeout)) != nil {
		return
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return
	}
	if _, err := conn.Write(refused.raw()); err != nil {
		return
	}
	if half, ok := conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(conn, MaxHeaderBytes))
	}
}

// raw returns the refusal as it goes over a connection that no server has.
func (r *refusal) raw() []byte {
	answer := &rawAnswer{response: http.Response{ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Close: true}}
	r.write(answer)
	answer.response.Body, answer.response.ContentLength = io.NopCloser(&answer.body), int64(answer.body.Len())
	var text bytes.Buffer
	_ = answer.response.Write(&text) // to memory
	return text.Bytes()
}

// A rawAnswer is an answer in memory.
type rawAnswer struct {
	response http.Response
	body     bytes.Buffer
}

func (a *rawAnswer) Header() http.Header            { return a.response.Header }
func (a *rawAnswer) WriteHeader(status int)         { a.response.StatusCode = status }
func (a *rawAnswer) Write(text []byte) (int, error) { return a.body.Write(text) }

// prefixOf returns what counts as one address: an IPv4 address, or the /64 of
// an IPv6 one, since a host has all of it.
func prefixOf(address net.Addr) netip.Prefix {
	parsed, err := netip.ParseAddrPort(address.String())
	if err != nil {
		return netip.Prefix{}
	}
	ip := parsed.Addr().Unmap().WithZone("")
	bits := 64
	if ip.Is4() {
		bits = 32
	}
	prefix, _ := ip.Prefix(bits)
	return prefix
}

type counted struct {
	net.Conn
	peer    *peer
	release func()
}

func (c *counted) Close() error {
	c.release()
	return c.Conn.Close()
}

type peerKey struct{}

// withPeer makes known to the requests of a connection whose it is.
func withPeer(ctx context.Context, conn net.Conn) context.Context {
	if conn, ok := conn.(*counted); ok {
		return context.WithValue(ctx, peerKey{}, conn.peer)
	}
	return ctx
}
