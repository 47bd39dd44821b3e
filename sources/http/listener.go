package http

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"
)

// limit bounds the connections of a listener: in total, where more wait to be
// accepted, and of one address, where more are closed at once.
func limit(inner net.Listener, options Options) net.Listener {
	return &perAddress{
		Listener: netutil.LimitListener(inner, options.MaxConnections),
		most:     options.MaxConnectionsPerAddress,
		logger:   options.Logger,
		open:     map[netip.Prefix]int{},
	}
}

type perAddress struct {
	net.Listener
	most   int
	logger *slog.Logger
	warned atomic.Int64 // when the last warning was written, Unix seconds

	mu   sync.Mutex
	open map[netip.Prefix]int
}

// Accept returns the next connection of an address that has room for it.
func (l *perAddress) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		prefix := prefixOf(conn.RemoteAddr())
		if l.take(prefix) {
			return &counted{Conn: conn, release: sync.OnceFunc(func() { l.give(prefix) })}, nil
		}
		l.refuse(conn, prefix)
	}
}

// refuse closes a connection, and says so at most once a second.
func (l *perAddress) refuse(conn net.Conn, prefix netip.Prefix) {
	_ = conn.Close()
	now, last := time.Now().Unix(), l.warned.Load()
	if now != last && l.warned.CompareAndSwap(last, now) {
		l.logger.Warn("ingest refuses connections of one address", slog.String("address", prefix.String()),
			slog.Int("open", l.most))
	}
}

func (l *perAddress) take(prefix netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[prefix] >= l.most {
		return false
	}
	l.open[prefix]++
	return true
}

func (l *perAddress) give(prefix netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[prefix]--; l.open[prefix] == 0 {
		delete(l.open, prefix)
	}
}

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
	release func()
}

func (c *counted) Close() error {
	c.release()
	return c.Conn.Close()
}
