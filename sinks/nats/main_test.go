package nats_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"sluice/event"
	"sluice/sinks"
	sinknats "sluice/sinks/nats"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 20 * time.Second

// serve starts a NATS server with JetStream, which ends with the test.
func serve(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir()}
	if change != nil {
		change(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server is not ready")
	}
	return s
}

// dial connects to a server, for the test.
func dial(t *testing.T, s *server.Server, options ...nats.Option) *nats.Conn {
	t.Helper()
	conn, err := nats.Connect(s.ClientURL(), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// build makes a sink to the subject "work".
func build(t *testing.T, url string, changes ...func(*sinknats.Config)) sinks.Sink {
	t.Helper()
	c := sinknats.NewConfig()
	c.URL, c.Subject = url, "work"
	for _, change := range changes {
		change(c)
	}
	s, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(sinks.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func sample() *event.Event {
	return &event.Event{
		ID: "e1", Source: "/test", Type: "test.made", Subject: "a é", DataContentType: "application/json",
		Data: []byte(`{"n":1}`), Extensions: map[string]any{"traceparent": "00-1-2-01"},
	}
}

func attempt(id string) sinks.Attempt {
	return sinks.Attempt{Trigger: "test", Claim: 7, Deliveries: []sinks.Delivery{{ID: id, Attempt: 2, Event: sample()}}}
}

func deliver(t *testing.T, s sinks.Sink, id string) (sinks.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Deliver(ctx, attempt(id))
}

// eventually delivers until it succeeds.
func eventually(t *testing.T, s sinks.Sink, id string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := deliver(t, s, id)
		if err == nil {
			return
		}
		if sinks.IsPermanent(err) || time.Now().After(end) {
			t.Fatalf("it is never delivered: %v", err)
		}
	}
}
