package http_test

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"sluice/event"
	"sluice/sources/sourcetest"
)

// nowhere takes events and forgets them, so that only the source is measured.
type nowhere struct{ *sourcetest.Out }

func (nowhere) Publish(context.Context, ...event.Event) error { return nil }

// BenchmarkHandler is one structured event, without the connection.
func BenchmarkHandler(b *testing.B) {
	mux := make(handlers, 1)
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", mux))
	if err != nil {
		b.Fatal(err)
	}
	sourcetest.Run(b, source, nowhere{})
	handler := <-mux
	body := []byte(`{"specversion":"1.0","id":"1","source":"/s","type":"t","data":{"a":1,"b":[1,2,3]}}`)
	request := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/hooks", nil)
	request.Header.Set("Content-Type", event.MediaTypeJSON)
	b.ReportAllocs()
	for b.Loop() {
		request.Body = readCloser{bytes.NewReader(body)}
		recorder := httptest.NewRecorder()
		if handler.ServeHTTP(recorder, request); recorder.Code != http.StatusAccepted {
			b.Fatal(recorder.Body)
		}
	}
}

type readCloser struct{ *bytes.Reader }

func (readCloser) Close() error { return nil }

// BenchmarkRequests is the same over loopback, 64 clients at once.
func BenchmarkRequests(b *testing.B) {
	server, url := startServer(b, serverOptions())
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", server))
	if err != nil {
		b.Fatal(err)
	}
	sourcetest.Run(b, source, nowhere{})
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.Cleanup(client.CloseIdleConnections)
	sender := &sender{url: url + "/hooks", client: client}
	if err := sender.insist(b.Context(), 0); err != nil {
		b.Fatal(err)
	}
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if status, err := sender.post(b.Context(), 1); err != nil || status != http.StatusAccepted {
				b.Errorf("status %d, %v", status, err)
			}
		}
	})
}
