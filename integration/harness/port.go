//go:build integration

package harness

import (
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// The ports are below those that the system gives to outgoing connections:
// while sluice is down, nobody else takes its port.
const (
	firstPort = 20_000
	manyPorts = 12_000
)

// ports counts how many were tried.
var ports atomic.Uint32

// FreeAddress returns an address of this machine on which nobody listens.
func FreeAddress(tb testing.TB) string {
	tb.Helper()
	var config net.ListenConfig
	for range 200 {
		port := firstPort + (os.Getpid()*31+int(ports.Add(1)))%manyPorts
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		listener, err := config.Listen(tb.Context(), "tcp", address)
		if err != nil {
			continue
		}
		if err := listener.Close(); err != nil {
			tb.Fatal(err)
		}
		return address
	}
	tb.Fatal("no free port")
	return ""
}
