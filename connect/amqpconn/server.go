// Package amqpconn is what the source and the sink of AMQP share: which brokers
// there are, who sluice is to them, and connections that end when they should.
package amqpconn

import (
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/config"
)

// DefaultHeartbeat is the time after which a broker that says nothing counts as
// gone.
const DefaultHeartbeat = config.Duration(10 * time.Second)

// The bounds of Heartbeat.
const (
	minHeartbeat = time.Second
	maxHeartbeat = 10 * time.Minute
)

// MaxName is the most bytes of what AMQP 0-9-1 calls a short string: names of
// queues and exchanges, and routing keys (section 4.2.5.3).
const MaxName = 255

// The user of a new broker, which it lets in from its own machine only.
const guest = "guest"

// A Server is the part of a section that says which broker is meant, and who
// sluice is to it.
type Server struct {
	// URL has the nodes of one broker, separated by commas. The first one may name
	// user, password and virtual host for all of them.
	URL      config.Secret `yaml:"url"`
	User     string        `yaml:"user"`
	Password config.Secret `yaml:"password"`
	// VHost is the virtual host; empty for that of the URL, else "/".
	VHost     string          `yaml:"vhost"`
	Heartbeat config.Duration `yaml:"heartbeat"`
	TLS       config.TLS      `yaml:"tls"`
}

// NewServer returns a server with the defaults filled in.
func NewServer() Server { return Server{Heartbeat: DefaultHeartbeat} }

// Validate returns everything that is wrong, each problem with its key. It shows
// nothing of the URL, which may have a password in it.
func (s *Server) Validate() error {
	_, err := s.Broker()
	return err
}

// Broker reads the section and the files of TLS. It opens no connection. Its
// error holds what config.Invalid makes.
func (s *Server) Broker() (*Broker, error) {
	nodes, first, err := s.nodes()
	trust, tlsErr := s.TLS.Load()
	all := []error{err, tlsErr}
	if first != nil {
		all = append(all, s.checkLogin(first))
	}
	if wait := time.Duration(s.Heartbeat); wait < minHeartbeat || wait > maxHeartbeat {
		all = append(all, config.Invalid("heartbeat", "expected %v to %v, found %v", minHeartbeat, maxHeartbeat, s.Heartbeat))
	}
	if err := errors.Join(all...); err != nil {
		return nil, err
	}
	b := &Broker{nodes: nodes, trust: trust, heartbeat: time.Duration(s.Heartbeat)}
	b.login(s, first)
	return b, nil
}

// A Broker is a server that was checked. It may be used by many goroutines.
type Broker struct {
	nodes          []string // amqp://host:port
	user, password string
	vhost          string
	heartbeat      time.Duration
	trust          *tls.Config
}

// VHost returns the name of the virtual host.
func (b *Broker) VHost() string { return b.vhost }

// Address returns the host and the port of the first node.
func (b *Broker) Address() string {
	_, address, _ := strings.Cut(b.nodes[0], "://")
	return address
}

func (b *Broker) login(s *Server, first *url.URL) {
	b.user, b.password, b.vhost = s.User, s.Password.Reveal(), s.VHost
	if b.user == "" {
		b.user, b.password = guest, guest
	}
	if first.User != nil {
		b.user = first.User.Username()
		b.password, _ = first.User.Password()
	}
	if b.vhost == "" {
		b.vhost = vhostOf(first)
	}
}

// vhostOf returns the virtual host that the path of a URL names (RabbitMQ URI
// Specification): "/prod" is prod, and "/%2f" is "/".
func vhostOf(u *url.URL) string {
	if name := strings.TrimPrefix(u.Path, "/"); name != "" {
		return name
	}
	return "/"
}

// nodes reads the URLs. All have the first one's login.
func (s *Server) nodes() (nodes []string, first *url.URL, err error) {
	text := strings.TrimSpace(s.URL.Reveal())
	if text == "" {
		return nil, nil, config.Invalid("url", "it is missing; write the broker, such as amqp://127.0.0.1:5672")
	}
	for i, one := range strings.Split(text, ",") {
		u, reason := parse(strings.TrimSpace(one))
		if reason == "" && i > 0 && (u.User != nil || strings.Trim(u.Path, "/") != "") {
			reason = "has a user or a virtual host in it: those of the first node are for all; leave them out"
		}
		if reason == "" && i > 0 && u.Scheme != first.Scheme {
			reason = "has another scheme than the first one: write amqp:// or amqps:// for all"
		}
		if reason != "" {
			return nil, nil, config.Invalid("url", "node %d %s", i+1, reason)
		}
		if i == 0 {
			first = u
		}
		port := u.Port()
		if port == "" {
			port = map[string]string{"amqp": "5672", "amqps": "5671"}[u.Scheme]
		}
		nodes = append(nodes, u.Scheme+"://"+net.JoinHostPort(u.Hostname(), port))
	}
	return nodes, first, nil
}

// parse returns a URL, or what is wrong with it.
func parse(text string) (u *url.URL, wrong string) {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "amqp" && u.Scheme != "amqps":
		return nil, "is no address of a broker: write amqp://host:5672 or amqps://host:5671, a user's reserved characters percent-encoded"
	case u.RawQuery != "" || u.Fragment != "":
		return nil, "has parameters behind its path: write heartbeat and tls as keys of their own"
	case strings.Contains(strings.TrimPrefix(u.EscapedPath(), "/"), "/"):
		return nil, "has more than one part in its path: that is the virtual host, a slash in it is %2f"
	}
	return u, ""
}

func (s *Server) checkLogin(first *url.URL) error {
	var all []error
	if (s.User == "") != s.Password.IsZero() {
		all = append(all, config.Invalid("user", "user and password go together: one of them is missing"))
	}
	if s.User != "" && first.User != nil {
		all = append(all, config.Invalid("user", "there is a user in url already: remove one of them"))
	}
	if s.VHost != "" && strings.Trim(first.Path, "/") != "" {
		all = append(all, config.Invalid("vhost", "there is a virtual host in url already: remove one of them"))
	}
	if len(s.VHost) > MaxName {
		all = append(all, config.Invalid("vhost", "it has %d bytes, at most %d", len(s.VHost), MaxName))
	}
	if s.TLS != (config.TLS{}) && first.Scheme == "amqp" {
		all = append(all, config.Invalid("tls", "the nodes of url do not speak TLS: write amqps://, or leave tls out"))
	}
	return errors.Join(all...)
}

func (b *Broker) config(name string) amqp091.Config {
	return amqp091.Config{
		SASL:            []amqp091.Authentication{&amqp091.PlainAuth{Username: b.user, Password: b.password}},
		Vhost:           b.vhost,
		Heartbeat:       b.heartbeat,
		Locale:          "en_US",
		TLSClientConfig: b.trust.Clone(), // the library names the node in it
		Properties:      amqp091.Table{"product": "sluice", "connection_name": name},
	}
}
