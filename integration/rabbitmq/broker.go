//go:build integration

package rabbitmq

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/integration/certificates"
	"sluice/integration/debian"
	"sluice/integration/freeport"
	"sluice/integration/server"
)

// The user that may do everything in all virtual hosts.
const (
	User     = "sluice"
	Password = "sluice-secret"
)

// MaxMessage is the most bytes of a message that the broker takes.
const MaxMessage = 2 << 20

// programs is where the package has what its wrappers in PATH would run as
// another user, in a folder that all nodes of a machine share.
const programs = "/usr/lib/rabbitmq/bin/"

// again starts the node again whenever it ends, so that a test may stop or kill it
// and no process of its own is needed; not when the test has gone. The last node's
// id is in the file pid.
const again = `while kill -0 $PPID; do ` + programs + `rabbitmq-server & echo $! >pid; wait $!; done`

// within is how long the node may take to stop and to start again.
const within = time.Minute

// A Broker is one node of RabbitMQ.
type Broker struct {
	server *server.Server
	dir    string
	port   string
	env    []string
	user   *url.Userinfo
	// tlsPort is where it speaks TLS.
	tlsPort string
}

// Start starts a node that ends with the test. It keeps its data over restarts.
func Start(tb testing.TB) *Broker { tb.Helper(); return StartAs(tb, User, Password) }

// StartAs starts a node with another user that may do everything.
func StartAs(tb testing.TB, user, password string) *Broker {
	tb.Helper()
	debian.Need(tb, "test -x "+programs+"rabbitmq-server", "rabbitmq-server")
	dir := tb.TempDir()
	ports := freeport.Ports(tb, 4)
	b := &Broker{dir: dir, port: ports[0], tlsPort: ports[3], user: url.UserPassword(user, password), env: []string{
		"RABBITMQ_DEFAULT_USER=" + user, "RABBITMQ_DEFAULT_PASS=" + password,
		"HOME=" + dir, // of the cookie
		"RABBITMQ_NODENAME=sluice" + ports[0] + "@localhost", "RABBITMQ_DIST_PORT=" + ports[1],
		"ERL_EPMD_PORT=" + ports[2], "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"), "RABBITMQ_ADVANCED_CONFIG_FILE=" + filepath.Join(dir, "advanced.config"),
		"RABBITMQ_CONF_ENV_FILE=" + filepath.Join(dir, "none"),
		"RABBITMQ_MNESIA_BASE=" + dir, "RABBITMQ_LOGS=-", "RABBITMQ_LOG_BASE=" + dir,
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "plugins"), "RABBITMQ_PID_FILE=" + filepath.Join(dir, "own.pid"),
		"RABBITMQ_ALLOW_INPUT=1", // the process is the node itself, and no script before it
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-noinput +sbwt none +sbwtdcpu none +sbwtdio none",
	}}
	certificates.Files(tb, b.dir, "127.0.0.1")
	b.configure(tb)
	// The nodes of a machine find each other by a daemon, which a node would start
	// and leave behind.
	server.Start(tb, server.Options{
		Name: "epmd", Command: []string{"epmd", "-port", ports[2], "-address", "127.0.0.1"},
		Ready: func(ctx context.Context) error { return reach(ctx, ports[2]) },
	})
	b.server = server.Start(tb, server.Options{
		Name: "RabbitMQ", Command: []string{"/bin/sh", "-c", again}, Env: b.env, Dir: dir, Ready: b.ready,
	})
	return b
}

// Restart stops the node in an orderly way and waits until it is there again.
func (b *Broker) Restart(tb testing.TB) { tb.Helper(); b.end(tb, syscall.SIGTERM) }

// Crash kills the node and waits until it is there again.
func (b *Broker) Crash(tb testing.TB) { tb.Helper(); b.end(tb, syscall.SIGKILL) }

// Hold makes the node answer nothing until release is called.
func (b *Broker) Hold(tb testing.TB) (release func()) {
	tb.Helper()
	b.server.Pause(tb)
	return func() { b.server.Resume(tb) }
}

func (b *Broker) end(tb testing.TB, signal syscall.Signal) {
	tb.Helper()
	old := b.pid(tb)
	if err := syscall.Kill(old, signal); err != nil {
		tb.Fatal(err)
	}
	for deadline := time.Now().Add(within); b.pid(tb) == old || b.pid(tb) == 0 || b.ready(tb.Context()) != nil; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			tb.Fatalf("RabbitMQ is not there again %v after %v:\n%s", within, signal, b.server.Output())
		}
	}
}

// pid is that of the node; 0 while the file is being written.
func (b *Broker) pid(tb testing.TB) int {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "pid"))
	if err != nil {
		tb.Fatal(err)
	}
	id, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return id
}

func (b *Broker) configure(tb testing.TB) {
	tb.Helper()
	for name, text := range map[string]string{
		"plugins": "[].\n",
		// The counts of quorum queues are else up to five seconds old. A shorter interval
		// makes such queues fail that are just being made.
		"advanced.config": "[{rabbit, [{quorum_tick_interval, 500}]}].\n",
		"rabbitmq.conf": fmt.Sprintf(`listeners.tcp.1 = %s
loopback_users = none
max_message_size = %d
listeners.ssl.1 = 127.0.0.1:%s
ssl_options.certfile = %s
ssl_options.keyfile = %s
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = error
`, b.address(), MaxMessage, b.tlsPort, b.Certificate(), filepath.Join(b.dir, "key.pem")),
	} {
		if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

func (b *Broker) address() string { return "127.0.0.1:" + b.port }

// URL is that of the broker, without a user and a virtual host.
func (b *Broker) URL() string { return "amqp://" + b.address() }

// TLS is the URL for TLS, without a user and a virtual host.
func (b *Broker) TLS() string { return "amqps://127.0.0.1:" + b.tlsPort }

// Certificate is the file with the broker's certificate, which is its own authority.
func (b *Broker) Certificate() string { return filepath.Join(b.dir, "certificate.pem") }

// Login is the broker's URL with the user in it.
func (b *Broker) Login() string { return "amqp://" + b.user.String() + "@" + b.address() }

func (b *Broker) ready(ctx context.Context) error {
	if err := reach(ctx, b.port); err != nil {
		return err
	}
	connection, err := amqp091.Dial(b.Login())
	if err != nil {
		return err
	}
	return connection.Close()
}

func reach(ctx context.Context, port string) error {
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", "127.0.0.1:"+port)
	if err != nil {
		return err
	}
	return c.Close()
}

// Control runs rabbitmqctl.
func (b *Broker) Control(tb testing.TB, args ...string) string {
	tb.Helper()
	command := exec.CommandContext(tb.Context(), programs+"rabbitmqctl", args...)
	command.Env = append(os.Environ(), b.env...)
	out, err := command.CombinedOutput()
	if err != nil {
		tb.Fatalf("rabbitmqctl %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// Channel returns a channel of a connection of its own, which ends with the test.
func (b *Broker) Channel(tb testing.TB) *amqp091.Channel {
	tb.Helper()
	connection, err := amqp091.Dial(b.Login())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = connection.CloseDeadline(time.Now().Add(time.Second)) }) // the broker may have gone
	channel, err := connection.Channel()
	if err != nil {
		tb.Fatal(err)
	}
	return channel
}

// Queue declares a durable queue: quorum or classic.
func (b *Broker) Queue(tb testing.TB, name, kind string, arguments amqp091.Table) {
	tb.Helper()
	all := amqp091.Table{"x-queue-type": kind}
	maps.Copy(all, arguments)
	if _, err := b.Channel(tb).QueueDeclare(name, true, false, false, false, all); err != nil {
		tb.Fatal(err)
	}
}
