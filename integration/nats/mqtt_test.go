//go:build integration

package nats_test

import (
	"context"
	"net"
	"os"
	"strconv"
	"testing"

	"sluice/connect/mqttconn"
	"sluice/integration/adapters"
	"sluice/integration/freeport"
	"sluice/integration/mqtttest"
	"sluice/integration/server"
	"sluice/sinks/sinktest"
)

// TestMQTT runs the suite of sinks, with the sink mqtt and QoS 2, on the MQTT that
// nats-server has. It is durable, as Mosquitto is not.
func TestMQTT(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "mqtt, nats-server", Start: mqttStore, Kill: adapters.KillSink,
		Without: map[string]string{
			"batches, one by one": "MQTT has no batches",
			"the same twice":      "MQTT has no ids of messages",
		},
	})
}

func mqttStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	port := strconv.Itoa(freeport.Port(tb))
	address := net.JoinHostPort("127.0.0.1", port)
	s := server.Start(tb, server.Options{
		Name: "NATS", Command: []string{os.Args[0]},
		Env: []string{serverVariable + "=" + freeport.Address(tb), folderVariable + "=" + tb.TempDir(), mqttVariable + "=" + port},
		Ready: func(ctx context.Context) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			if err != nil {
				return err
			}
			return conn.Close()
		},
	})
	st := mqtttest.Store(tb, mqtttest.As{URL: "mqtt://" + address, Version: mqttconn.V311}, 2)
	st.Restart, st.Crash = s.Restart, s.Crash
	st.Hold = func(tb testing.TB) (release func()) {
		tb.Helper()
		s.Pause(tb)
		return func() { s.Resume(tb) }
	}
	st.Wrong = []sinktest.Wrong{
		{Name: "wrong version", Want: "write version: 3.1.1", Sink: mqtttest.Sink(mqtttest.As{URL: "mqtt://" + address, Version: mqttconn.V5}, 1)},
		{Name: "nobody listens", Want: "connection refused", Sink: mqtttest.Sink(mqtttest.As{URL: "mqtt://127.0.0.1:1", Version: mqttconn.V311}, 1)},
	}
	return st
}
