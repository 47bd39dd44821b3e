package http

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/sinks"
)

// maxRetryAfter bounds what a Retry-After may ask for.
const maxRetryAfter = 24 * time.Hour

// settle judges an answer by its status alone.
func (s *sink) settle(resp *fasthttp.Response) error {
	status := resp.StatusCode()
	v := s.matrix.of(status)
	if v == done {
		return nil
	}
	err := describe(resp)
	switch v { //nolint:exhaustive // done has been returned
	case dead:
		return sinks.Permanent(err)
	case gone:
		return &sinks.GoneError{Err: err}
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header := string(resp.Header.Peek("Retry-After"))
		if after := retryAfter(header, answeredAt(resp)); after > 0 {
			return &sinks.RetryAfterError{Err: err, After: after}
		}
	}
	return err
}

// answeredAt returns when the answer was made: by its Date header, because a
// clock is compared with itself, else by this machine's clock.
func answeredAt(resp *fasthttp.Response) time.Time {
	if date, err := http.ParseTime(string(resp.Header.Peek("Date"))); err == nil {
		return date
	}
	return time.Now()
}

// describe says what was answered: the status, and the beginning of the body.
func describe(resp *fasthttp.Response) error {
	status := resp.StatusCode()
	text := "answered " + statusText(status)
	if status >= 300 && status < 400 {
		return fmt.Errorf("%s to %s: redirects are never followed", text, sinks.Excerpt(resp.Header.Peek("Location")))
	}
	if len(resp.Body()) == 0 {
		return fmt.Errorf("%s", text)
	}
	return fmt.Errorf("%s: %s", text, sinks.Excerpt(resp.Body()))
}

// statusText returns a status code with its phrase, when it has one.
func statusText(status int) string {
	return strings.TrimSpace(strconv.Itoa(status) + " " + http.StatusText(status))
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or
// a date, from now on. It returns 0 for none, for one in the past, and for what is neither.
func retryAfter(value string, now time.Time) time.Duration {
	if value == "" {
		return 0
	}
	if seconds, err := strconv.ParseUint(value, 10, 63); err == nil {
		if seconds > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(seconds) * time.Second
	}
	date, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(date.Sub(now), 0), maxRetryAfter)
}
