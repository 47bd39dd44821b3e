package http_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/event"
	"sluice/sources/sourcetest"
)

// FuzzRequest sends whatever comes through the handler, which must answer
// something well-formed, accept only what is valid, and never blame the bus.
func FuzzRequest(f *testing.F) {
	out := sourcetest.NewOut()
	mux := make(handlers, 1)
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", mux))
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, out) }()
	f.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			f.Error(err)
		}
	})
	handler := <-mux
	f.Add("POST", event.MediaTypeJSON, "", "", "", "", []byte(jsonEvent))
	f.Add("POST", event.MediaTypeBatchJSON, "", "", "", "", []byte("["+jsonEvent+"]"))
	f.Add("POST", "text/plain", "1.0", "a%20b", "/s", "\"q\"", []byte("x"))
	f.Add("POST", "application/json", "", "", "", "", []byte(`{"a":1}`))
	f.Add("GET", "", "", "", "", "", []byte{})
	f.Fuzz(func(t *testing.T, method, contentType, version, id, source, extension string, body []byte) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/hooks", nil)
		request.Method = method
		request.ContentLength = -1
		set := func(name, value string) {
			if value != "" {
				request.Header.Set(name, value)
			}
		}
		set("Content-Type", contentType)
		set("Ce-Specversion", version)
		set("Ce-Id", id)
		set("Ce-Source", source)
		set("Ce-Ext", extension)
		set("Ce-Type", id)
		request.Body = io.NopCloser(bytes.NewReader(body))
		recorder := httptest.NewRecorder()
		handler.ServeHTTP(recorder, request)
		if !json.Valid(recorder.Body.Bytes()) {
			t.Errorf("the answer is not JSON: %q", recorder.Body)
		}
		if recorder.Code != 202 && (recorder.Code < 400 || recorder.Code > 499) {
			t.Errorf("status %d: %s", recorder.Code, recorder.Body)
		}
	})
}

// handlers is a Mux that hands over what is mounted.
type handlers chan http.Handler

func (h handlers) Handle(_, _ string, handler http.Handler) (func(), error) {
	h <- handler
	return func() {}, nil
}
