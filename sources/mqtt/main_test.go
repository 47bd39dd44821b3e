package mqtt_test

import (
	"testing"

	"go.uber.org/goleak"

	"sluice/connect/mqttconn"
	"sluice/sources"
	sourcemqtt "sluice/sources/mqtt"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// build makes a source.
func build(tb testing.TB, env sources.Env, changes ...func(*sourcemqtt.Config)) sources.Source {
	tb.Helper()
	c := sourcemqtt.NewConfig()
	c.Topics = []string{"sensors/#"}
	for _, change := range changes {
		change(c)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// at says which server, and which version it speaks.
func at(url string, version mqttconn.Version) func(*sourcemqtt.Config) {
	return func(c *sourcemqtt.Config) { c.URL, c.Version = url, version }
}

func qos(qos int) func(*sourcemqtt.Config) {
	return func(c *sourcemqtt.Config) { c.QoS = qos }
}

func env() sources.Env { return sourcetest.Env("sensors", nil) }
