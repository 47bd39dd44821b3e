package http

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
)

// The headers that each request carries beside the event's own.
const (
	// HeaderDelivery is the delivery's id, the same on every attempt: workers
	// de-duplicate by it.
	HeaderDelivery = "Sluice-Delivery"
	// HeaderAttempt is the number of the attempt, from 1.
	HeaderAttempt = "Sluice-Attempt"
	// HeaderTrigger is the name of the trigger.
	HeaderTrigger = "Sluice-Trigger"
	// HeaderClaim rises with every run of the router: a worker that has seen a
	// higher one may refuse the request as late.
	HeaderClaim = "Sluice-Claim"
)

const userAgent = "sluice/1"

// dialTimeout bounds the opening of one connection to one address.
const dialTimeout = 10 * time.Second

// A sink sends deliveries to one URL.
type sink struct {
	template fasthttp.RequestHeader // never changed after newSink
	mode     Mode
	pool     *pool
	signer   signer
	tokens   *tokens // nil without OAuth
	matrix   *matrix
	allowed  *permission // nil when nobody is asked
	replier  *replier    // nil when answers are not published
	variable *variable   // nil when each request is the same but for its event
	keep     int         // bytes of an answer's body
}

var _ sinks.Closer = (*sink)(nil)

// newSink builds the sink of a valid configuration.
func newSink(c *Config, env sinks.Env) (*sink, error) {
	parsed, varying, err := parseAddress("url", c.URL)
	if err != nil {
		return nil, err
	}
	guard := c.Egress.Guard(env.Egress)
	p := &pool{address: address(parsed), dialer: guard.Dialer(dialTimeout)}
	if parsed.Scheme == "https" {
		if p.tls, err = c.TLS.Load(); err != nil {
			return nil, err
		}
		p.tls.NextProtos = []string{"http/1.1"}
		if p.tls.ServerName == "" {
			p.tls.ServerName = parsed.Hostname()
		}
	}
	s := &sink{mode: c.Mode, pool: p, matrix: c.Status.matrix(), keep: int(c.MaxResponse)}
	if s.variable, err = c.variable(env.Turns, varying); err != nil {
		return nil, err
	}
	s.allowed = newPermission(c.Handshake)
	if c.Replies() {
		s.replier = &replier{name: env.Name, maxHops: c.MaxHops}
	}
	if s.signer, err = c.Sign.signer(); err != nil {
		return nil, err
	}
	if c.Auth.OAuth != nil {
		if s.tokens, err = newTokens(c.Auth.OAuth, guard, c.TLS); err != nil {
			return nil, err
		}
	}
	s.fillTemplate(c, parsed)
	return s, nil
}

func address(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// fillTemplate sets what is the same on every request.
func (s *sink) fillTemplate(c *Config, u *url.URL) {
	h := &s.template
	h.DisableNormalizing()
	h.SetNoDefaultContentType(true)
	h.SetMethod(c.Method)
	h.SetRequestURI(u.RequestURI())
	h.SetHost(u.Host)
	h.SetUserAgent(userAgent)
	for name, value := range c.Headers {
		if !transform.IsTemplate(value.Reveal()) {
			h.Set(name, value.Reveal())
		}
	}
	if c.Handshake != nil {
		h.Set(headerOrigin, c.Handshake.Origin)
	}
	switch {
	case c.Auth.Bearer != nil:
		h.Set("Authorization", "Bearer "+c.Auth.Bearer.Token.Reveal())
	case c.Auth.Basic != nil:
		pair := c.Auth.Basic.Username + ":" + c.Auth.Basic.Password.Reveal()
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
	}
}

// Close closes the idle connections.
func (s *sink) Close() error {
	s.pool.close()
	if s.tokens != nil {
		s.tokens.close()
	}
	return nil
}

// Deliver sends all deliveries as one request in batch mode; else each as one,
// one after the other, and the response is that of the last one.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	if s.mode == Batch {
		return s.deliverBatch(ctx, &attempt)
	}
	return sinks.OneByOne(&attempt, func(d *sinks.Delivery) (sinks.Response, error) { return s.deliver(ctx, &attempt, d) })
}

func (s *sink) deliver(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (sinks.Response, error) {
	made, err := s.variable.fill(ctx, d.Event)
	if err != nil {
		return sinks.Response{}, err
	}
	var replies []event.Event
	response, err := s.request(ctx, d.ID,
		func(req *fasthttp.Request) {
			s.variable.set(&req.Header, made)
			s.encode(req, a, d)
		},
		func(resp *fasthttp.Response, cut bool) (err error) {
			if err = s.settle(resp); err == nil {
				replies, err = s.replier.events(resp, cut, d)
			}
			return err
		})
	if len(replies) > 0 && err == nil {
		response.Replies = map[int][]event.Event{0: replies}
	}
	return response, err
}

// request makes one request and has its answer judged; cut says that the body
// of the answer was over the limit.
func (s *sink) request(
	ctx context.Context, id string, encode func(*fasthttp.Request), settle func(resp *fasthttp.Response, cut bool) error,
) (sinks.Response, error) {
	req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
	defer fasthttp.ReleaseRequest(req)
	defer fasthttp.ReleaseResponse(resp)
	resp.Header.SetNoDefaultContentType(true)
	s.template.CopyTo(&req.Header)
	encode(req)
	if err := s.signer.sign(req, id, time.Now()); err != nil {
		return sinks.Response{}, sinks.Permanent(err)
	}
	err := s.allowed.wait(ctx, s.ask)
	if err == nil {
		err = s.send(ctx, req, resp)
	}
	cut := errors.Is(err, errCut)
	if err != nil && !cut {
		return sinks.Response{}, s.failure(ctx, err)
	}
	answer := sinks.Response{Status: resp.StatusCode(), ContentType: string(resp.Header.ContentType())}
	if body := resp.Body(); len(body) > 0 {
		answer.Body = append(answer.Body, body[:min(len(body), s.keep)]...)
	}
	return answer, settle(resp, cut)
}

// ask sends the request of a handshake, with the headers that every request
// has.
func (s *sink) ask(ctx context.Context, resp *fasthttp.Response) error {
	req := fasthttp.AcquireRequest()
	defer fasthttp.ReleaseRequest(req)
	s.template.CopyTo(&req.Header)
	req.Header.SetMethod(http.MethodOptions)
	if s.allowed.Rate > 0 {
		req.Header.Set(headerRate, strconv.Itoa(s.allowed.Rate))
	}
	return s.send(ctx, req, resp)
}

// send makes the exchange, with a token where one is needed. A token that is
// refused is replaced, once, and the request sent again: whoever asks for
// authentication has not begun to work on it.
func (s *sink) send(ctx context.Context, req *fasthttp.Request, resp *fasthttp.Response) error {
	if s.tokens == nil {
		return s.pool.exchange(ctx, req, resp)
	}
	refused := ""
	for {
		header, err := s.tokens.get(ctx, refused)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", header)
		err = s.pool.exchange(ctx, req, resp)
		status := resp.StatusCode()
		unauthorized := status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired
		if err != nil || refused != "" || !unauthorized || s.matrix.of(status) == done {
			return err
		}
		refused = header
		resp.Reset()
	}
}

// failure is the error of an exchange that brought no answer.
func (s *sink) failure(ctx context.Context, err error) error {
	var refused *RefusedError
	deadline, bounded := ctx.Deadline()
	switch {
	case errors.As(err, &refused):
		return sinks.Permanent(err)
	case isTokenError(err): // it says more than that the time was over
		return err
	case bounded && !time.Now().Before(deadline): // the context itself may be late
		return fmt.Errorf("no answer within the attempt's time: %w", context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("stopped before an answer came: %w", ctx.Err())
	}
	return err
}

// encode makes the request of one delivery.
func (s *sink) encode(req *fasthttp.Request, a *sinks.Attempt, d *sinks.Delivery) {
	h := &req.Header
	s.encodeEvent(req, d.Event)
	var digits [20]byte
	h.Add(HeaderDelivery, d.ID)
	h.AddBytesV(HeaderAttempt, strconv.AppendInt(digits[:0], int64(d.Attempt), 10))
	s.encodeAttempt(req, a)
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value := d.Event.Extension(name); value != "" {
			h.Add(name, value)
		}
	}
}

// encodeAttempt adds what is the same for all deliveries of an attempt.
func (s *sink) encodeAttempt(req *fasthttp.Request, a *sinks.Attempt) {
	var digits [20]byte
	req.Header.Add(HeaderTrigger, a.Trigger)
	req.Header.AddBytesV(HeaderClaim, strconv.AppendUint(digits[:0], a.Claim, 10))
}

func (s *sink) encodeEvent(req *fasthttp.Request, e *event.Event) {
	switch s.mode {
	case Structured:
		req.Header.SetContentType(event.MediaTypeJSON)
		req.SetBodyRaw(e.AppendJSON(nil))
	case Raw:
		if e.DataContentType != "" {
			req.Header.SetContentType(e.DataContentType)
		}
		req.SetBodyRaw(e.Data)
	default:
		e.HTTPHeaders(req.Header.Add)
		req.SetBodyRaw(e.Data)
	}
}
