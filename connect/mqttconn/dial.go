package mqttconn

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/gorilla/websocket"
)

// A scheme of URLs.
type scheme struct {
	names     []string
	port      string
	tls, sock bool
}

// schemeOf returns how a URL is dialed, or nil.
func schemeOf(name string) *scheme {
	for _, s := range [...]scheme{
		{names: []string{"mqtt", "tcp"}, port: "1883"},
		{names: []string{"mqtts", "tls", "ssl"}, port: "8883", tls: true},
		{names: []string{"ws"}, port: "80", sock: true},
		{names: []string{"wss"}, port: "443", tls: true, sock: true},
	} {
		if slices.Contains(s.names, name) {
			return &s
		}
	}
	return nil
}

// UsesTLS tells whether connections to a URL of ParseURL are encrypted.
func UsesTLS(u *url.URL) bool {
	s := schemeOf(u.Scheme)
	return s != nil && s.tls
}

// Address returns the host and the port of a URL of ParseURL.
func Address(u *url.URL) string {
	port := u.Port()
	if s := schemeOf(u.Scheme); port == "" && s != nil {
		port = s.port
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// ParseURL reads the URL of a server. Its error quotes nothing: there may be a
// password in it.
func ParseURL(text string) (*url.URL, error) {
	const right = "write mqtt://host:1883, mqtts://host:8883, ws://host/path or wss://host/path"
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || schemeOf(u.Scheme) == nil:
		return nil, fmt.Errorf("it is no address of an MQTT server: %s", right)
	case u.User != nil:
		return nil, fmt.Errorf("it has a user in it: write user and password beside it")
	case u.Fragment != "" || !schemeOf(u.Scheme).sock && (u.RawQuery != "" || u.Path != "" && u.Path != "/"):
		return nil, fmt.Errorf("it has more than a host and a port in it, which only ws and wss may have: %s", right)
	}
	return u, nil
}

// dial opens the connection below MQTT.
func dial(ctx context.Context, o *Options) (net.Conn, error) {
	s := schemeOf(o.Server.Scheme)
	open := o.Dial
	if open == nil {
		open = (&net.Dialer{}).DialContext
	}
	trust := o.TLS
	if trust == nil {
		trust = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if s.sock {
		return dialSocket(ctx, o.Server, open, trust)
	}
	conn, err := open(ctx, "tcp", Address(o.Server))
	if err != nil || !s.tls {
		return conn, err
	}
	trust = trust.Clone()
	if trust.ServerName == "" {
		trust.ServerName = o.Server.Hostname()
	}
	secure := tls.Client(conn, trust)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("TLS: %w", err)
	}
	return secure, nil
}

// dialSocket opens a WebSocket (MQTT 5, section 6).
func dialSocket(ctx context.Context, u *url.URL, open func(context.Context, string, string) (net.Conn, error), trust *tls.Config) (net.Conn, error) {
	dialer := websocket.Dialer{NetDialContext: open, TLSClientConfig: trust, Subprotocols: []string{"mqtt"}, HandshakeTimeout: connectTimeout}
	conn, answer, err := dialer.DialContext(ctx, u.String(), http.Header{"User-Agent": {"sluice/1"}})
	if answer != nil {
		_ = answer.Body.Close()
	}
	switch {
	case err != nil && answer != nil:
		return nil, fmt.Errorf("no WebSocket: the server answers %s: %w", answer.Status, err)
	case err != nil:
		return nil, err
	case conn.Subprotocol() != "mqtt":
		_ = conn.Close()
		return nil, fmt.Errorf("no WebSocket of MQTT: the server speaks the protocol %s", quote(conn.Subprotocol()))
	}
	return &socket{Conn: conn}, nil
}

// A socket is a WebSocket as a connection: its messages have no meaning.
type socket struct {
	*websocket.Conn
	message io.Reader // what is left of the one that is being read
}

// Read reads on in the messages. Each has to be binary (section 6).
func (s *socket) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			form, message, err := s.NextReader()
			switch {
			case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseAbnormalClosure):
				return 0, io.EOF
			case err != nil:
				return 0, err
			case form != websocket.BinaryMessage:
				return 0, fmt.Errorf("%w: a WebSocket's message of text", errMalformed)
			}
			s.message = message
		}
		n, err := s.message.Read(p)
		if err != io.EOF { //nolint:errorlint // as a Reader has to return it
			return n, err
		}
		s.message = nil
		if n > 0 {
			return n, nil
		}
	}
}

// Write sends p as one message.
func (s *socket) Write(p []byte) (int, error) {
	if err := s.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline bounds reads and writes.
func (s *socket) SetDeadline(t time.Time) error {
	if err := s.SetReadDeadline(t); err != nil {
		return err
	}
	return s.SetWriteDeadline(t)
}
