package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// pingTimeout is how long an engine may take to say that it is there.
const pingTimeout = 5 * time.Second

// An Engine is a container engine on this machine. It is safe for use by
// several goroutines at once.
type Engine struct {
	client *client.Client
	host   string
	owner  *owner
}

// Open finds the engine and asks it whether it is well. host is the address of
// its socket, such as unix:///run/podman/podman.sock; when it is empty, that is
// DOCKER_HOST of the environment, or else the first of [Sockets] where an
// engine answers. The error names each socket that was tried, with what was
// found there, and how to say another.
func Open(ctx context.Context, host string) (*Engine, error) {
	sockets, err := candidates(host, os.Getenv)
	if err != nil {
		return nil, err
	}
	var tried []string
	for _, socket := range sockets {
		c, err := dial(ctx, socket)
		if err == nil {
			return newEngine(c, socket)
		}
		tried = append(tried, fmt.Sprintf("%s (%v)", socket, err))
	}
	return nil, fmt.Errorf("no container engine answers at %s: start Docker or Podman (podman system service), or set DOCKER_HOST to the socket of one, such as unix:///run/podman/podman.sock",
		strings.Join(tried, ", "))
}

func newEngine(c *client.Client, socket string) (*Engine, error) {
	o, err := newOwner()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &Engine{client: c, host: "unix://" + socket, owner: o}, nil
}

// Host is the address of the engine's socket, as DOCKER_HOST would have it.
func (e *Engine) Host() string { return e.host }

// Close ends the connections to the engine. Containers that still run are taken
// for left over from now on.
func (e *Engine) Close() error {
	return errors.Join(e.client.Close(), e.owner.Close())
}

// Sockets are the places where engines listen by default: Docker's and
// Podman's, of the system and of the user.
func Sockets() []string { return sockets(os.Getenv) }

func sockets(getenv func(string) string) []string {
	all := []string{"/var/run/docker.sock", "/run/podman/podman.sock"}
	if dir := getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		all = append(all, filepath.Join(dir, "docker.sock"), filepath.Join(dir, "podman", "podman.sock"))
	}
	return all
}

// candidates are the paths of the sockets to try, in order.
func candidates(host string, getenv func(string) string) ([]string, error) {
	name := "the engine's address"
	if host == "" {
		host, name = getenv("DOCKER_HOST"), "DOCKER_HOST"
	}
	if host == "" {
		return sockets(getenv), nil
	}
	path, found := strings.CutPrefix(host, "unix://")
	if !found || !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%s is %q: it has to be the unix socket of an engine on this machine, such as unix:///var/run/docker.sock", name, host)
	}
	return []string{path}, nil
}

// dial returns a client of the engine at a socket, once it has answered.
func dial(ctx context.Context, socket string) (*client.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := connect(ctx, socket); err != nil {
		return nil, err
	}
	c, err := client.New(client.WithHost("unix://" + socket))
	if err != nil {
		return nil, err
	}
	if _, err := c.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// connect says in few words why nobody listens at a socket; the client has advice
// that would be a second one beside ours.
func connect(ctx context.Context, socket string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
	if err == nil {
		return conn.Close()
	}
	if reason, ok := errors.AsType[syscall.Errno](err); ok {
		return reason
	}
	return err
}
