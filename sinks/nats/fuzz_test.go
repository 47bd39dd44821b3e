package nats_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/nats-io/nats.go"

	"sluice/sinks"
	sinknats "sluice/sinks/nats"
)

// FuzzSettle gives answers of any kind: only those that say so end a delivery,
// and what is asked for, and said, is bounded.
func FuzzSettle(f *testing.F) {
	for _, answer := range []string{"", "+ACK", "-NAK", `-NAK {"delay": 1000}`, `-NAK {"delay": 1e30}`, "+TERM\nno", "+WPI", "-ERR", "x", "-5"} {
		f.Add([]byte(answer), "", "")
		f.Add([]byte(answer), "404", "none\r\n")
	}
	f.Fuzz(func(t *testing.T, data []byte, code, reason string) {
		header := nats.Header{}
		if code+reason != "" {
			header = nats.Header{"Nats-Service-Error-Code": {code}, "Nats-Service-Error": {reason}}
		}
		response, err := sinknats.Settle(&nats.Msg{Data: data, Header: header})
		if len(response.Body) > 64<<10 {
			t.Errorf("%d bytes are kept", len(response.Body))
		}
		if sinks.IsPermanent(err) && !strings.HasPrefix(string(data), "+TERM") && !strings.HasPrefix(code, "4") && !strings.HasPrefix(code, "+4") && !strings.HasPrefix(code, "0") {
			t.Errorf("%q ends a delivery: %v", data, err)
		}
		if err == nil && code+reason != "" && !strings.HasPrefix(string(data), "+ACK") {
			t.Errorf("%q with an error is done", data)
		}
		var later *sinks.RetryAfterError
		if errors.As(err, &later) && (later.After < 0 || later.After > 24*time.Hour) {
			t.Errorf("put off by %v", later.After)
		}
		if err != nil && (len(err.Error()) > 8<<10 || !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\r\n\x1b\x00")) {
			t.Errorf("the error is %q", err)
		}
	})
}
