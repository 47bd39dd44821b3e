package http

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/sinks"
)

// fallbackTimeout bounds an exchange whose context has no deadline.
const fallbackTimeout = time.Minute

// errCut marks an answer that has a status, and a body over the limit.
var errCut = errors.New("the answer's body is over the limit")

// exchange writes the request once and reads the answer. It never repeats a
// request, not even on a connection that turns out to be gone: only the caller
// knows whether a second one does harm. Its error is errCut when the answer
// has a status but its body is over the limit.
func (p *pool) exchange(ctx context.Context, req *fasthttp.Request, resp *fasthttp.Response) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, err := p.get(ctx)
	if err != nil {
		return fmt.Errorf("cannot connect: %w", err)
	}
	if err := c.bound(ctx); err != nil {
		_ = c.Close()
		return fmt.Errorf("the connection is gone: %w", err)
	}
	stop := afterEnd(ctx, c.interrupt)
	keep, err := p.converse(c, req, resp)
	if stop() && keep {
		p.put(c)
	} else {
		_ = c.Close()
	}
	return err
}

// afterEnd is context.AfterFunc. A context that has such a method is asked itself,
// as package context does too, but first for a channel that nobody needs.
func afterEnd(ctx context.Context, call func()) (stop func() bool) {
	if own, ok := ctx.(interface {
		AfterFunc(call func()) (stop func() bool)
	}); ok {
		return own.AfterFunc(call)
	}
	return context.AfterFunc(ctx, call)
}

// converse tells whether the connection can be used again.
func (p *pool) converse(c *connection, req *fasthttp.Request, resp *fasthttp.Response) (keep bool, err error) {
	r := p.reader(c)
	defer p.releaseReader(r)
	if err := p.write(c, req); err != nil {
		return false, earlyAnswer(r, resp, err)
	}
	return read(resp, r, c.reused)
}

// read reads an answer, and tells whether its connection can be used again.
func read(resp *fasthttp.Response, r *bufio.Reader, reused bool) (keep bool, err error) {
	err = resp.ReadLimitBody(r, int(MaxResponse))
	switch {
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		return false, errCut
	case errors.Is(err, io.EOF) && reused:
		return false, errors.New("the connection was closed before the answer; it had been idle, so that the request may not have been read")
	case errors.Is(err, io.EOF):
		return false, errors.New("the connection was closed before the answer")
	case err != nil:
		return false, errors.New("reading the answer: " + shorten(err.Error()))
	}
	return !resp.ConnectionClose() && r.Buffered() == 0, nil
}

func (p *pool) write(c *connection, req *fasthttp.Request) error {
	w := p.writer(c)
	defer p.releaseWriter(w)
	if err := req.Write(w); err != nil {
		return err
	}
	return w.Flush()
}

// earlyAnswer looks for the refusal of a server that has answered and closed
// without reading the whole request. Any other answer is not believed.
func earlyAnswer(r *bufio.Reader, resp *fasthttp.Response, writeErr error) error {
	err := resp.ReadLimitBody(r, int(MaxResponse))
	if errors.Is(err, fasthttp.ErrBodyTooLarge) {
		err = errCut
	}
	if (err == nil || errors.Is(err, errCut)) && resp.StatusCode() >= fasthttp.StatusBadRequest {
		return err
	}
	return fmt.Errorf("writing the request: %w", writeErr)
}

// shorten bounds an error of the library, which quotes what it has read.
func shorten(text string) string {
	if len(text) <= sinks.ExcerptBytes {
		return text
	}
	return strings.ToValidUTF8(text[:sinks.ExcerptBytes], "") + "…"
}
