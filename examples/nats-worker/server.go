package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// startServer starts a NATS server with JetStream, as an installation would have
// one elsewhere. It is not sluice's bus, which is embedded.
func startServer(address, folder string) (*server.Server, error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, fmt.Errorf("the port of %q: %w", address, err)
	}
	s, err := server.NewServer(&server.Options{
		Host: host, Port: port, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: filepath.Join(folder, "nats"), JetStreamMaxStore: 64 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("the NATS server: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("the NATS server does not start at " + address + " (WORKER_PORT names another port)")
	}
	return s, nil
}
