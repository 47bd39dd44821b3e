//go:build integration

package natscluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/integration/freeport"
)

const (
	readyWithin = time.Minute
	every       = 50 * time.Millisecond
)

// A Cluster is three servers that hold everything three times.
type Cluster struct {
	tb      testing.TB
	program string
	servers []*server
}

// A server is one process at a time, on its folder and ports.
type server struct {
	name, config, url string
	command           *exec.Cmd
	exited            chan struct{}
	said              bytes.Buffer
}

// The version of the servers is that of the module.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "sluice-nats-server-")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "nats-server")
	command := exec.CommandContext(context.Background(), "go", "build", "-o", program, "github.com/nats-io/nats-server/v2")
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := command.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build nats-server: %w\n%s", err, output)
	}
	return program, nil
})

// Remove deletes the program, when it was built.
func Remove() error {
	program, err := build()
	if err != nil {
		return nil //nolint:nilerr // there is none
	}
	return os.RemoveAll(filepath.Dir(program))
}

// Start runs a cluster until the test ends, and waits until it has a leader.
func Start(tb testing.TB) *Cluster {
	tb.Helper()
	program, err := build()
	if err != nil {
		tb.Fatal(err)
	}
	c := &Cluster{tb: tb, program: program}
	tb.Cleanup(func() {
		for n := range c.servers {
			c.Kill(n)
		}
	})
	const servers = 3
	ports := freeport.Ports(tb, 2*servers)
	routes := make([]string, servers)
	for n := range servers {
		routes[n] = fmt.Sprintf("%q", "nats-route://127.0.0.1:"+ports[servers+n])
	}
	for n := range servers {
		c.add(fmt.Sprintf("n%d", n+1), ports[n], ports[servers+n], routes)
		c.Restart(n)
	}
	c.Ready()
	return c
}

func (c *Cluster) add(name, port, route string, routes []string) {
	c.tb.Helper()
	dir := c.tb.TempDir()
	text := fmt.Sprintf(`server_name: %s
listen: "127.0.0.1:%s"
max_payload: 8MB
jetstream { store_dir: %q, max_file_store: 8GB, sync_interval: always }
cluster { name: test, listen: "127.0.0.1:%s", routes: [%s] }
`, name, port, dir, route, strings.Join(routes, ", "))
	config := filepath.Join(dir, "nats.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		c.tb.Fatal(err)
	}
	c.servers = append(c.servers, &server{name: name, config: config, url: "nats://127.0.0.1:" + port})
}

// URL names all servers, separated by commas.
func (c *Cluster) URL() string {
	urls := make([]string, len(c.servers))
	for n, s := range c.servers {
		urls[n] = s.url
	}
	return strings.Join(urls, ",")
}

// Restart starts a server that does not run.
func (c *Cluster) Restart(n int) {
	c.tb.Helper()
	s := c.servers[n]
	// Not bound to the test's context: that ends before the clean-up kills it.
	s.command = exec.Command(c.program, "-c", s.config) //nolint:noctx // see above
	s.command.Stdout, s.command.Stderr = &s.said, &s.said
	if err := s.command.Start(); err != nil {
		c.tb.Fatalf("%s does not start: %v", s.name, err)
	}
	exited, command := make(chan struct{}), s.command
	go func() { _ = command.Wait(); close(exited) }()
	s.exited = exited
}

// Kill ends a server with SIGKILL, if it runs.
func (c *Cluster) Kill(n int) {
	s := c.servers[n]
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(syscall.SIGKILL) // it may have ended by itself
	<-s.exited
	s.command = nil
}

// Leader returns which server leads a stream, waiting until one does.
func (c *Cluster) Leader(stream string) int {
	c.tb.Helper()
	leader := -1
	c.eventually("a leader of "+stream, func(js jetstream.JetStream) error {
		found, err := js.Stream(c.tb.Context(), stream)
		if err != nil {
			return err
		}
		for n, s := range c.servers {
			if info := found.CachedInfo(); info.Cluster != nil && info.Cluster.Leader == s.name {
				leader = n
				return nil
			}
		}
		return errors.New("it has none")
	})
	return leader
}

// Ready waits until the cluster answers as one: with three peers, of which none
// lags behind in any stream.
func (c *Cluster) Ready() {
	c.tb.Helper()
	c.eventually("the cluster is whole", func(js jetstream.JetStream) error {
		streams := js.ListStreams(c.tb.Context())
		for info := range streams.Info() {
			for _, peer := range info.Cluster.Replicas {
				if !peer.Current || peer.Offline {
					return fmt.Errorf("%s of %s is behind", peer.Name, info.Config.Name)
				}
			}
		}
		if err := streams.Err(); err != nil {
			return err
		}
		_, err := js.AccountInfo(c.tb.Context())
		return err
	})
}

func (c *Cluster) eventually(what string, holds func(jetstream.JetStream) error) {
	c.tb.Helper()
	var err error
	for end := time.Now().Add(readyWithin); time.Now().Before(end); time.Sleep(every) {
		if err = c.try(holds); err == nil {
			return
		}
	}
	for _, s := range c.servers {
		c.tb.Logf("%s said:\n%s", s.name, s.said.String())
	}
	c.tb.Fatalf("%s: not after %v: %v", what, readyWithin, err)
}

func (c *Cluster) try(holds func(jetstream.JetStream) error) error {
	conn, err := nats.Connect(c.URL(), nats.Timeout(time.Second))
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithDefaultTimeout(2*time.Second))
	if err != nil {
		return err
	}
	return holds(js)
}
