package runtimeapi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"sluice/functions/runtimeapi"
)

// dial opens a connection of one's own.
func dial(tb testing.TB, s *runtimeapi.Server) net.Conn {
	tb.Helper()
	conn, err := (&net.Dialer{}).DialContext(tb.Context(), "tcp", s.Addr())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close() }) // most are closed by then
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		tb.Fatal(err)
	}
	return conn
}

func writeTo(tb testing.TB, conn io.Writer, format string, arguments ...any) {
	tb.Helper()
	if _, err := fmt.Fprintf(conn, format, arguments...); err != nil {
		tb.Fatal(err)
	}
}

// A client that has gone while it waited must not take an invocation with it, however short ago that was.
func TestClientThatHangsUpInNext(t *testing.T) {
	s := listen(t, func(o *runtimeapi.Options) { o.MaxConcurrency = 4 })
	w := work(t, s)
	for i := range 300 {
		conn := dial(t, s)
		writeTo(t, conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\n\r\n")
		<-s.Initialized() // the first time only, which is enough to reach both the waiting and the coming one
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("id-", i)
		done := invoke(t, s, id, "{}")
		if g := w.next(); g.header.Get("Lambda-Runtime-Aws-Request-Id") != id {
			t.Fatalf("got %d %s", g.status, g.body)
		}
		w.respond(id, id).is(t, http.StatusAccepted, accepted)
		if r := <-done; r.err != nil || string(r.answer.Payload) != id {
			t.Fatalf("got %v, %v", r.answer, r.err)
		}
	}
}
