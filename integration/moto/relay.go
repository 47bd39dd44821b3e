//go:build integration

package moto

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// A Relay stands before a server that keeps everything in memory, and so cannot
// restart: it goes away, with all connections, and comes back.
type Relay struct {
	// Endpoint is its URL.
	Endpoint string

	address, behind string
	mu              sync.Mutex
	listener        net.Listener
	open            map[net.Conn]struct{}
	workers         sync.WaitGroup
}

// StartRelay starts a relay to the server behind an endpoint. It ends with tb.
func StartRelay(tb testing.TB, endpoint string) *Relay {
	tb.Helper()
	behind, err := url.Parse(endpoint)
	if err != nil {
		tb.Fatal(err)
	}
	r := &Relay{address: "127.0.0.1:0", behind: behind.Host, open: map[net.Conn]struct{}{}}
	r.Up(tb)
	r.Endpoint = "http://" + r.address
	tb.Cleanup(r.Down)
	return r
}

// Up listens.
func (r *Relay) Up(tb testing.TB) {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", r.address)
	if err != nil {
		tb.Fatal(err)
	}
	r.address, r.listener = listener.Addr().String(), listener
	r.workers.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			r.workers.Go(func() { r.pass(conn) })
		}
	})
}

// Down closes everything.
func (r *Relay) Down() {
	_ = r.listener.Close()
	r.mu.Lock()
	for conn := range r.open {
		_ = conn.Close()
	}
	r.mu.Unlock()
	r.workers.Wait()
}

// Restart is Down and Up.
func (r *Relay) Restart(tb testing.TB) {
	tb.Helper()
	r.Down()
	r.Up(tb)
}

func (r *Relay) pass(front net.Conn) {
	defer r.keep(front)()
	back, err := net.Dial("tcp", r.behind) //nolint:noctx // it ends with Down
	if err != nil {
		return
	}
	defer r.keep(back)()
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{front, back}, {back, front}} {
		both.Go(func() {
			_, _ = io.Copy(way[0], way[1])
			_, _ = front.Close(), back.Close()
		})
	}
	both.Wait()
}

// keep has Down close a connection, until the returned function has.
func (r *Relay) keep(conn net.Conn) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[conn] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, conn)
		_ = conn.Close()
	}
}
