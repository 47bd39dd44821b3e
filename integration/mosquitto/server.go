//go:build integration

package mosquitto

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/integration/debian"
	"sluice/integration/freeport"
	"sluice/integration/server"
)

// The user that may do everything, and one that may read only.
const (
	User     = "sluice"
	Reader   = "reader"
	Password = "sluice-secret"
)

// program is where the package has it; it is in no PATH but root's.
const program = "/usr/sbin/mosquitto"

// A Broker is one Mosquitto.
type Broker struct {
	server  *server.Server
	port    int
	sockets int
}

// SavedAtStop has a broker write what it keeps when it is stopped, and not with each
// change: all of it, each time, which costs more than what benchmarks are to show.
const SavedAtStop = "autosave_on_changes false\nautosave_interval 0"

// Start starts a broker that ends with the test. It writes what it keeps with each
// change, and takes up all QoS 2 where it was when it starts again, for which
// max_inflight_messages has to be more than are on their way. Settings are further
// lines of its configuration; of two the later one holds.
func Start(tb testing.TB, settings ...string) *Broker {
	tb.Helper()
	debian.Need(tb, "test -x "+program, "mosquitto")
	dir := tb.TempDir()
	b := &Broker{port: freeport.Port(tb), sockets: freeport.Port(tb)}
	passwords := filepath.Join(dir, "passwords")
	write(tb, passwords, "")
	for _, user := range []string{User, Reader} {
		if output, err := exec.CommandContext(tb.Context(), "mosquitto_passwd", "-b", passwords, user, Password).CombinedOutput(); err != nil {
			tb.Fatalf("mosquitto_passwd: %v\n%s", err, output)
		}
	}
	write(tb, filepath.Join(dir, "acl"), "user "+User+"\ntopic readwrite #\nuser "+Reader+"\ntopic read #\n")
	write(tb, filepath.Join(dir, "mosquitto.conf"), fmt.Sprintf(`listener %d 127.0.0.1
listener %d 127.0.0.1
protocol websockets
allow_anonymous false
password_file %s
acl_file %s
persistence true
persistence_location %s/
autosave_on_changes true
autosave_interval 1
max_queued_messages 0
max_inflight_messages 65534
message_size_limit 1048576
log_dest stderr
user root
%s
`, b.port, b.sockets, passwords, filepath.Join(dir, "acl"), dir, strings.Join(settings, "\n")))
	b.server = server.Start(tb, server.Options{
		Name: "Mosquitto", Command: []string{program, "-c", filepath.Join(dir, "mosquitto.conf")}, Dir: dir,
		Ready: func(ctx context.Context) error { return errors.Join(reach(ctx, b.port), reach(ctx, b.sockets)) },
	})
	return b
}

func reach(ctx context.Context, port int) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return conn.Close()
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// URL is where the broker listens.
func (b *Broker) URL() string { return "mqtt://127.0.0.1:" + strconv.Itoa(b.port) }

// Sockets is where it takes WebSockets.
func (b *Broker) Sockets() string { return "ws://127.0.0.1:" + strconv.Itoa(b.sockets) + "/mqtt" }

// Restart stops the broker in an orderly way and starts it again.
func (b *Broker) Restart(tb testing.TB) { tb.Helper(); b.server.Restart(tb) }

// Hold makes the broker answer nothing until release is called.
func (b *Broker) Hold(tb testing.TB) (release func()) {
	tb.Helper()
	b.server.Pause(tb)
	return func() { b.server.Resume(tb) }
}
