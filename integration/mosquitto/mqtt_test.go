//go:build integration

package mosquitto_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/connect/mqttconn"
	"sluice/integration/adapters"
	"sluice/integration/mosquitto"
	"sluice/integration/mqtttest"
	"sluice/sinks/sinktest"
	"sluice/sources"
	sourcemqtt "sluice/sources/mqtt"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { adapters.Main(m) }

// Why cases are left out.
const (
	noID   = "MQTT gives messages no id: with QoS 2 none comes twice"
	repeat = "with QoS 1 what was not acknowledged when the server stopped comes again, as another event"
)

// TestSource runs the suite of sources: on Mosquitto with MQTT 5 and 3.1.1 and
// over WebSockets, and on nats-server with QoS 1.
func TestSource(t *testing.T) {
	for _, test := range []struct {
		name    string // of the row in the table
		version mqttconn.Version
		qos     int
		sockets bool
	}{
		{name: "mqtt", version: mqttconn.V5, qos: 2},
		{name: "mqtt, QoS 1", version: mqttconn.V5, qos: 1, sockets: true},
		{name: "mqtt, 3.1.1", version: mqttconn.V311, qos: 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			without := map[string]string{"I5: same id twice": noID}
			if test.qos == 1 {
				without["server restart"] = repeat
			}
			sourcetest.Exercise(t, sourcetest.Fixture{
				Name: test.name, Without: without, Kill: adapters.KillSource,
				Start: func(tb testing.TB) sourcetest.Upstream {
					tb.Helper()
					b := mosquitto.Start(tb)
					as := mqtttest.As{URL: b.URL(), Version: test.version, User: mosquitto.User, Password: mosquitto.Password}
					if test.sockets {
						as.URL = b.Sockets()
					}
					return upstream(tb, b, as, test.qos)
				},
			})
		})
	}
}

func upstream(tb testing.TB, b *mosquitto.Broker, as mqtttest.As, qos int) sourcetest.Upstream {
	tb.Helper()
	source := as
	source.ClientID = "source"
	mqtttest.Subscribe(tb, source, "sensors/#", byte(qos))
	u := mqtttest.Upstream(tb, as, byte(qos))
	u.Section = fmt.Sprintf(`mqtt: {url: "%s", version: "%s", user: "%s", password: "%s", client_id: source, topics: ["sensors/#"], qos: %d}`, as.URL, as.Version, as.User, as.Password, qos)
	u.Restart, u.Exact = b.Restart, qos == 2
	u.Source = func(tb testing.TB) sources.Source {
		tb.Helper()
		return build(tb, sourcetest.Env("sensors", nil), source, qos)
	}
	wrong := func(name, want string, as mqtttest.As) sourcetest.Wrong {
		return sourcetest.Wrong{Name: name, Want: want, Source: func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			return build(tb, env, as, qos)
		}}
	}
	password, nobody := as, as
	password.Password = "wrong"
	nobody.URL = "mqtt://127.0.0.1:1"
	u.Wrong = []sourcetest.Wrong{
		wrong("wrong password", "the server refuses who sluice says to be", password),
		wrong("nobody listens", "connection refused", nobody),
	}
	return u
}

func build(tb testing.TB, env sources.Env, as mqtttest.As, qos int) sources.Source {
	tb.Helper()
	c := sourcemqtt.NewConfig()
	c.Server = mqtttest.Section(as)
	c.Topics, c.QoS = []string{"sensors/#"}, qos
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// TestSink runs the suite of sinks.
func TestSink(t *testing.T) {
	for _, test := range []struct {
		name    string
		version mqttconn.Version
		qos     int
	}{
		{"mqtt", mqttconn.V5, 1},
		{"mqtt, 3.1.1", mqttconn.V311, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			sinktest.ExerciseStore(t, sinktest.StoreFixture{
				Name: test.name, Kill: adapters.KillSink,
				Without: map[string]string{
					"batches, one by one": "MQTT has no batches",
					"the same twice":      "MQTT has no ids of messages",
					"done is durable":     "Mosquitto acknowledges what it has in memory, and writes it within a second",
				},
				Start: func(tb testing.TB) sinktest.Store {
					tb.Helper()
					b := mosquitto.Start(tb)
					return store(tb, b, mqtttest.As{URL: b.URL(), Version: test.version, User: mosquitto.User, Password: mosquitto.Password}, test.qos)
				},
			})
		})
	}
}

func store(tb testing.TB, b *mosquitto.Broker, as mqtttest.As, qos int) sinktest.Store {
	tb.Helper()
	st := mqtttest.Store(tb, as, qos)
	st.Restart, st.Hold = b.Restart, b.Hold
	password, reader := as, as
	password.Password, reader.User = "wrong", mosquitto.Reader
	st.Wrong = []sinktest.Wrong{
		{Name: "wrong password", Want: "the server refuses who sluice says to be", Sink: mqtttest.Sink(password, qos)},
	}
	if as.Version == mqttconn.V5 { // 3.1.1 has no word for it: Mosquitto acknowledges, and forgets
		st.Wrong = append(st.Wrong, sinktest.Wrong{Name: "may not publish", Want: "not authorized (0x87)", Permanent: true, Sink: mqtttest.Sink(reader, qos)})
	}
	return st
}

// TestTooLarge shows that what Mosquitto does not take is refused, and not tried
// for ever (message_size_limit).
func TestTooLarge(t *testing.T) {
	b := mosquitto.Start(t)
	p := mqtttest.NewPublisher(t, mqtttest.As{URL: b.URL(), Version: mqttconn.V5, User: mosquitto.User, Password: mosquitto.Password})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err := p.Once(ctx, &mqttconn.Message{Topic: "large", QoS: 1, Payload: []byte(strings.Repeat("x", 2<<20))})
	if !mqttconn.HasReason(err, mqttconn.PacketTooLarge) {
		t.Errorf("2 MiB, of which Mosquitto takes 1: %v", err)
	}
}

// BenchmarkSource measures how fast messages become durable events.
func BenchmarkSource(b *testing.B) {
	for _, qos := range []int{1, 2} {
		adapters.BenchSource(b, fmt.Sprintf("mqtt, QoS %d", qos), func(tb testing.TB) sourcetest.Upstream {
			tb.Helper()
			m := mosquitto.Start(tb, mosquitto.SavedAtStop)
			return upstream(tb, m, mqtttest.As{URL: m.URL(), Version: mqttconn.V5, User: mosquitto.User, Password: mosquitto.Password}, qos)
		})
	}
}

// BenchmarkSink measures how fast deliveries are acknowledged.
func BenchmarkSink(b *testing.B) {
	for _, qos := range []int{1, 2} {
		adapters.BenchSink(b, fmt.Sprintf("mqtt, QoS %d", qos), func(tb testing.TB) sinktest.Store {
			tb.Helper()
			m := mosquitto.Start(tb, mosquitto.SavedAtStop)
			return store(tb, m, mqtttest.As{URL: m.URL(), Version: mqttconn.V5, User: mosquitto.User, Password: mosquitto.Password}, qos)
		})
	}
}
