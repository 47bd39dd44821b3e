package amqpconn_test

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/connect/amqpconn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func server(url string, change func(*amqpconn.Server)) *amqpconn.Server {
	s := amqpconn.NewServer()
	s.URL = config.NewSecret(url)
	if change != nil {
		change(&s)
	}
	return &s
}

func TestServer(t *testing.T) {
	password := config.NewSecret("pa55word")
	for _, c := range []struct {
		name           string
		url            string
		change         func(*amqpconn.Server)
		address, vhost string
	}{
		{"host", "amqp://broker", nil, "broker:5672", "/"},
		{"TLS", "amqps://broker/", nil, "broker:5671", "/"},
		{"port, user, virtual host", "amqp://u:p%2F@[::1]:99/prod", nil, "[::1]:99", "prod"},
		{"escaped slash", "amqp://broker/%2f", nil, "broker:5672", "/"},
		{"escaped path", "amqp://broker/a%2fb%20c", nil, "broker:5672", "a/b c"},
		{"keys", "amqp://a, amqp://b:1", func(s *amqpconn.Server) { s.User, s.Password, s.VHost = "u", password, "x" }, "a:5672", "x"},
	} {
		b, err := server(c.url, c.change).Broker()
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if b.Address() != c.address || b.VHost() != c.vhost {
			t.Errorf("%s: %s and %q", c.name, b.Address(), b.VHost())
		}
	}
	for _, c := range []struct {
		name, url string
		change    func(*amqpconn.Server)
		want      string
	}{
		{"none", "", nil, "url: it is missing"},
		{"scheme", "http://pa55word", nil, "url: node 1 is no address of a broker"},
		{"not escaped", "amqp://u:pa55word#@broker", nil, "url: node 1"},
		{"parameters", "amqp://broker?heartbeat=1", nil, "url: node 1 has parameters"},
		{"path", "amqp://broker/a/b", nil, "more than one part"},
		{"second login", "amqp://a,amqp://u:pa55word@b", nil, "url: node 2 has a user"},
		{"mixed", "amqp://a,amqps://b", nil, "url: node 2 has another scheme"},
		{"user alone", "amqp://a", func(s *amqpconn.Server) { s.User = "u" }, "user: user and password go together"},
		{"two users", "amqp://u:pa55word@a", func(s *amqpconn.Server) { s.User, s.Password = "u", password }, "user: there is a user in url"},
		{"two virtual hosts", "amqp://a/x", func(s *amqpconn.Server) { s.VHost = "y" }, "vhost: there is a virtual host"},
		{"heartbeat", "amqp://a", func(s *amqpconn.Server) { s.Heartbeat = 5 }, "heartbeat: expected 1s to 10m0s, found 5ns"},
		{"TLS for none", "amqp://a", func(s *amqpconn.Server) { s.TLS.ServerName = "x" }, "tls: the nodes of url do not speak TLS"},
		{"TLS", "amqps://a", func(s *amqpconn.Server) { s.TLS.CAFile = "/none" }, "tls.ca_file"},
	} {
		err := server(c.url, c.change).Validate()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "pa55word") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// A gate that is shut holds back who waits, until it is open.
func TestGate(t *testing.T) {
	g := amqpconn.NewGate(10)
	g.Add(10)
	amqpconn.Pass(t.Context(), g) // it is open
	g.Add(1)
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		amqpconn.Pass(t.Context(), g)
	}()
	select {
	case <-passed:
		t.Fatal("it is open with more than its limit")
	case <-time.After(20 * time.Millisecond):
	}
	g.Add(-1)
	<-passed
	g.Add(100)
	g.Open()
	amqpconn.Pass(t.Context(), g)
}
