// Package awstest answers the clients of AWS services over HTTP in the services'
// own JSON protocol, by what a test has written down. It is for answers that no
// server gives which can be run here: those of a service that throttles, fails in
// part, or has dropped what is old.
package awstest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/config"
)

// An Answer is that of one request.
type Answer struct {
	// Status is that of HTTP; 0 for 200.
	Status int
	// Body is JSON.
	Body string
}

// Error is the answer to a request that is refused, with the code and the message
// of the service.
func Error(code, message string) Answer {
	return Answer{Status: http.StatusBadRequest, Body: `{"__type":"` + code + `","message":"` + message + `"}`}
}

// Start runs a server until the test ends, and returns what a section needs to
// reach it. answer is given the operation, such as GetRecords, and the request's
// body; it is called by several goroutines at once.
func Start(tb testing.TB, answer func(operation string, body []byte) Answer) config.AWS {
	tb.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client is gone
		}
		_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		a := answer(operation, body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.Header().Set("X-Amzn-Requestid", "4442587FB7D0A2F9")
		if a.Status != 0 {
			w.WriteHeader(a.Status)
		}
		_, _ = io.WriteString(w, a.Body) // the client may be gone
	}))
	tb.Cleanup(server.Close)
	return config.AWS{
		Endpoint: server.URL, Region: "eu-central-1",
		AccessKey: config.NewSecret("AKIDEXAMPLE"), SecretKey: config.NewSecret("secret"),
	}
}
