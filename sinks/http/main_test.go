package http_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build returns the sink of a configuration whose url is set.
func build(tb testing.TB, url string, change ...func(*sinkhttp.Config)) sinks.Sink {
	tb.Helper()
	return buildAs(tb, "resize", url, change...)
}

// buildAs returns the sink of a trigger or function of that name.
func buildAs(tb testing.TB, name, url string, change ...func(*sinkhttp.Config)) sinks.Sink {
	tb.Helper()
	c := sinkhttp.NewConfig()
	c.URL = url
	for _, f := range change {
		f(c)
	}
	s, err := c.Sink(sinks.Env{Name: name, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	closer, ok := s.(sinks.Closer)
	if !ok {
		tb.Fatal("the sink cannot be closed")
	}
	tb.Cleanup(func() {
		if err := closer.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func serve(tb testing.TB, handler http.HandlerFunc) *httptest.Server {
	tb.Helper()
	server := httptest.NewServer(handler)
	tb.Cleanup(server.Close)
	return server
}

func sample() *event.Event {
	return &event.Event{
		ID: "a b", Source: "/bucket/photos", Type: "s3.object.created.put", Subject: "caf\u00e9.jpg",
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), DataContentType: "application/json", Data: []byte(`{"key":"a.jpg"}`),
		Extensions: map[string]any{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "count": int32(7)},
	}
}

func attempt(events ...*event.Event) sinks.Attempt {
	a := sinks.Attempt{Trigger: "resize", Claim: 12}
	for _, e := range events {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: "inc.42.resize", Attempt: 3, Event: e})
	}
	return a
}

// deliver makes one attempt within ten seconds.
func deliver(tb testing.TB, s sinks.Sink, events ...*event.Event) (sinks.Response, error) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 10*time.Second)
	defer cancel()
	if len(events) == 0 {
		events = []*event.Event{sample()}
	}
	return s.Deliver(ctx, attempt(events...))
}

func answer(status int, header, value, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if header != "" {
			w.Header().Set(header, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// decision says in a word what an error asks for.
func decision(err error) string {
	var after *sinks.RetryAfterError
	var gone *sinks.GoneError
	switch {
	case err == nil:
		return "done"
	case sinks.IsPermanent(err):
		return "dead"
	case errors.As(err, &gone):
		return "gone"
	case errors.As(err, &after):
		return "after " + after.After.String()
	}
	return "retry"
}
