package runtimeapi_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"sluice/functions/runtimeapi"
)

// FuzzRequests sends bytes to a listener that has an invocation to give. Whatever they are, each answer is one of those that are
// known, the call ends when the worker does, and its result is what was sent for its id.
func FuzzRequests(f *testing.F) {
	const next = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\n\r\n"
	const respond = "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: localhost\r\n"
	for _, seed := range []string{
		next + respond + "Content-Length: 2\r\n\r\nok",
		next + next,
		respond + "Transfer-Encoding: chunked\r\nTrailer: Lambda-Runtime-Function-Error-Type\r\n\r\n2\r\nok\r\n0\r\nLambda-Runtime-Function-Error-Type: Oops\r\nLambda-Runtime-Function-Error-Body: e30=\r\n\r\n",
		respond + "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\nzz",
		respond + "Content-Length: 2000\r\nExpect: 100-continue\r\n\r\n",
		"POST /2018-06-01/runtime/init/error HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
		"POST /2018-06-01/runtime/invocation/id-1/error HTTP/1.0\r\nContent-Length: 20\r\nContent-Type: application/vnd.aws.lambda.error.cause+json\r\n\r\n{\"errorType\":[1]}   ",
		"POST /2020-01-01/extension/register HTTP/1.1\r\nHost: localhost\r\nLambda-Extension-Name: x\r\nContent-Length: 21\r\n\r\n{\"events\":[\"INVOKE\"]}GET /2020-01-01/extension/event/next HTTP/1.1\r\nHost: [::1]\r\nLambda-Extension-Identifier: x\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n",
		"GET / HTTP/9.9\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		s := listen(t, func(o *runtimeapi.Options) { o.MaxResponse = 1000 })
		done := make(chan result, 1)
		go func() {
			answer, err := s.Invoke(context.WithoutCancel(t.Context()), runtimeapi.Invocation{RequestID: "id-1", Deadline: time.Now()})
			done <- result{answer, err}
		}()
		talk(t, s, input)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		r := <-done
		var e *runtimeapi.Error
		switch {
		case r.err == nil && len(r.answer.Payload) <= 1000:
		case errors.As(r.err, &e), errors.Is(r.err, runtimeapi.ErrTooLarge), errors.Is(r.err, runtimeapi.ErrClosed):
		default:
			t.Errorf("got %v, %v", r.answer, r.err)
		}
	})
}

// talk sends bytes and checks what comes back.
func talk(t *testing.T, s *runtimeapi.Server, input []byte) {
	t.Helper()
	conn, ok := dial(t, s).(*net.TCPConn)
	if !ok {
		t.Fatal("not TCP")
	}
	go func() {
		_, _ = conn.Write(input) // the server may have had enough
		_ = conn.CloseWrite()
	}()
	known := []int{100, 200, 202, 400, 403, 404, 405, 413, 417, 431, 501, 503, 505}
	reader := bufio.NewReader(conn)
	for {
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			return // the connection has ended
		}
		if !slices.Contains(known, response.StatusCode) {
			t.Errorf("got %s", response.Status)
		}
		_, _ = io.Copy(io.Discard, response.Body) // it may end early
		_ = response.Body.Close()
	}
}
