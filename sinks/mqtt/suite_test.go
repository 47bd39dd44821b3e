package mqtt_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"go.uber.org/goleak"

	"sluice/connect/mqttconn"
	"sluice/integration/mqtttest"
	"sluice/sinks/sinktest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestSuite runs the suite on the MQTT that nats-server has. Integration tests run
// it on Mosquitto.
func TestSuite(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{Start: func(tb testing.TB) sinktest.Store {
		tb.Helper()
		s := mqtttest.Serve(tb, nil)
		st := mqtttest.Store(tb, mqtttest.As{URL: s.URL(), Version: mqttconn.V311}, 2)
		st.Restart = s.Restart
		secured := mqtttest.Serve(tb, func(o *server.Options) { o.Username, o.Password = "sluice", "secret" })
		st.Wrong = []sinktest.Wrong{
			{Name: "wrong password", Want: "not authorized", Sink: mqtttest.Sink(mqtttest.As{URL: secured.URL(), Version: mqttconn.V311, User: "sluice", Password: "wrong"}, 1)},
			{Name: "wrong version", Want: "write version: 3.1.1", Sink: mqtttest.Sink(mqtttest.As{URL: s.URL(), Version: mqttconn.V5}, 1)},
		}
		return st
	}})
}
