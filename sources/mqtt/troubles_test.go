package mqtt_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/integration/mqtttest"
	"sluice/sources"
	sourcemqtt "sluice/sources/mqtt"
	"sluice/sources/sourcetest"
)

// A healthLog is what a source has reported.
type healthLog struct {
	mu   sync.Mutex
	said []string
}

func (h *healthLog) env() sources.Env {
	e := env()
	e.Report = func(err error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.said = append(h.said, fmt.Sprint(err))
	}
	return e
}

// wait waits until the source has said something.
func (h *healthLog) wait(tb testing.TB, want string) {
	tb.Helper()
	sourcetest.Eventually(tb, "it says "+want, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.ContainsFunc(h.said, func(said string) bool { return strings.Contains(said, want) })
	})
}

// TestSubscriptions checks what becomes of topics that the server does not grant as
// they were asked for: it is said, and messages on the others come.
func TestSubscriptions(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*server.Options)
		want   string
	}{
		"refused": {
			func(o *server.Options) {
				deny := &server.SubjectPermission{Deny: []string{"secret", "secret.>"}}
				o.Users = []*server.User{{Username: "sluice", Password: "sluice", Permissions: &server.Permissions{Subscribe: deny}}}
			},
			`the server refuses the subscription "secret/#": unspecified error (0x80)`,
		},
		"lower QoS": {
			func(o *server.Options) { downgrade(t, o) },
			`the server grants QoS 1 to the subscription "sensors/#", not 2: messages may be lost; write qos: 1 if that is meant`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := mqtttest.Serve(t, test.change)
			as := mqtttest.As{URL: s.URL(), Version: mqttconn.V311, User: "sluice", Password: "sluice"}
			said, out := &healthLog{}, sourcetest.NewOut()
			stop := sourcetest.Run(t, build(t, said.env(), section(as), qos(2), func(c *sourcemqtt.Config) { c.Topics = []string{"secret/#", "sensors/#"} }), out)
			said.wait(t, test.want)
			publish(t, as, "sensors/k7", 2, "20")
			if got := out.Wait(t, 1); string(got[0].Data) != "20" {
				t.Errorf("the events are %v", got)
			}
			stop()
		})
	}
}

// downgrade has the server grant QoS 1 to who asks for 2: a setting that only its
// file has.
func downgrade(t *testing.T, o *server.Options) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.conf")
	if err := os.WriteFile(file, fmt.Appendf(nil, "mqtt {host: %q, port: %d, downgrade_qos2_subscribe: true}", o.MQTT.Host, o.MQTT.Port), 0o600); err != nil {
		t.Fatal(err)
	}
	read, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	o.MQTT = read.MQTT
}

func section(as mqtttest.As) func(*sourcemqtt.Config) {
	return func(c *sourcemqtt.Config) { c.Server = mqtttest.Section(as) }
}

func publish(tb testing.TB, as mqtttest.As, topic string, qos byte, payload string) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), mqtttest.Patience)
	defer cancel()
	p := mqtttest.NewPublisher(tb, as)
	defer p.Close()
	if err := p.Publish(ctx, &mqttconn.Message{Topic: topic, QoS: qos, Payload: []byte(payload)}); err != nil {
		tb.Fatal(err)
	}
}

// A smallOut takes events of so many bytes, as a bus does.
type smallOut struct {
	*sourcetest.Out

	most int
}

func (o smallOut) Publish(ctx context.Context, events ...event.Event) error {
	if err := o.check(events); err != nil {
		return err
	}
	return o.Out.Publish(ctx, events...)
}

func (o smallOut) PublishAt(ctx context.Context, shard string, cursor []byte, events ...event.Event) error {
	if err := o.check(events); err != nil {
		return err
	}
	return o.Out.PublishAt(ctx, shard, cursor, events...)
}

func (o smallOut) check(events []event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], o.most); err != nil {
			return err
		}
	}
	return nil
}

// TestTooLarge publishes a message that the bus does not take: it stays with the
// server and is said, the others come, and it comes when the bus takes it.
func TestTooLarge(t *testing.T) {
	for _, q := range []int{1, 2} {
		t.Run(fmt.Sprintf("QoS %d", q), func(t *testing.T) {
			s := mqtttest.Serve(t, func(o *server.Options) { o.MQTT.AckWait = 100 * time.Millisecond })
			as := mqtttest.As{URL: s.URL(), Version: mqttconn.V311}
			subscriber := as
			subscriber.ClientID = "source"
			mqtttest.Subscribe(t, subscriber, "sensors/#", byte(q))
			said, out := &healthLog{}, sourcetest.NewOut()
			source := func() sources.Source { return build(t, said.env(), section(subscriber), qos(q)) }
			stop := sourcetest.Run(t, source(), smallOut{Out: out, most: 1000})
			for _, size := range []int{10, 2000, 20} {
				publish(t, as, "sensors/k7", byte(q), strings.Repeat("x", size))
			}
			out.Wait(t, 2)
			said.wait(t, `1 messages stay with the server; the last has 2000 bytes, on "sensors/k7": the bus does not take events of that size (bus.max_event): raise it and start again`)
			stop()
			out = out.Restart()
			stop = sourcetest.Run(t, source(), smallOut{Out: out, most: 10_000})
			if n := len(out.Wait(t, 3)); n != 3 {
				t.Errorf("%d events, want 3", n)
			}
			stop()
		})
	}
}

// TestTooLargeAndLost does that with QoS 0, where nothing stays with the server.
func TestTooLargeAndLost(t *testing.T) {
	s := mqtttest.Serve(t, nil)
	as := mqtttest.As{URL: s.URL(), Version: mqttconn.V311}
	said, out := &healthLog{}, sourcetest.NewOut()
	stop := sourcetest.Run(t, build(t, said.env(), section(as), qos(0)), smallOut{Out: out, most: 1000})
	sourcetest.Eventually(t, "it has subscribed", func() bool {
		publish(t, as, "sensors/k7", 1, "x")
		return len(out.Events()) > 0
	})
	publish(t, as, "sensors/k7", 1, strings.Repeat("x", 2000))
	said.wait(t, `a message of QoS 0 and 2000 bytes on "sensors/k7" is lost: the bus does not take events of that size (bus.max_event)`)
	stop()
}

// TestTooManyAttributes publishes a message whose topic no event can have: that
// bus.max_event is no help is said.
func TestTooManyAttributes(t *testing.T) {
	s := mqtttest.Serve(t, nil)
	as := mqtttest.As{URL: s.URL(), Version: mqttconn.V311}
	said, out := &healthLog{}, sourcetest.NewOut()
	subscriber := as
	subscriber.ClientID = "source"
	mqtttest.Subscribe(t, subscriber, "sensors/#", 1)
	stop := sourcetest.Run(t, build(t, said.env(), section(subscriber), qos(1)), smallOut{Out: out, most: event.DefaultMaxSize})
	publish(t, as, "sensors/"+strings.Repeat("x", 9000), 1, "x")
	said.wait(t, "its attributes, such as its topic and user properties, are more than the 16384 bytes that an event may have")
	publish(t, as, "sensors/k7", 1, "20")
	out.Wait(t, 1)
	stop()
}
