package mqtt_test

import (
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/connect/mqttconn"
	"sluice/integration/mqtttest"
	"sluice/sources"
	sourcemqtt "sluice/sources/mqtt"
	"sluice/sources/sourcetest"
)

// TestExercise runs the suite on the MQTT that nats-server has, with QoS 2.
// Integration tests have it with QoS 1, and on Mosquitto.
func TestExercise(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Start: func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		return natsUpstream(tb, 2)
	}})
}

func natsUpstream(tb testing.TB, q int) sourcetest.Upstream {
	tb.Helper()
	s := mqtttest.Serve(tb, nil)
	source := func(tb testing.TB) sources.Source {
		tb.Helper()
		return build(tb, env(), at(s.URL(), mqttconn.V311), qos(q), func(c *sourcemqtt.Config) { c.ClientID = "source" })
	}
	mqtttest.Subscribe(tb, mqtttest.As{URL: s.URL(), Version: mqttconn.V311, ClientID: "source"}, "sensors/#", byte(q))
	u := mqtttest.Upstream(tb, mqtttest.As{URL: s.URL(), Version: mqttconn.V311}, byte(q))
	u.Source, u.Restart, u.Exact = source, s.Restart, q == 2
	u.Wrong = []sourcetest.Wrong{
		{Name: "wrong version", Want: "write version: 3.1.1", Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			return build(tb, env, at(s.URL(), mqttconn.V5))
		}},
		{Name: "wrong password", Want: "not authorized", Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			secured := mqtttest.Serve(tb, func(o *server.Options) { o.Username, o.Password = "sluice", "secret" })
			return build(tb, env, at(secured.URL(), mqttconn.V311), func(c *sourcemqtt.Config) { c.User = "sluice" })
		}},
	}
	return u
}
