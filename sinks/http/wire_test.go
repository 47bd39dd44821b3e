package http_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sinkhttp "sluice/sinks/http"
)

// rawServer lets talk handle each connection, which is closed afterwards.
func rawServer(tb testing.TB, talk func(n int, c net.Conn, r *bufio.Reader)) string {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for n := 0; ; n++ {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer shut(c)
				stop := context.AfterFunc(tb.Context(), func() { shut(c) })
				defer stop()
				talk(n, c, bufio.NewReader(c))
			})
		}
	})
	tb.Cleanup(func() {
		shut(listener)
		all.Wait()
	})
	return "http://" + listener.Addr().String()
}

// shut closes what the other side may have closed.
func shut(c io.Closer) { _ = c.Close() }

func readRequest(t *testing.T, r *bufio.Reader) bool {
	t.Helper()
	req, err := http.ReadRequest(r)
	if err != nil {
		return false
	}
	if _, err := io.Copy(io.Discard, req.Body); err != nil {
		t.Error(err)
	}
	return true
}

func TestMisbehavingServers(t *testing.T) {
	for name, c := range map[string]struct{ answer, decision, text string }{
		"closes at once":       {"", "retry", "the connection was closed before the answer"},
		"half a status":        {"HTTP/1.1 20", "retry", "the connection was closed before the answer"},
		"half the headers":     {"HTTP/1.1 200 OK\r\nContent-Le", "retry", "the connection was closed before the answer"},
		"half the body":        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "retry", "reading the answer: "},
		"half a chunk":         {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf", "retry", "reading the answer: "},
		"bad chunk":            {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "retry", "reading the answer: "},
		"negative length":      {"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "retry", "reading the answer: "},
		"garbage":              {strings.Repeat("\x00\xff\r\n", 2000), "retry", "reading the answer: "},
		"another protocol":     {"220 mail.example.org ESMTP\r\n", "retry", "reading the answer: "},
		"huge headers":         {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n", "retry", "reading the answer: "},
		"endless headers":      {"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 64<<10), "retry", "reading the answer: "},
		"many interim answers": {strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000), "retry", "reading the answer: "},
		"an interim answer":    {"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "done", ""},
		"upgrade":              {"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "dead", "answered 101 Switching Protocols"},
		"up to the end":        {"HTTP/1.0 200 OK\r\n\r\nall of it", "done", ""},
		"more than asked for":  {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 500 Nobody Asked\r\n\r\n", "done", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			url := rawServer(t, func(_ int, conn net.Conn, r *bufio.Reader) {
				if readRequest(t, r) {
					requests.Add(1)
					_, _ = io.WriteString(conn, c.answer)
				}
			})
			_, err := deliver(t, build(t, url))
			if got := decision(err); got != c.decision || err != nil && !strings.HasPrefix(err.Error(), c.text) {
				t.Errorf("%s: %v", got, err)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests were sent", n)
			}
		})
	}
}

// A server that closes a kept connection while it reads the next request: the
// request is not sent again behind the trigger's back.
func TestAStaleConnectionIsAnErrorAndNoSecondRequest(t *testing.T) {
	var requests atomic.Int64
	url := rawServer(t, func(_ int, c net.Conn, r *bufio.Reader) {
		for readRequest(t, r) {
			if requests.Add(1) == 2 {
				return
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	s := build(t, url, func(c *sinkhttp.Config) { c.Method = "PUT" }) // idempotent, and still not repeated
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	_, err := deliver(t, s)
	want := "the connection was closed before the answer; it had been idle, so that the request may not have been read"
	if decision(err) != "retry" || err.Error() != want || requests.Load() != 2 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
	if _, err := deliver(t, s); err != nil || requests.Load() != 3 {
		t.Errorf("%v after %d requests", err, requests.Load())
	}
}

// A connection that the server has closed, or on which it has said something
// unasked, is not used again.
func TestAConnectionThatIsNotQuietIsNotUsed(t *testing.T) {
	for name, parting := range map[string]string{"closed": "", "spoke": "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"} {
		t.Run(name, func(t *testing.T) {
			gone := make(chan struct{})
			url := rawServer(t, func(n int, c net.Conn, r *bufio.Reader) {
				for readRequest(t, r) {
					_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
					if n == 0 {
						time.AfterFunc(50*time.Millisecond, func() {
							_, _ = io.WriteString(c, parting)
							shut(c)
							close(gone)
						})
						_, _ = r.Peek(1)
						return
					}
				}
			})
			s := build(t, url)
			if _, err := deliver(t, s); err != nil {
				t.Fatal(err)
			}
			<-gone
			for range 3 {
				if _, err := deliver(t, s); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestARefusalBeforeTheWholeRequestIsHeard(t *testing.T) {
	url := rawServer(t, func(_ int, c net.Conn, r *bufio.Reader) {
		_, _ = r.ReadString('\n')
		_, _ = io.WriteString(c, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		_, _ = io.Copy(io.Discard, io.LimitReader(r, 1<<20))
	})
	e := sample()
	e.Data = make([]byte, 8<<20)
	if _, err := deliver(t, build(t, url), e); decision(err) != "dead" || err.Error() != "answered 413 Request Entity Too Large" {
		// The reset may overtake the answer: then it is an ordinary failure.
		if decision(err) != "retry" || !strings.HasPrefix(err.Error(), "writing the request: ") {
			t.Errorf("%v", err)
		}
	}
}

// Whatever a server drips, the attempt ends with its context.
func TestSlowServersEndWithTheContext(t *testing.T) {
	for name, head := range map[string]string{
		"no answer": "", "headers": "HTTP/1.1 200 OK\r\n", "body": "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
	} {
		url := rawServer(t, func(_ int, c net.Conn, r *bufio.Reader) {
			if !readRequest(t, r) {
				return
			}
			_, err := io.WriteString(c, head)
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for err == nil {
				<-tick.C
				if err = t.Context().Err(); err == nil && head != "" {
					_, err = io.WriteString(c, "x")
				}
			}
		})
		s := build(t, url)
		t.Run(name+", deadline", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
			defer cancel()
			_, err := s.Deliver(ctx, attempt(sample()))
			if !errors.Is(err, context.DeadlineExceeded) || err.Error() != "no answer within the attempt's time: context deadline exceeded" {
				t.Errorf("%v", err)
			}
		})
		t.Run(name+", cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer time.AfterFunc(100*time.Millisecond, cancel).Stop()
			_, err := s.Deliver(ctx, attempt(sample()))
			if !errors.Is(err, context.Canceled) || err.Error() != "stopped before an answer came: context canceled" {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	shut(listener)
	_, err = deliver(t, build(t, "http://"+address))
	if want := "cannot connect: dial tcp " + address + ": connect: connection refused"; decision(err) != "retry" || err.Error() != want {
		t.Errorf("%v", err)
	}
}

// A name that does not resolve may resolve later, and neither opens the guard.
func TestNameErrorsAreTriedAgain(t *testing.T) {
	s := build(t, "http://nobody.invalid/", func(c *sinkhttp.Config) { c.Egress = sinkhttp.EgressPublic })
	if _, err := deliver(t, s); decision(err) != "retry" || !strings.HasPrefix(err.Error(), "cannot connect: dial tcp: lookup nobody.invalid") {
		t.Errorf("%v", err)
	}
}
