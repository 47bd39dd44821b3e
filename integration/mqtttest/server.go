// Package mqtttest is the other side of tests of MQTT: the server that nats-server
// has in it, and a client that publishes and one that records.
package mqtttest

import (
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/integration/freeport"
)

// Patience is how long the other side waits before it fails the test.
const Patience = 20 * time.Second

// A Server is nats-server in the test's process, which speaks MQTT 3.1.1 and
// keeps what it has in its folder.
type Server struct {
	options server.Options
	server  *server.Server
	port    int
}

// Serve starts a server, which ends with the test. Change may be nil.
func Serve(tb testing.TB, change func(*server.Options)) *Server {
	tb.Helper()
	s := &Server{port: freeport.Port(tb)}
	s.options = server.Options{
		ServerName: "mqtt", Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: tb.TempDir(),
		MQTT: server.MQTTOpts{Host: "127.0.0.1", Port: s.port},
	}
	if change != nil {
		change(&s.options)
	}
	s.start(tb)
	tb.Cleanup(s.stop)
	return s
}

func (s *Server) start(tb testing.TB) {
	tb.Helper()
	options := s.options // the server changes its own
	var err error
	if s.server, err = server.NewServer(&options); err != nil {
		tb.Fatal(err)
	}
	s.server.Start()
	if !s.server.ReadyForConnections(Patience) {
		tb.Fatal("nats-server is not ready")
	}
}

func (s *Server) stop() {
	s.server.Shutdown()
	s.server.WaitForShutdown()
}

// Restart stops the server and starts it again on the same port and folder.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.stop()
	s.start(tb)
}

// URL is where it speaks MQTT.
func (s *Server) URL() string { return "mqtt://127.0.0.1:" + strconv.Itoa(s.port) }

// NATS is where it speaks its own protocol.
func (s *Server) NATS() string { return s.server.ClientURL() }
