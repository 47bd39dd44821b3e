// Package postgresconn is how sources and sinks reach PostgreSQL: the keys of the file
// that say where a server is and who sluice is to it, and its errors in words.
package postgresconn

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"sluice/config"
)

// DialTimeout bounds the opening of a connection to one address, with the
// handshakes of TLS and of PostgreSQL.
const DialTimeout = 10 * time.Second

// A Server is the part of a section that says where the server is.
type Server struct {
	// URL is a connection URI of libpq: postgres://user@host:5432/database.
	URL config.Secret `yaml:"url"`
	// Password stands here, or in the URL.
	Password config.Secret `yaml:"password"`
	// TLS checks the server's certificate and name; it goes with sslmode=verify-full,
	// which it is the default of.
	TLS config.TLS `yaml:"tls"`
}

// parameters are those that a URL may have. What libpq takes besides has a key
// of its own, or reads files that the file does not name.
var parameters = []string{"sslmode", "host", "target_session_attrs", "connect_timeout", "options"}

// Validate returns everything that is wrong, each problem with its key. It quotes
// nothing of the URL, which may have a password.
func (s *Server) Validate() error {
	_, tlsErr := s.TLS.Load()
	return errors.Join(s.validateURL(), tlsErr)
}

func (s *Server) validateURL() error {
	const right = "write postgres://user@host:5432/database"
	if s.URL.IsZero() {
		return config.Invalid("url", "it is missing; %s", right)
	}
	u, err := url.Parse(s.URL.Reveal())
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return config.Invalid("url", "it is no URL of a PostgreSQL server; %s", right)
	}
	password, has := u.User.Password()
	switch {
	case u.Host == "" && u.Query().Get("host") == "":
		return config.Invalid("url", "it has no host; %s", right)
	case u.User.Username() == "":
		return config.Invalid("url", "it has no user; %s", right)
	case strings.Trim(u.Path, "/") == "":
		return config.Invalid("url", "it has no database; %s", right)
	case has && password != "" && !s.Password.IsZero():
		return config.Invalid("password", "there is one in url too: remove one of them")
	}
	for name := range u.Query() {
		if !slices.Contains(parameters, name) {
			return config.Invalid("url", "it has the parameter %q, and may have %s; certificates go below tls, the password into password", name, strings.Join(parameters, ", "))
		}
	}
	if mode := u.Query().Get("sslmode"); s.TLS != (config.TLS{}) && mode != "" && mode != "verify-full" {
		return config.Invalid("url", "it says sslmode=%s, and tls checks the server's certificate: leave sslmode out", mode)
	}
	if _, err := pgx.ParseConfig(s.dsn()); err != nil {
		return config.Invalid("url", "it cannot be read: check the port and the parameters; %s", right)
	}
	return nil
}

// dsn returns the URL with the password and the mode of TLS in it.
func (s *Server) dsn() string {
	u, err := url.Parse(s.URL.Reveal())
	if err != nil {
		return s.URL.Reveal()
	}
	if !s.Password.IsZero() {
		u.User = url.UserPassword(u.User.Username(), s.Password.Reveal())
	}
	query := u.Query()
	if !query.Has("sslmode") {
		query.Set("sslmode", "prefer")
	}
	if s.TLS != (config.TLS{}) {
		query.Set("sslmode", "verify-full")
	}
	u.RawQuery = query.Encode()
	return u.String()
}

// Database returns the name of the database.
func (s *Server) Database() string {
	u, err := url.Parse(s.URL.Reveal())
	if err != nil {
		return ""
	}
	return strings.Trim(u.Path, "/")
}

// Options are what a connection is opened with.
type Options struct {
	// Application is the name that the server shows in pg_stat_activity.
	Application string
	// Settings are run-time parameters of the session.
	Settings map[string]string
	// Dialer opens the connections; nil for a plain one.
	Dialer *net.Dialer
}

// Config returns what pgx connects with. It reads the certificates again.
func (s *Server) Config(o Options) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(s.dsn())
	if err != nil {
		return nil, config.Invalid("url", "it cannot be read as a PostgreSQL URL")
	}
	if err := s.secure(&c.Config); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.dsn())
	if err != nil {
		return nil, config.Invalid("url", "it cannot be read as a PostgreSQL URL")
	}
	c.Password, _ = u.User.Password() // not one that the environment has
	c.RuntimeParams["application_name"] = o.Application
	c.RuntimeParams["client_encoding"] = "UTF8"
	maps.Copy(c.RuntimeParams, o.Settings)
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = DialTimeout
	}
	dialer := o.Dialer
	if dialer == nil {
		dialer = &net.Dialer{KeepAlive: 30 * time.Second}
	}
	c.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, address)
	}
	return c, nil
}

// Pool returns what a pool of connections is made with.
func (s *Server) Pool(o Options) (*pgxpool.Config, error) {
	pool, err := pgxpool.ParseConfig(s.dsn())
	if err != nil {
		return nil, config.Invalid("url", "it cannot be read as a PostgreSQL URL")
	}
	if pool.ConnConfig, err = s.Config(o); err != nil {
		return nil, err
	}
	return pool, nil
}

// secure has the server's certificate checked as tls asks for.
func (s *Server) secure(c *pgconn.Config) error {
	if s.TLS == (config.TLS{}) {
		return nil
	}
	trust, err := s.TLS.Load()
	if err != nil {
		return err
	}
	named := func(host string) *tls.Config {
		own := trust.Clone()
		if own.ServerName == "" {
			own.ServerName = host
		}
		return own
	}
	c.TLSConfig = named(c.Host)
	for _, other := range c.Fallbacks {
		other.TLSConfig = named(other.Host)
	}
	return nil
}

// The conditions by which a server refuses that are told in words: SQLSTATE,
// PostgreSQL documentation, appendix A.
const (
	codePassword      = "28P01"
	codeAuthorization = "28000"
	codeNoDatabase    = "3D000"
	codeTooMany       = "53300"
	codeStarting      = "57P03"
	codePrivilege     = "42501"
)

// Code returns the SQLSTATE of an error, or "".
func Code(err error) string {
	refused, _ := errors.AsType[*pgconn.PgError](err)
	if refused == nil {
		return ""
	}
	return refused.Code
}

// A lineError is an error on one line: a client that has tried several addresses
// has a line for each.
type lineError struct{ err error }

func (e *lineError) Error() string {
	return strings.Join(strings.FieldsFunc(e.err.Error(), func(r rune) bool { return r < ' ' }), " ")
}
func (e *lineError) Unwrap() error { return e.err }

// Explain says what may be done about an error of connecting, on one line.
func Explain(err error) error {
	err = &lineError{err}
	switch Code(err) {
	case codePassword:
		return fmt.Errorf("the server refuses the user's password: check url and password: %w", err)
	case codeAuthorization:
		return fmt.Errorf("the server does not let this user in from here (pg_hba.conf), or there is no such user: %w", err)
	case codeNoDatabase:
		return fmt.Errorf("the database of url does not exist on this server: create it, or correct url: %w", err)
	case codeTooMany:
		return fmt.Errorf("the server has no connection left (max_connections, or the user's limit): %w", err)
	case codeStarting:
		return fmt.Errorf("the server is starting, stopping or recovering: %w", err)
	case codePrivilege:
		return fmt.Errorf("the user may not do this: %w", err)
	}
	var network net.Error
	if connect, _ := errors.AsType[*pgconn.ConnectError](err); connect != nil || errors.As(err, &network) {
		return fmt.Errorf("the server cannot be reached: check url, and that it runs: %w", err)
	}
	return err
}
