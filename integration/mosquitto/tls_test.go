//go:build integration

package mosquitto_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"sluice/config"
	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/integration/certificates"
	"sluice/integration/freeport"
	"sluice/integration/mosquitto"
	"sluice/integration/mqtttest"
	"sluice/sinks"
	sinkmqtt "sluice/sinks/mqtt"
	"sluice/sources"
	sourcemqtt "sluice/sources/mqtt"
	"sluice/sources/sourcetest"
)

// TestTLS delivers a message by the sink and takes it by the source, over TLS and
// over WebSockets in TLS; and what is wrong with certificates is said.
func TestTLS(t *testing.T) {
	ca, key := certificates.Files(t, t.TempDir(), "127.0.0.1")
	client, clientKey := certificates.Files(t, t.TempDir(), "client")
	secured, sockets := freeport.Port(t), freeport.Port(t)
	mosquitto.Start(t, fmt.Sprintf(`listener %d 127.0.0.1
certfile %[3]s
keyfile %[4]s
cafile %[5]s
require_certificate true
listener %[2]d 127.0.0.1
protocol websockets
certfile %[3]s
keyfile %[4]s`, secured, sockets, ca, key, client))
	mqtts, wss := fmt.Sprintf("mqtts://127.0.0.1:%d", secured), fmt.Sprintf("wss://127.0.0.1:%d/mqtt", sockets)
	trusting := config.TLS{CAFile: config.Path(ca)}
	known := config.TLS{CAFile: config.Path(ca), CertFile: config.Path(client), KeyFile: config.Path(clientKey)}
	misnamed := known
	misnamed.ServerName = "broker"
	for _, test := range []struct {
		name, url string
		tls       config.TLS
		want      string // of the error
	}{
		{"mqtts", mqtts, known, ""},
		{"mqtts, no certificate of the client's", mqtts, trusting, "certificate required"},
		{"mqtts, not trusted", mqtts, config.TLS{}, "certificate signed by unknown authority"},
		{"mqtts, another name", mqtts, misnamed, "wanted to match broker"},
		{"wss", wss, trusting, ""},
		{"wss, not trusted", wss, config.TLS{}, "certificate signed by unknown authority"},
	} {
		t.Run(test.name, func(t *testing.T) {
			section := mqtttest.Section(mqtttest.As{URL: test.url, Version: mqttconn.V5, User: mosquitto.User, Password: mosquitto.Password})
			section.TLS = test.tls
			if test.want == "" {
				throughTLS(t, section)
			} else {
				withoutTLS(t, section, test.want)
			}
		})
	}
}

func throughTLS(t *testing.T, section mqttconn.Server) {
	t.Helper()
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, sourceOf(t, section, func(error) {}), out)
	sink := sinkOf(t, section)
	sourcetest.Eventually(t, "the message has come", func() bool {
		if err := deliver(t, sink); err != nil {
			t.Fatal(err)
		}
		return len(out.Events()) > 0
	})
	stop()
	if got := out.Events()[0]; string(got.Data) != "20" {
		t.Errorf("the event is %v", got)
	}
}

// withoutTLS wants the source and the sink to say why they cannot connect.
func withoutTLS(t *testing.T, section mqttconn.Server, want string) {
	t.Helper()
	said := make(chan error, 10)
	stop := sourcetest.Run(t, sourceOf(t, section, func(err error) {
		select {
		case said <- err:
		default:
		}
	}), sourcetest.NewOut())
	if err := <-said; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("the source says %v, want %q in it", err, want)
	}
	stop()
	if err := deliver(t, sinkOf(t, section)); err == nil || !strings.Contains(err.Error(), want) || sinks.IsPermanent(err) {
		t.Errorf("the sink says %v, permanent: %v; want %q in it", err, sinks.IsPermanent(err), want)
	}
}

func sourceOf(t *testing.T, section mqttconn.Server, report func(error)) sources.Source {
	t.Helper()
	c := sourcemqtt.NewConfig()
	c.Server, c.Topics = section, []string{"sensors/#"}
	env := sourcetest.Env("in", nil)
	env.Report = report
	s, err := c.Source(env)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sinkOf(t *testing.T, section mqttconn.Server) sinks.Sink {
	t.Helper()
	c := sinkmqtt.NewConfig()
	c.Server, c.Topic = section, "sensors/k7"
	s, err := c.Sink(sinks.Env{Name: "out", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.(sinks.Closer).Close() })
	return s
}

func deliver(t *testing.T, sink sinks.Sink) error {
	t.Helper()
	e := &event.Event{ID: "e", Source: "/test", Type: "test", Data: []byte("20")}
	_, err := sink.Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "d", Attempt: 1, Event: e}}})
	return err
}
