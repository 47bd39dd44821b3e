package runtimeapi_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"sluice/functions/runtimeapi"
)

const (
	truncated    = `{"errorMessage":"HTTP request detected as truncated","errorType":"TruncatedHTTPRequest"}`
	notFromReady = `{"errorMessage":"State transition from Ready to InitError failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
)

func TestAnswersThatAreNobodys(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	w.respond("id-1", "early").is(t, http.StatusBadRequest, invalidRequestID)
	first := invoke(t, s, "id-1", "")
	w.respond("id-1", "before next").is(t, http.StatusBadRequest, invalidRequestID)
	w.next()
	w.respond("id-2", "another's").is(t, http.StatusBadRequest, invalidRequestID)
	w.fail("id-2", "another's").is(t, http.StatusBadRequest, invalidRequestID)
	w.respond("id-1", "right").is(t, http.StatusAccepted, accepted)
	w.respond("id-1", "twice").is(t, http.StatusBadRequest, invalidRequestID)
	w.fail("id-1", "twice").is(t, http.StatusBadRequest, invalidRequestID)
	if r := <-first; r.err != nil || string(r.answer.Payload) != "right" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
	second := invoke(t, s, "id-2", "")
	w.next()
	w.respond("id-1", "late").is(t, http.StatusBadRequest, invalidRequestID)
	w.respond("id-2", "right too").is(t, http.StatusAccepted, accepted)
	if r := <-second; r.err != nil || string(r.answer.Payload) != "right too" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

// The attempts of a delivery have the same id, so a client that names the one that it answers cannot answer another.
func TestAnswerToAnEarlierAttempt(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	first := invoke(t, s, "id-1", "")
	earlier := w.next().header.Get("Lambda-Runtime-Invocation-Id")
	w.fail("id-1", "{}", "Lambda-Runtime-Invocation-Id", earlier).is(t, http.StatusAccepted, accepted)
	<-first
	second := invoke(t, s, "id-1", "")
	now := w.next().header.Get("Lambda-Runtime-Invocation-Id")
	w.respond("id-1", "earlier", "Lambda-Runtime-Invocation-Id", earlier).is(t, http.StatusBadRequest, invalidRequestID)
	w.respond("id-1", "now", "Lambda-Runtime-Invocation-Id", now).is(t, http.StatusAccepted, accepted)
	if r := <-second; r.err != nil || string(r.answer.Payload) != "now" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

func TestLateAnswer(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := s.Invoke(ctx, runtimeapi.Invocation{RequestID: "id-1"})
		done <- err
	}()
	w.next()
	cancel()
	if err := <-done; errors.Is(err, runtimeapi.ErrNotBegun) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	w.respond("id-1", "late").is(t, http.StatusBadRequest, invalidRequestID)
	next := invoke(t, s, "id-2", "")
	w.next()
	w.respond("id-2", "ok").is(t, http.StatusAccepted, accepted)
	if r := <-next; r.err != nil || string(r.answer.Payload) != "ok" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

func TestNextWhileOneIsUnderWay(t *testing.T) {
	t.Run("one at once: the same again", func(t *testing.T) {
		s := listen(t)
		w := work(t, s)
		done := invoke(t, s, "id-1", "{}")
		first, again := w.next(), w.next()
		if first.body != again.body || again.header.Get("Lambda-Runtime-Aws-Request-Id") != "id-1" {
			t.Errorf("got %v, then %v", first, again)
		}
		w.respond("id-1", "")
		if r := <-done; r.err != nil {
			t.Error(r.err)
		}
	})
	t.Run("several at once: refused at the limit", func(t *testing.T) {
		s := listen(t, func(o *runtimeapi.Options) { o.MaxConcurrency = 2 })
		w := work(t, s)
		one, two := invoke(t, s, "id-1", "{}"), invoke(t, s, "id-2", "{}")
		w.next()
		w.next()
		w.next().is(t, http.StatusForbidden, `{"errorMessage":"State transition from Running to Ready failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`)
		w.respond("id-2", "two")
		w.respond("id-1", "one")
		if r := <-one; r.err != nil || string(r.answer.Payload) != "one" {
			t.Errorf("got %v, %v", r.answer, r.err)
		}
		if r := <-two; r.err != nil || string(r.answer.Payload) != "two" {
			t.Errorf("got %v, %v", r.answer, r.err)
		}
	})
}

func TestBusy(t *testing.T) {
	for limit, id := range map[int]string{1: "id-2", 2: "id-1"} { // one too many, and the same again
		s := listen(t, func(o *runtimeapi.Options) { o.MaxConcurrency = limit })
		w := work(t, s)
		one := invoke(t, s, "id-1", "")
		w.next()
		if _, err := s.Invoke(t.Context(), runtimeapi.Invocation{RequestID: id}); !errors.Is(err, runtimeapi.ErrBusy) || !errors.Is(err, runtimeapi.ErrNotBegun) {
			t.Errorf("%s: got %v", id, err)
		}
		w.respond("id-1", "")
		<-one
	}
}

func TestBodyThatEndsEarly(t *testing.T) {
	for _, verb := range []string{"response", "error"} {
		for _, framing := range []string{"Content-Length: 100\r\n\r\n{", "Transfer-Encoding: chunked\r\n\r\n10\r\n{"} {
			s := listen(t)
			w := work(t, s)
			done := invoke(t, s, "id-1", "")
			w.next()
			conn := dial(t, s)
			writeTo(t, conn, "POST /2018-06-01/runtime/invocation/id-1/%s HTTP/1.1\r\nHost: localhost\r\n%s", verb, framing)
			if err := conn.Close(); err != nil {
				t.Fatal(err)
			}
			var e *runtimeapi.Error
			if r := <-done; !errors.As(r.err, &e) || e.Type != "Runtime.TruncatedResponse" {
				t.Errorf("got %v, %v", r.answer, r.err)
			}
			w.respond("id-1", "again").is(t, http.StatusBadRequest, invalidRequestID)
		}
	}
}

func TestBrokenBody(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	w.next()
	conn := dial(t, s)
	writeTo(t, conn, "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusBadRequest {
		t.Errorf("got %s, %v", response.Status, err)
	}
	var e *runtimeapi.Error
	if r := <-done; !errors.As(r.err, &e) || e.Type != "Runtime.TruncatedResponse" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

func TestInvalidResponseMode(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	w.next()
	w.respond("id-1", "{}", "Lambda-Runtime-Function-Response-Mode", "buffered").is(t, http.StatusBadRequest,
		`{"errorMessage":"Invalid function response mode","errorType":"InvalidFunctionResponseMode"}`)
	var e *runtimeapi.Error
	if r := <-done; !errors.As(r.err, &e) || e.Type != "Runtime.InvalidResponseModeHeader" {
		t.Errorf("got %v, %v", r.answer, r.err)
	}
}

func TestStreaming(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	const mode, header = "streaming", "Lambda-Runtime-Function-Response-Mode"
	done := invoke(t, s, "id-1", "")
	w.next()
	w.respond("id-1", "{}\x00\x00\x00\x00\x00\x00\x00\x00body", header, mode, "Content-Type", "application/vnd.awslambda.http-integration-response").is(t, http.StatusAccepted, accepted)
	r := <-done
	if r.err != nil || !r.answer.Streaming || string(r.answer.Payload) != "{}\x00\x00\x00\x00\x00\x00\x00\x00body" || r.answer.ContentType != "application/vnd.awslambda.http-integration-response" {
		t.Errorf("got %+v, %v", r.answer, r.err)
	}
	for name, body := range map[string]string{"as it should be": "e30=", "broken": "{}"} {
		done := invoke(t, s, "id-2", "")
		w.next()
		conn := dial(t, s)
		writeTo(t, conn, "POST /2018-06-01/runtime/invocation/id-2/response HTTP/1.1\r\nHost: localhost\r\n%s: %s\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n"+
			"Lambda-Runtime-Function-Error-Type: Function.Oops\r\nLambda-Runtime-Function-Error-Body: %s\r\n\r\n", header, mode, body)
		var e *runtimeapi.Error
		if r := <-done; !errors.As(r.err, &e) || e.Type != "Function.Oops" || r.answer != nil {
			t.Errorf("%s: got %v, %v", name, r.answer, r.err)
		}
	}
}

func TestInitError(t *testing.T) {
	const path = "/2018-06-01/runtime/init/error"
	const body = `{"errorType":"Runtime.ImportModuleError","errorMessage":"no module"}`
	t.Run("before the first next", func(t *testing.T) {
		s := listen(t)
		w := work(t, s)
		w.do(http.MethodPost, path, body).is(t, http.StatusAccepted, accepted)
		if e := <-s.InitError(); e.Error() != "Runtime.ImportModuleError: no module" || string(e.Payload) != body {
			t.Errorf("got %+v", e)
		}
		w.do(http.MethodPost, path, body).is(t, http.StatusForbidden, strings.Replace(notFromReady, "Ready", "InitError", 1))
		w.next().is(t, http.StatusForbidden, `{"errorMessage":"State transition from InitError to Ready failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`)
	})
	t.Run("after it", func(t *testing.T) {
		s := listen(t)
		w := work(t, s)
		done := invoke(t, s, "id-1", "")
		w.next()
		w.do(http.MethodPost, path, body).is(t, http.StatusForbidden, notFromReady)
		w.respond("id-1", "")
		<-done
	})
	t.Run("too large", func(t *testing.T) {
		s := listen(t, func(o *runtimeapi.Options) { o.MaxResponse = 10 })
		if g := work(t, s).do(http.MethodPost, path, body); g.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d %s", g.status, g.body)
		}
	})
}

func TestErrorsOfAllForms(t *testing.T) {
	const cause = "application/vnd.aws.lambda.error.cause+json"
	for name, c := range map[string]struct {
		body, contentType, header string
		want                      runtimeapi.Error
	}{
		"no JSON":          {"oops", "text/plain", "Function.Oops", runtimeapi.Error{Type: "Function.Oops", Payload: []byte("oops")}},
		"nothing":          {"", "", "", runtimeapi.Error{Type: "Runtime.Unknown"}},
		"another JSON":     {`[1]`, "application/json", "", runtimeapi.Error{Type: "Runtime.Unknown", Payload: []byte(`[1]`)}},
		"wrong types":      {`{"errorType":7}`, "application/json", "X", runtimeapi.Error{Type: "X", Payload: []byte(`{"errorType":7}`)}},
		"with a cause":     {`{"errorType":"A","errorMessage":"b","stackTrace":["c"],"errorCause":{"d":1}}`, cause, "", runtimeapi.Error{Type: "A", Message: "b", Payload: []byte(`{"errorMessage":"b","errorType":"A","stackTrace":["c"]}`), StackTrace: []byte(`["c"]`)}},
		"a cause, no JSON": {`{`, cause, "Runtime.X", runtimeapi.Error{Type: "Runtime.X", Payload: []byte(`"Invalid error body"`)}},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t)
			w := work(t, s)
			done := invoke(t, s, "id-1", "")
			w.next()
			w.fail("id-1", c.body, "Content-Type", c.contentType, "Lambda-Runtime-Function-Error-Type", c.header).is(t, http.StatusAccepted, accepted)
			var e *runtimeapi.Error
			if r := <-done; !errors.As(r.err, &e) {
				t.Fatalf("got %v, %v", r.answer, r.err)
			}
			if e.Type != c.want.Type || e.Message != c.want.Message || string(e.Payload) != string(c.want.Payload) || string(e.StackTrace) != string(c.want.StackTrace) {
				t.Errorf("got %+v", e)
			}
		})
	}
}

func TestPathsAndMethods(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	for _, c := range []struct {
		method, path string
		status       int
	}{
		{"GET", "/2018-06-01/ping", http.StatusOK},
		{"GET", "/", http.StatusNotFound},
		{"GET", "//", http.StatusNotFound},
		{"GET", "/2018-06-01/runtime/invocation/", http.StatusNotFound},
		{"GET", "/2018-06-01/runtime/invocation/id-1", http.StatusNotFound},
		{"POST", "/2018-06-01/runtime/invocation//response", http.StatusNotFound},
		{"POST", "/2018-06-01/runtime/invocation/id-1/response/", http.StatusNotFound},
		{"POST", "/2018-06-01/runtime/restore/error", http.StatusNotFound},
		{"POST", "/2018-06-01/runtime/invocation/next", http.StatusMethodNotAllowed},
		{"HEAD", "/2018-06-01/runtime/invocation/next", http.StatusMethodNotAllowed},
		{"GET", "/2018-06-01/runtime/invocation/id-1/response", http.StatusMethodNotAllowed},
		{"PUT", "/2018-06-01/runtime/invocation/id-1/error", http.StatusMethodNotAllowed},
		{"GET", "/2018-06-01/runtime/init/error", http.StatusMethodNotAllowed},
		{"GET", "/2020-01-01/extension/register", http.StatusMethodNotAllowed},
		{"POST", "/2020-01-01/extension/event/next", http.StatusMethodNotAllowed},
		{"PUT", "/2020-08-15/logs", http.StatusAccepted},
		{"PUT", "/2022-07-01/telemetry", http.StatusAccepted},
	} {
		if g := w.do(c.method, c.path, ""); g.status != c.status || (g.status == http.StatusMethodNotAllowed) != (g.header.Get("Allow") != "") {
			t.Errorf("%s %s: got %d, %v", c.method, c.path, g.status, g.header)
		}
	}
	w.do(http.MethodPut, "/2022-07-01/telemetry", "{}").is(t, http.StatusAccepted, `{"errorMessage":"Telemetry API is not supported","errorType":"Telemetry.NotSupported"}`)
}

// A page in a browser of this machine can send requests here, which must not take an invocation.
func TestBrowsersAreRefused(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	for _, header := range []string{"Origin: https://example.com", "Sec-Fetch-Site: cross-site", "Host: rebound.example.com:80"} {
		conn := dial(t, s)
		if !strings.HasPrefix(header, "Host") {
			header += "\r\nHost: localhost"
		}
		writeTo(t, conn, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\n%s\r\n\r\n", header)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusForbidden {
			t.Errorf("%s: got %s, %v", header, response.Status, err)
		}
	}
	done := invoke(t, s, "id-1", "")
	w.next()
	w.respond("id-1", "")
	if r := <-done; r.err != nil {
		t.Error(r.err)
	}
}

func TestHeadersTooLarge(t *testing.T) {
	s := listen(t)
	conn := dial(t, s)
	head := "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 2<<20)
	go func() { _, _ = conn.Write([]byte(head)) }() // the answer comes before the end
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil || response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %s, %v", response.Status, err)
	}
}

// As large as the cause for X-Ray that the Go client sends.
func TestLargeHeader(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	w.next()
	w.fail("id-1", "{}", "Lambda-Runtime-Function-Xray-Error-Cause", strings.Repeat("x", 1<<20-1)).is(t, http.StatusAccepted, accepted)
	<-done
}

// A response that is too large is read to its end, so that a client that writes it before it reads gets to see why.
func TestTooLargeIsReadToItsEnd(t *testing.T) {
	s := listen(t)
	w := work(t, s)
	done := invoke(t, s, "id-1", "")
	w.next()
	g, err := w.try(t.Context(), http.MethodPost, "/2018-06-01/runtime/invocation/id-1/response", struct{ *strings.Reader }{strings.NewReader(strings.Repeat("x", 8<<20))})
	if err != nil || g.status != http.StatusRequestEntityTooLarge {
		t.Errorf("got %d %s, %v", g.status, g.body, err)
	}
	if r := <-done; !errors.Is(r.err, runtimeapi.ErrTooLarge) {
		t.Errorf("got %v", r.err)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	s := listen(t)
	open := 0
	for range 200 {
		conn := dial(t, s)
		writeTo(t, conn, "GET /2018-06-01/ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			continue
		}
		if err := response.Body.Close(); err != nil {
			t.Error(err)
		}
		open++
	}
	if open == 0 || open > 70 {
		t.Errorf("%d connections at once", open)
	}
}
