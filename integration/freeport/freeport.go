// Package freeport finds ports for the servers that tests and benchmarks start.
package freeport

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
)

// The ports are below those that systems give to outgoing connections (Linux:
// 32768 and above, IANA: 49152 and above): while a server restarts, or is about to
// start, nobody else takes its port.
const (
	first = 10_000
	many  = 22_768
	tries = 200
)

// tried counts the ports that this process has tried: none is found twice.
var tried atomic.Uint32

// Find returns a port of 127.0.0.1 that nobody listens on. Processes look for it in
// different places.
func Find() (int, error) {
	var last error
	for range tries {
		port := first + (os.Getpid()*131+int(tried.Add(1)))%many
		listener, err := net.Listen("tcp", address(port)) //nolint:noctx // it waits for nothing
		if err == nil {
			return port, listener.Close()
		}
		last = err
	}
	return 0, fmt.Errorf("no port of %d to %d is free: %w", first, first+many-1, last)
}

// Addresses returns n addresses of 127.0.0.1, each with a port as Find's.
func Addresses(n int) ([]string, error) {
	addresses := make([]string, n)
	var failed error
	for i := range addresses {
		port, err := Find()
		failed = errors.Join(failed, err)
		addresses[i] = address(port)
	}
	return addresses, failed
}

// Port is Find for a test.
func Port(tb testing.TB) int {
	tb.Helper()
	port, err := Find()
	if err != nil {
		tb.Fatal(err)
	}
	return port
}

// Ports returns n ports for a test, in decimal.
func Ports(tb testing.TB, n int) []string {
	tb.Helper()
	ports := make([]string, n)
	for i := range ports {
		ports[i] = strconv.Itoa(Port(tb))
	}
	return ports
}

// Address returns 127.0.0.1 and a port for a test.
func Address(tb testing.TB) string {
	tb.Helper()
	return address(Port(tb))
}

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
