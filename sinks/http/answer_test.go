package http

import (
	"bufio"
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"sluice/sinks"
)

// Whatever a server answers, the sink judges it and says so in few words.
func FuzzAnswer(f *testing.F) {
	for _, seed := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 503 Busy\r\nRetry-After: 120\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
		"HTTP/1.1 301 Moved\r\nLocation: \xff\r\n\r\n",
		"HTTP/1.0 429 \r\nRetry-After: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n\x1b[31m",
	} {
		f.Add([]byte(seed))
	}
	s := &sink{matrix: Status{}.matrix()}
	f.Fuzz(func(t *testing.T, answer []byte) {
		resp := fasthttp.AcquireResponse()
		defer fasthttp.ReleaseResponse(resp)
		keep, err := read(resp, bufio.NewReader(bytes.NewReader(answer)), false)
		if err == nil {
			err = s.settle(resp)
		} else if keep {
			t.Error("a connection is kept after a failure")
		}
		if err == nil {
			if status := resp.StatusCode(); status < 200 || status > 299 {
				t.Errorf("%d is done", status)
			}
			return
		}
		if len(err.Error()) > 6*sinks.ExcerptBytes {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
		for _, b := range []byte(err.Error()) {
			if b < ' ' || b == 0x7f {
				t.Errorf("the error has a control character: %q", err)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	f.Add("120")
	f.Add("Mon, 02 Jan 2006 15:04:05 GMT")
	f.Fuzz(func(t *testing.T, value string) {
		if after := retryAfter(value, time.Unix(0, 0)); after < 0 || after > maxRetryAfter {
			t.Errorf("%q is %v", value, after)
		}
	})
}

func TestRetryAfterDates(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"Sun, 01 Mar 2026 12:00:30 GMT":  30 * time.Second,
		"Sunday, 01-Mar-26 12:01:00 GMT": time.Minute,
		"Sun Mar  1 12:00:02 2026":       2 * time.Second,
		"Sun, 01 Mar 2026 11:59:59 GMT":  0,
		"Sun, 01 Mar 2027 12:00:00 GMT":  maxRetryAfter,
		"0":                              0,
		"1.5":                            0,
	} {
		if got := retryAfter(value, now); got != want {
			t.Errorf("%s: %v, want %v", value, got, want)
		}
	}
	if !sinks.IsPermanent((&sink{matrix: &matrix{}}).settle(&fasthttp.Response{})) {
		t.Error("a status that nobody has listed is not dead")
	}
}

// A date is compared with the clock of who has written it: this machine's may
// have jumped, and a wait of a day would end a delivery.
func TestRetryAfterByTheClockOfTheAnswer(t *testing.T) {
	s := &sink{matrix: Status{}.matrix()}
	for _, off := range []time.Duration{0, 1000 * time.Hour, -1000 * time.Hour} {
		now := time.Now().Add(off).UTC()
		text := "HTTP/1.1 503 Busy\r\nDate: " + now.Format(http.TimeFormat) +
			"\r\nRetry-After: " + now.Add(30*time.Second).Format(http.TimeFormat) + "\r\nContent-Length: 0\r\n\r\n"
		resp := &fasthttp.Response{}
		if _, err := read(resp, bufio.NewReader(strings.NewReader(text)), false); err != nil {
			t.Fatal(err)
		}
		var after *sinks.RetryAfterError
		if err := s.settle(resp); !errors.As(err, &after) || after.After != 30*time.Second {
			t.Errorf("off by %v: %v", off, err)
		}
	}
}
