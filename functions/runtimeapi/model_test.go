package runtimeapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sluice/functions/runtimeapi"
)

const maxResponse = 100

// A model is what a server should be after any calls of a worker and of Invoke, in any order: each answer is one of those that are
// known, and no invocation gets what was sent for another.
type model struct {
	*rapid.T
	server  *runtimeapi.Server
	worker  *worker
	limit   int
	number  int
	calls   map[string]*modelCall
	ended   []string
	waiting []*modelNext
	nexts   chan *modelNext // that have got something
	began   bool
	left    bool // a client has hung up, which the server may still find out
}

type modelCall struct {
	taken  bool
	cancel context.CancelFunc
	done   chan result
}

// A modelNext is a connection that asks for an invocation.
type modelNext struct {
	net.Conn
	id   string
	err  error
	read chan struct{}
}

func TestModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		limit := rapid.IntRange(1, 3).Draw(r, "limit")
		s := runtimeapi.New(runtimeapi.Options{ARN: arn, MaxConcurrency: limit, MaxResponse: maxResponse})
		if err := s.Listen(t.Context()); err != nil {
			r.Fatal(err)
		}
		m := &model{T: r, server: s, worker: work(t, s), limit: limit, calls: map[string]*modelCall{}, nexts: make(chan *modelNext, 16)}
		defer m.close()
		r.Repeat(map[string]func(*rapid.T){
			"invoke":     m.invoke,
			"next":       m.next,
			"respond":    m.respond,
			"fail":       m.fail,
			"too large":  m.tooLarge,
			"cut off":    m.cutOff,
			"stranger":   m.stranger,
			"other try":  m.otherTry,
			"cancel":     m.cancel,
			"hang up":    m.hangUp,
			"init error": m.initError,
		})
	})
}

// pick returns the id of a call that is taken, or that waits.
func (m *model) pick(r *rapid.T, taken bool) (string, *modelCall) {
	var ids []string
	for _, id := range slices.Sorted(maps.Keys(m.calls)) {
		if m.calls[id].taken == taken {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		r.Skip("no such call")
	}
	id := rapid.SampledFrom(ids).Draw(r, "id")
	return id, m.calls[id]
}

func (m *model) under() (n int) {
	for _, c := range m.calls {
		if c.taken {
			n++
		}
	}
	return n
}

func (m *model) invoke(r *rapid.T) {
	m.number++
	id := fmt.Sprint("id-", m.number)
	if len(m.ended) > 0 && rapid.Bool().Draw(r, "an id again") {
		id = rapid.SampledFrom(m.ended).Draw(r, "id")
	}
	ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
	if same := m.calls[id]; same != nil || len(m.calls) == m.limit {
		defer cancel()
		if same != nil && !same.taken || same == nil && m.under() < m.limit {
			r.Skip("one of them may still be to come in")
		}
		if _, err := m.server.Invoke(ctx, runtimeapi.Invocation{RequestID: id}); !errors.Is(err, runtimeapi.ErrBusy) {
			r.Fatalf("got %v", err)
		}
		return
	}
	c := &modelCall{cancel: cancel, done: make(chan result, 1)}
	m.calls[id] = c
	go func() {
		answer, err := m.server.Invoke(ctx, runtimeapi.Invocation{RequestID: id, Deadline: time.Now(), Payload: []byte(id)})
		c.done <- result{answer, err}
	}()
	if len(m.waiting) > 0 {
		m.arrive(r)
	}
}

// arrive awaits that a waiting next gets an invocation.
func (m *model) arrive(r *rapid.T) {
	n := <-m.nexts
	m.waiting = slices.DeleteFunc(m.waiting, func(w *modelNext) bool { return w == n })
	_ = n.Close() // it has been read to the end
	c := m.calls[n.id]
	if n.err != nil || c == nil || c.taken {
		r.Fatalf("next has got %q, %v", n.id, n.err)
	}
	c.taken = true
}

func (m *model) next(r *rapid.T) {
	m.began = true
	pending := len(m.calls) - m.under()
	if under := m.under(); under == m.limit {
		g := m.worker.next()
		switch {
		case m.limit > 1:
			if g.status != http.StatusForbidden {
				r.Fatalf("got %d %s", g.status, g.body)
			}
		case g.status != http.StatusOK || m.calls[g.body] == nil || !m.calls[g.body].taken:
			r.Fatalf("got %d %s", g.status, g.body)
		}
		return
	}
	if pending == 0 && len(m.waiting) == 1 {
		r.Skip("a second one could still be on its way when the first has got an invocation")
	}
	m.ask(r)
	if pending > 0 {
		m.arrive(r)
	}
}

// ask opens a connection and asks for an invocation.
func (m *model) ask(r *rapid.T) {
	conn, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", m.server.Addr())
	if err != nil {
		r.Fatal(err)
	}
	n := &modelNext{Conn: conn, read: make(chan struct{})}
	m.waiting = append(m.waiting, n)
	if _, err := conn.Write([]byte("GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
		r.Fatal(err)
	}
	go func() {
		defer close(n.read)
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			return // it was hung up
		}
		n.id, n.err = response.Header.Get("Lambda-Runtime-Aws-Request-Id"), response.Body.Close()
		m.nexts <- n
	}()
	<-m.server.Initialized()
}

func (m *model) hangUp(r *rapid.T) {
	if len(m.waiting) == 0 {
		r.Skip("nobody is waiting")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(r, "which")
	n := m.waiting[i]
	m.waiting = slices.Delete(m.waiting, i, i+1)
	if err := n.Close(); err != nil {
		r.Fatal(err)
	}
	<-n.read
	m.left = true
}

// end awaits the result of a call.
func (m *model) end(id string) result {
	c := m.calls[id]
	delete(m.calls, id)
	m.ended = append(m.ended, id)
	defer c.cancel()
	return <-c.done
}

func (m *model) respond(r *rapid.T) {
	id, _ := m.pick(r, true)
	m.number++
	body := fmt.Sprint("for ", id, " #", m.number)
	m.worker.respond(id, body).is(r, http.StatusAccepted, accepted)
	if got := m.end(id); got.err != nil || string(got.answer.Payload) != body {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
}

func (m *model) fail(r *rapid.T) {
	id, _ := m.pick(r, true)
	m.worker.fail(id, `{"errorType":"Oops","errorMessage":"`+id+`"}`).is(r, http.StatusAccepted, accepted)
	var e *runtimeapi.Error
	if got := m.end(id); !errors.As(got.err, &e) || e.Message != id {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
}

func (m *model) tooLarge(r *rapid.T) {
	id, _ := m.pick(r, true)
	if g := m.worker.respond(id, strings.Repeat("x", maxResponse+1)); g.status != http.StatusRequestEntityTooLarge {
		r.Fatalf("got %d %s", g.status, g.body)
	}
	if got := m.end(id); !errors.Is(got.err, runtimeapi.ErrTooLarge) {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
}

func (m *model) cutOff(r *rapid.T) {
	id, _ := m.pick(r, true)
	conn, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", m.server.Addr())
	if err != nil {
		r.Fatal(err)
	}
	_, err = fmt.Fprintf(conn, "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\nfive", id)
	if err = errors.Join(err, conn.Close()); err != nil {
		r.Fatal(err)
	}
	var e *runtimeapi.Error
	if got := m.end(id); !errors.As(got.err, &e) || e.Type != "Runtime.TruncatedResponse" {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
}

// stranger answers what is nobody's: what has ended, has not begun, or never was.
func (m *model) stranger(r *rapid.T) {
	ids := []string{"unknown"}
	for id, c := range m.calls {
		if !c.taken {
			ids = append(ids, id)
		}
	}
	for _, id := range m.ended {
		if m.calls[id] == nil {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	id := rapid.SampledFrom(ids).Draw(r, "id")
	m.worker.respond(id, "stranger").is(r, http.StatusBadRequest, invalidRequestID)
	m.worker.fail(id, "{}").is(r, http.StatusBadRequest, invalidRequestID)
}

func (m *model) otherTry(r *rapid.T) {
	id, _ := m.pick(r, true)
	m.worker.respond(id, "of an earlier try", "Lambda-Runtime-Invocation-Id", "x").is(r, http.StatusBadRequest, invalidRequestID)
}

func (m *model) cancel(r *rapid.T) {
	id, c := m.pick(r, rapid.Bool().Draw(r, "taken"))
	taken := c.taken
	c.cancel()
	got := m.end(id)
	if !errors.Is(got.err, context.Canceled) || taken && errors.Is(got.err, runtimeapi.ErrNotBegun) {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
	if !taken && !m.left && !errors.Is(got.err, runtimeapi.ErrNotBegun) {
		r.Fatalf("got %v, %v", got.answer, got.err)
	}
}

func (m *model) initError(r *rapid.T) {
	if !m.began {
		r.Skip("it would be the end")
	}
	m.worker.do(http.MethodPost, "/2018-06-01/runtime/init/error", "{}").is(r, http.StatusForbidden, notFromReady)
}

// close ends the server and with it all calls.
func (m *model) close() {
	if err := m.server.Close(); err != nil {
		m.Error(err)
	}
	for id, c := range m.calls {
		if got := m.end(id); !errors.Is(got.err, runtimeapi.ErrClosed) || c.taken && errors.Is(got.err, runtimeapi.ErrNotBegun) {
			m.Errorf("got %v, %v", got.answer, got.err)
		}
	}
	for _, n := range m.waiting {
		<-n.read
		_ = n.Close() // the server has closed it
	}
}
