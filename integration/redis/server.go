//go:build integration

package redis

import (
	"context"
	"net"
	"testing"
	"time"

	client "github.com/redis/go-redis/v9"

	"sluice/integration/debian"
	"sluice/integration/freeport"
	"sluice/integration/server"
)

// A Server is a Redis that syncs each write, on a port and a folder of its own.
type Server struct {
	*server.Server
	// Client is for the test.
	Client *client.Client
	// Address is the server's host and port.
	Address string
}

// Start runs Redis until the test ends. Arguments are settings, such as
// "--maxmemory", "3mb".
func Start(tb testing.TB, arguments ...string) *Server {
	tb.Helper()
	debian.Need(tb, "redis-server --version", "redis-server")
	s := &Server{Address: freeport.Address(tb)}
	_, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		tb.Fatal(err)
	}
	s.Client = client.NewClient(&client.Options{
		Addr: s.Address, Protocol: 2, MaxRetries: -1, DialTimeout: time.Second, ReadTimeout: 5 * time.Second,
		PoolSize: 4096, // with fewer it tries by itself in a goroutine that outlives it
	})
	tb.Cleanup(func() { _ = s.Client.Close() })
	s.Server = server.Start(tb, server.Options{
		Name: "Redis",
		Command: append([]string{
			"redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", tb.TempDir(),
			"--save", "", "--appendonly", "yes", "--appendfsync", "always", "--enable-debug-command", "local",
		}, arguments...),
		Ready: func(ctx context.Context) error { return ping(ctx, s.Address) },
	})
	return s
}

// ping asks whether the server answers; that it asks for a password is an answer.
func ping(ctx context.Context, address string) error {
	c := client.NewClient(&client.Options{Addr: address, Protocol: 2, MaxRetries: -1, DialerRetries: 1})
	defer func() { _ = c.Close() }()
	err := c.Ping(ctx).Err()
	if client.IsAuthError(err) {
		return nil
	}
	return err
}

// URL is the server's address as it stands in a file.
func (s *Server) URL() string { return "redis://" + s.Address }
