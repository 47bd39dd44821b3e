package http

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/time/rate"

	"sluice/config"
	"sluice/sinks"
)

// Handshake asks the worker for its permission before anything is sent to it
// (CloudEvents, HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4).
type Handshake struct {
	// Origin is the name under which this installation asks, such as
	// sluice.example.com.
	Origin string `yaml:"origin"`
	// Rate is how many requests a minute it asks for; 0 for as many as the worker
	// allows.
	Rate int `yaml:"rate"`
}

const (
	headerOrigin        = "WebHook-Request-Origin"
	headerRate          = "WebHook-Request-Rate"
	headerAllowedOrigin = "WebHook-Allowed-Origin"
	headerAllowedRate   = "WebHook-Allowed-Rate"
)

var originPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func (h *Handshake) validate() error {
	if h == nil {
		return nil
	}
	var problems []error
	if !originPattern.MatchString(h.Origin) {
		problems = append(problems, config.Invalid("handshake.origin", "found %q; write the DNS name of this installation, such as sluice.example.com", h.Origin))
	}
	if h.Rate < 0 {
		problems = append(problems, config.Invalid("handshake.rate", "found %d; write how many requests a minute to ask for, or leave it out", h.Rate))
	}
	return errors.Join(problems...)
}

// A permission is what the worker has allowed this sink.
type permission struct {
	Handshake
	turn    turn
	limiter atomic.Pointer[rate.Limiter] // nil before it was given
}

// newPermission returns nil without a section.
func newPermission(h *Handshake) *permission {
	if h == nil {
		return nil
	}
	return &permission{Handshake: *h, turn: newTurn()}
}

// retryRate is when a delivery comes again that was over the allowed rate.
const retryRate = time.Second

// wait returns when a request may be sent: there is a permission, and its rate
// is kept.
func (p *permission) wait(ctx context.Context, ask func(context.Context, *fasthttp.Response) error) error {
	if p == nil {
		return nil
	}
	if p.limiter.Load() == nil {
		there := func() bool { return p.limiter.Load() != nil }
		if err := p.turn.take(ctx, there, func(ctx context.Context) error { return p.request(ctx, ask) }); err != nil {
			return fmt.Errorf("asking for permission with OPTIONS: %w", err)
		}
	}
	if err := p.limiter.Load().Wait(ctx); err != nil && ctx.Err() == nil {
		return &sinks.ThrottledError{Err: errors.New("the rate that the worker allows leaves no room within the attempt's time"), After: retryRate}
	}
	return ctx.Err()
}

// request asks for the permission.
func (p *permission) request(ctx context.Context, ask func(context.Context, *fasthttp.Response) error) error {
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	if err := ask(ctx, resp); err != nil && !errors.Is(err, errCut) {
		return err
	}
	limit, err := p.allowed(resp)
	if err != nil {
		return fmt.Errorf("answered %s: %w", statusText(resp.StatusCode()), err)
	}
	p.limiter.Store(rate.NewLimiter(limit, 1))
	return nil
}

// allowed reads the answer: its headers count, whatever its status is.
func (p *permission) allowed(resp *fasthttp.Response) (rate.Limit, error) {
	origin := resp.Header.Peek(headerAllowedOrigin)
	switch {
	case len(origin) == 0:
		return 0, errors.New(headerAllowedOrigin + " is missing, so that nothing may be sent")
	case string(origin) != "*" && string(origin) != p.Origin:
		return 0, fmt.Errorf("%s is %s, and this is %q", headerAllowedOrigin, sinks.Excerpt(origin), p.Origin)
	}
	allowed := string(resp.Header.Peek(headerAllowedRate))
	if allowed == "" || allowed == "*" {
		return perMinute(p.Rate), nil
	}
	number, err := strconv.ParseUint(allowed, 10, 31)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%s is %s, which is neither * nor a number of requests a minute", headerAllowedRate, sinks.Excerpt([]byte(allowed)))
	}
	return perMinute(min(int(number), cmp.Or(p.Rate, int(number)))), nil
}

// perMinute is no limit for 0.
func perMinute(requests int) rate.Limit {
	if requests == 0 {
		return rate.Inf
	}
	return rate.Limit(float64(requests) / time.Minute.Seconds())
}
