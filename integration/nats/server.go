// Package nats runs a NATS server in the test's own process, and tests what speaks
// to it; what kills the real program carries the build tag integration.
package nats

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const readyWithin = 20 * time.Second

// A Server is a NATS server with JetStream that syncs each write. It is not for
// use by several goroutines at once.
type Server struct {
	*server.Server
	options server.Options
}

// Start runs a server until the test ends.
func Start(tb testing.TB, changes ...func(*server.Options)) *Server {
	tb.Helper()
	s := &Server{options: server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: tb.TempDir(), SyncAlways: true,
	}}
	for _, change := range changes {
		change(&s.options)
	}
	s.start(tb)
	tb.Cleanup(s.stop)
	return s
}

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	options := s.options
	started, err := server.NewServer(&options)
	if err != nil {
		tb.Fatal(err)
	}
	started.Start()
	s.Server = started
	if !started.ReadyForConnections(readyWithin) {
		tb.Fatal("the server is not ready")
	}
	_, port, err := net.SplitHostPort(started.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	if s.options.Port, err = strconv.Atoi(port); err != nil {
		tb.Fatal(err)
	}
}

func (s *Server) stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Restart stops the server and starts it again, where it was.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.stop()
	s.start(tb)
}

// Dial connects to the server until the test ends.
func (s *Server) Dial(tb testing.TB) (*client.Conn, jetstream.JetStream) {
	tb.Helper()
	conn, err := client.Connect(s.ClientURL(), client.MaxReconnects(-1), client.ReconnectWait(20*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	return conn, js
}

// Hears tells whether anybody has subscribed to a subject.
func (s *Server) Hears(subject string) bool {
	found, err := s.Subsz(&server.SubszOptions{Subscriptions: true, Test: subject})
	return err == nil && found.Total > 0
}

// WithPassword has the server ask for a user that is not known.
func WithPassword(o *server.Options) { o.Username, o.Password = "somebody", "secret" }
