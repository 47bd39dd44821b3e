//go:build integration

package harness

import (
	"context"
	"io"
	"net"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	rawHurry    = 300 * time.Millisecond
	rawPatience = 20 * time.Second
	rawAnswer   = 1 << 20
)

// A Raw writes bytes to a server as they are, from an address of its own.
type Raw struct {
	to     string
	dialer net.Dialer
}

// NewRaw returns a sender to an address, from one of this machine's, such as
// 127.0.0.2.
func NewRaw(to, from string) *Raw {
	return &Raw{to: to, dialer: net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: rawPatience}}
}

// Dial opens a connection.
func (r *Raw) Dial(ctx context.Context) (net.Conn, error) {
	return r.dialer.DialContext(ctx, "tcp", r.to)
}

// Send writes a text on a connection of its own, and returns the statuses that
// come back: none when the connection is closed without an answer. When
// nothing comes soon, it says that it has nothing more to say.
func (r *Raw) Send(tb testing.TB, text string) ([]int, string) {
	tb.Helper()
	conn, err := r.Dial(tb.Context())
	if err != nil {
		tb.Error(err)
		return nil, ""
	}
	defer func() { _ = conn.Close() }()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_ = conn.SetWriteDeadline(time.Now().Add(rawPatience))
		_, _ = io.WriteString(conn, text) // the server may have heard enough
	}()
	answer := read(conn, rawHurry)
	<-wrote
	if err := conn.(*net.TCPConn).CloseWrite(); err == nil {
		answer += read(conn, rawPatience)
	}
	return statuses(answer), answer
}

// read reads until the other side closes, or says nothing for some time.
func read(conn net.Conn, patience time.Duration) string {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	text, _ := io.ReadAll(io.LimitReader(conn, rawAnswer)) // what has come counts
	return string(text)
}

var statusLine = regexp.MustCompile(`(?m)^HTTP/1\.[01] (\d{3}) `)

func statuses(answer string) []int {
	var all []int
	for _, match := range statusLine.FindAllStringSubmatch(answer, -1) {
		status, _ := strconv.Atoi(match[1]) // three digits
		all = append(all, status)
	}
	return all
}
