package mqttconn

import (
	"errors"
	"fmt"
	"time"

	"sluice/config"
)

// A Server is the part of a section of the file that says which server, and as
// whom to connect to it.
type Server struct {
	// URL is mqtt://host:1883, mqtts://host:8883, ws://host/path or wss://host/path.
	URL     string  `yaml:"url"`
	Version Version `yaml:"version"`
	// ClientID is empty for one that is made.
	ClientID  string          `yaml:"client_id"`
	User      string          `yaml:"user"`
	Password  config.Secret   `yaml:"password"`
	KeepAlive config.Duration `yaml:"keep_alive"`
	TLS       config.TLS      `yaml:"tls"`
}

// The bounds of KeepAlive, and the longest client id that is taken, in bytes.
const (
	minKeepAlive = 2 * time.Second
	maxKeepAlive = time.Hour
	maxClientID  = 256
)

// NewServer returns a section with the defaults.
func NewServer() Server { return Server{Version: V5, KeepAlive: config.Duration(DefaultKeepAlive)} }

// Validate returns all problems.
func (s *Server) Validate() error {
	_, tlsErr := s.TLS.Load()
	problems := []error{s.validateURL(), s.validateUser(), tlsErr}
	if s.Version != V5 && s.Version != V311 {
		problems = append(problems, config.Invalid("version", "found %q; write %s or %s", s.Version, V5, V311))
	}
	if d := time.Duration(s.KeepAlive); d < minKeepAlive || d > maxKeepAlive || d%time.Second != 0 {
		problems = append(problems, config.Invalid("keep_alive", "expected %v to 1h in whole seconds, found %v", minKeepAlive, s.KeepAlive))
	}
	if s.ClientID != "" {
		if err := checkText(s.ClientID); err != nil {
			problems = append(problems, config.Invalid("client_id", "%q is no client id: %v", s.ClientID, err))
		} else if len(s.ClientID) > maxClientID {
			problems = append(problems, config.Invalid("client_id", "it has %d bytes, at most %d", len(s.ClientID), maxClientID))
		}
	}
	return errors.Join(problems...)
}

func (s *Server) validateURL() error {
	if s.URL == "" {
		return config.Invalid("url", "it is missing; write the server, such as mqtt://127.0.0.1:1883")
	}
	u, err := ParseURL(s.URL)
	switch {
	case err != nil:
		return config.Invalid("url", "%v", err)
	case s.TLS != (config.TLS{}) && !UsesTLS(u):
		return config.Invalid("tls", "the server of url is spoken to without TLS; write mqtts:// or wss://, or leave tls out")
	}
	return nil
}

func (s *Server) validateUser() error {
	switch {
	case s.User == "" && !s.Password.IsZero():
		return config.Invalid("user", "it is missing beside password")
	case s.User == "":
		return nil
	}
	if err := checkText(s.User); err != nil {
		return config.Invalid("user", "%v", err)
	}
	if n := len(s.Password.Reveal()); n > maxTopic {
		return config.Invalid("password", "it has %d bytes, at most %d", n, maxTopic)
	}
	return nil
}

// Options returns how to connect. Validate has been passed.
func (s *Server) Options() (Options, error) {
	u, err := ParseURL(s.URL)
	if err != nil {
		return Options{}, config.Invalid("url", "%v", err)
	}
	trust, err := s.TLS.Load()
	if err != nil {
		return Options{}, err
	}
	return Options{
		Server: u, Version: s.Version, ClientID: s.ClientID, User: s.User, Password: s.Password.Reveal(),
		TLS: trust, KeepAlive: time.Duration(s.KeepAlive),
	}, nil
}

// Explain says what to do about a connection that a server has refused or ended.
func (s *Server) Explain(err error, clientID string) error {
	switch {
	case HasReason(err, BadUserOrPassword, NotAuthorized):
		return fmt.Errorf("the server refuses who sluice says to be (user and password, tls.cert_file, client_id): %w", err)
	case HasReason(err, UnsupportedVersion) && s.Version == V5:
		return fmt.Errorf("the server does not speak MQTT 5; write version: %s: %w", V311, err)
	case HasReason(err, UnsupportedVersion):
		return fmt.Errorf("the server does not speak MQTT 3.1.1; write version: 5: %w", err)
	case HasReason(err, SessionTakenOver):
		return fmt.Errorf("another client has connected with the client id %q, which each needs for itself: write another client_id: %w", clientID, err)
	}
	return err
}
