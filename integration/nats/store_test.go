//go:build integration

package nats_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	client "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/freeport"
	"sluice/integration/nats"
	"sluice/integration/server"
	"sluice/sinks"
	sinknats "sluice/sinks/nats"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

// The variables that make the test's program a NATS server of its own, which can
// be killed: its address, its folder, and the port on which it speaks MQTT; 0 for
// none.
const (
	serverVariable = "SLUICE_TEST_NATS"
	folderVariable = "SLUICE_TEST_NATS_DIR"
	mqttVariable   = "SLUICE_TEST_NATS_MQTT"
)

// serve runs a server until it is asked to end.
func serve(address string) {
	_, port, _ := strings.Cut(address, ":")
	number, _ := strconv.Atoi(port)
	mqtt, _ := strconv.Atoi(os.Getenv(mqttVariable))
	s, err := natsserver.NewServer(&natsserver.Options{
		ServerName: "nats", Host: "127.0.0.1", Port: number, NoLog: true, NoSigs: true,
		JetStream: true, StoreDir: os.Getenv(folderVariable), SyncAlways: true,
		MQTT: natsserver.MQTTOpts{Host: "127.0.0.1", Port: mqtt},
	})
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s.Start()
	<-ctx.Done()
	s.Shutdown()
	s.WaitForShutdown()
}

// mostBytes is the largest message of the stream.
const mostBytes = 64 << 10

func store(tb testing.TB) sinktest.Store {
	tb.Helper()
	address := freeport.Address(tb)
	url := "nats://" + address
	s := server.Start(tb, server.Options{
		Name: "NATS", Command: []string{os.Args[0]},
		Env: []string{serverVariable + "=" + address, folderVariable + "=" + tb.TempDir()},
		Ready: func(ctx context.Context) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	conn, err := client.Connect(url, client.MaxReconnects(-1), client.ReconnectWait(20*time.Millisecond))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := js.CreateStream(tb.Context(), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, MaxMsgSize: mostBytes}); err != nil {
		tb.Fatal(err)
	}
	wrong := func(name, want string, change func(*sinknats.Config)) sinktest.Wrong {
		return sinktest.Wrong{Name: name, Want: want, Sink: func(tb testing.TB) sinks.Sink { tb.Helper(); return sinkOf(tb, url, change) }}
	}
	secured := nats.Start(tb, nats.WithPassword).ClientURL()
	return sinktest.Store{
		Sink:    func(tb testing.TB) sinks.Sink { tb.Helper(); return sinkOf(tb, url, func(*sinknats.Config) {}) },
		Section: fmt.Sprintf("nats: {url: %q, subject: orders, confirm: stream, stream: ORDERS}", url),
		Stored:  func(tb testing.TB) []sinktest.Received { tb.Helper(); return stored(tb, js) },
		Restart: s.Restart, Crash: s.Crash,
		Hold: func(tb testing.TB) func() { tb.Helper(); s.Pause(tb); return func() { s.Resume(tb) } },
		Wrong: []sinktest.Wrong{
			wrong("wrong password", "refuse who sluice says to be", func(c *sinknats.Config) {
				c.URL, c.Auth = secured, config.NATSAuth{User: "nobody", Password: config.NewSecret("wrong")}
			}),
			wrong("no stream", "no stream stores the subject", func(c *sinknats.Config) { c.Subject = "elsewhere" }),
			wrong("nobody there", "no server answers", func(c *sinknats.Config) { c.URL = "nats://127.0.0.1:1" }),
		},
		Bad: func(n int) *event.Event {
			return &event.Event{
				ID: "bad", Source: "/test", Type: "test.made",
				Data: fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, n, strings.Repeat("x", mostBytes)),
			}
		},
		Once: true,
	}
}

func sinkOf(tb testing.TB, url string, change func(*sinknats.Config)) sinks.Sink {
	tb.Helper()
	c := sinknats.NewConfig()
	c.URL, c.Subject, c.Confirm = url, "orders", sinknats.ByStream
	change(c)
	s, err := c.Sink(sinks.Env{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// stored returns the messages of the stream; fewer while the server is away.
func stored(tb testing.TB, js jetstream.JetStream) []sinktest.Received {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 5*time.Second)
	defer cancel()
	stream, err := js.Stream(ctx, "ORDERS")
	if err != nil {
		return nil
	}
	var all []sinktest.Received
	for i := uint64(1); i <= stream.CachedInfo().State.LastSeq; i++ {
		m, err := stream.GetMsg(ctx, i)
		if err != nil {
			return all
		}
		attempt, _ := strconv.Atoi(m.Header.Get(worker.HeaderAttempt))
		all = append(all, sinktest.Received{
			ID: m.Header.Get(worker.HeaderDelivery), Attempt: attempt, Data: string(m.Data), Key: m.Header.Get("ce-partitionkey"),
		})
	}
	return all
}

func TestSuite(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "nats", Start: store, Kill: adapters.KillSink,
		Without: map[string]string{
			"batches, one by one": "a message is one delivery",
		},
	})
}

func BenchmarkSink(b *testing.B) {
	adapters.BenchSink(b, "nats", store)
}
