//go:build integration

package integration_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/integration/harness"
	"sluice/worker"
)

// A natsSide is the other side of nats sinks: a server that comes and goes, two
// workers of a queue group, and a stream.
type natsSide struct {
	t       *testing.T
	options server.Options
	server  *server.Server
	conn    *nats.Conn

	mu       sync.Mutex
	done     map[string]map[string]bool // by the event's id: its deliveries
	restarts int
}

func newNATSSide(t *testing.T) *natsSide {
	t.Helper()
	n := &natsSide{t: t, done: map[string]map[string]bool{}, options: server.Options{
		Host: "127.0.0.1", Port: -1, NoLog: true, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true,
	}}
	n.start()
	n.options.Port = n.server.Addr().(*net.TCPAddr).Port
	t.Cleanup(n.stop)
	var err error
	n.conn, err = nats.Connect(n.server.ClientURL(), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.stream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}, Duplicates: time.Hour}); err != nil {
		t.Fatal(err)
	}
	n.work()
	return n
}

func (n *natsSide) start() {
	n.t.Helper()
	options := n.options
	s, err := server.NewServer(&options)
	if err != nil {
		n.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		n.t.Fatal("the NATS server is not ready")
	}
	n.server = s
}

func (n *natsSide) stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}

// restart lets everybody who is connected find nobody for a moment.
func (n *natsSide) restart() {
	n.t.Helper()
	n.stop()
	n.start()
	n.restarts++
}

func (n *natsSide) stream() jetstream.JetStream {
	n.t.Helper()
	js, err := jetstream.New(n.conn)
	if err != nil {
		n.t.Fatal(err)
	}
	return js
}

// work runs the workers until the test ends.
func (n *natsSide) work() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(n.t.Context()))
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			if err := worker.Serve(ctx, n.conn, worker.Options{Subject: "work", Queue: "workers"}, n.take); err != nil {
				n.t.Error(err)
			}
		})
	}
	n.t.Cleanup(func() { cancel(); all.Wait(); n.conn.Close() })
}

// take fails some deliveries at their first attempt.
func (n *natsSide) take(_ context.Context, d *worker.Delivery) error {
	if d.Attempt == 1 {
		switch last := d.Event.ID[len(d.Event.ID)-1]; last {
		case '3':
			return worker.RetryAfter(errors.New("not now"), 50*time.Millisecond)
		case '7':
			return errors.New("failed")
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.done[d.Event.ID] == nil {
		n.done[d.Event.ID] = map[string]bool{}
	}
	n.done[d.Event.ID][d.ID] = true
	return nil
}

func (n *natsSide) missing(ids []string) (missing []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		if len(n.done[id]) == 0 {
			missing = append(missing, id)
		}
	}
	return missing
}

// kept returns how often each event is in the stream.
func (n *natsSide) kept() map[string]int {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), time.Minute)
	defer cancel()
	stream, err := n.stream().Stream(ctx, "KEPT")
	if err != nil {
		n.t.Fatal(err)
	}
	all := map[string]int{}
	for at := uint64(1); at <= stream.CachedInfo().State.LastSeq; at++ {
		m, err := stream.GetMsg(ctx, at)
		if err != nil {
			n.t.Fatal(err)
		}
		all[m.Header.Get("ce-id")]++
	}
	return all
}

// TestNATSUnderKills kills sluice again and again, and restarts the NATS server,
// under load: each event that was accepted is done by a worker, and is in the
// stream once.
func TestNATSUnderKills(t *testing.T) {
	rng := random(t)
	n := newNATSSide(t)
	const retry = "retry: {attempts: 1000, initial: 20ms, max: 200ms}, concurrency: 50"
	s := harness.New(t, program, fmt.Sprintf(`sources: {in: {http: {path: /in}}}
triggers:
  work: {on: in, to: {nats: {url: %[1]q, subject: work, ack_wait: 1s}}, %[2]s}
  keep: {on: in, to: {nats: {url: %[1]q, subject: kept, confirm: stream, stream: KEPT}}, %[2]s}
`, n.server.ClientURL(), retry))
	s.Up()
	load := harness.NewLoad(t, s.Ingest+"/in", "n", *rate)
	for i := range min(*kills, 10) {
		wait(t, s, rng)
		if i%3 == 1 {
			n.restart()
		}
		s.Kill()
		s.Start()
	}
	s.Ready()
	at := load.Len()
	harness.Eventually(t, 20*time.Second, "events are accepted again", func() bool { return load.Len() > at+*rate/2 })
	n.restart()
	load.Stop()
	s.Idle(30 * time.Second)
	innocent := len(poisoned(t, s))
	if innocent > 0 {
		finish(t, s, replay(t, s))
	}
	accepted := load.Accepted()
	if missing := n.missing(accepted); len(missing) > 0 {
		t.Errorf("%d of %d events were done by nobody: %v …", len(missing), len(accepted), missing[:min(10, len(missing))])
	}
	kept, twice := n.kept(), 0
	for _, id := range accepted {
		if kept[id] == 0 {
			t.Errorf("the event %s is not in the stream", id)
		}
		twice += max(kept[id]-1, 0)
	}
	if twice > innocent {
		t.Errorf("%d events are in the stream twice, with %d letters replayed", twice, innocent)
	}
	t.Logf("%d accepted, %d in the stream, %d of them twice, after %d kills of sluice and %d restarts of the server, %d taken for poison",
		len(accepted), len(kept), twice, len(s.Kills), n.restarts, innocent)
	s.Conserved()
}
