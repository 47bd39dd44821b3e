// Package http is the sink that sends each delivery as one HTTP request.
//
// It is built for many small requests: it encodes with fasthttp, keeps
// connections of its own for each sink, and shares nothing between sinks. A
// request is written once; whether it is written again is the trigger's
// decision, never the client's.
package http

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
	"sluice/sinks"
)

// A Mode says how an event becomes a request.
type Mode string

// The modes.
const (
	// Binary sends the data as the body and the attributes as ce-* headers
	// (CloudEvents HTTP binding 1.0.2, section 3.1).
	Binary Mode = "binary"
	// Structured sends the whole event as JSON (section 3.2).
	Structured Mode = "structured"
	// Raw sends the data alone.
	Raw Mode = "raw"
	// Batch sends several events as one array of JSON (section 3.3).
	Batch Mode = "batch"
)

// The limits of the answer's body.
const (
	// DefaultMaxResponse is how much of an answer is kept.
	DefaultMaxResponse = config.Size(64 << 10)
	// MaxResponse is the most that can be kept, and the most that is read.
	MaxResponse = config.Size(1 << 20)
)

// Config is the section of the file.
type Config struct {
	// URL is where requests go: http or https, with a host. Its path and its query
	// may be a template.
	URL string `yaml:"url"`
	// Method is POST or PUT.
	Method string `yaml:"method"`
	Mode   Mode   `yaml:"mode"`
	// Headers are added to each request. Their values may be secrets, or templates.
	Headers map[string]config.Secret `yaml:"headers"`
	Auth    Auth                     `yaml:"auth"`
	Sign    Sign                     `yaml:"sign"`
	TLS     config.TLS               `yaml:"tls"`
	// Egress is empty for that of the whole installation.
	Egress Egress `yaml:"egress"`
	// MaxResponse is how much of an answer's body is kept, at most MaxResponse.
	MaxResponse config.Size `yaml:"max_response"`
	Status      Status      `yaml:"status"`
	Handshake   *Handshake  `yaml:"handshake"`
	// Answers says what becomes of answers.
	sinks.Answers `yaml:",inline"`
}

// Auth says how the sink authenticates itself: in one way at most.
type Auth struct {
	Bearer *Bearer `yaml:"bearer"`
	Basic  *Basic  `yaml:"basic"`
	OAuth  *OAuth  `yaml:"oauth"`
}

// Bearer is a bearer token (RFC 6750, section 2.1).
type Bearer struct {
	Token config.Secret `yaml:"token"`
}

// Basic is a user name and a password (RFC 7617).
type Basic struct {
	Username string        `yaml:"username"`
	Password config.Secret `yaml:"password"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "http", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Method: "POST", Mode: Binary, MaxResponse: DefaultMaxResponse, Answers: sinks.DefaultAnswers()}
}

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	parsed, varying, urlErr := parseAddress("url", c.URL)
	_, tlsErr := c.TLS.Load()
	problems := []error{
		urlErr,
		config.OneOf("method", c.Method, "POST", "PUT"),
		config.OneOf("mode", c.Mode, Binary, Structured, Raw, Batch),
		c.Egress.Validate(),
		c.Auth.validate(),
		c.Sign.validate(),
		tlsErr,
		c.Status.validate(),
		c.validateAnswers(),
		c.Handshake.validate(),
	}
	if parsed != nil && parsed.Scheme == "http" && c.TLS != (config.TLS{}) && !c.Auth.overTLS() {
		problems = append(problems, config.Invalid("tls", "the url is http; write https, or leave tls out"))
	}
	if c.MaxResponse < 0 || c.MaxResponse > MaxResponse {
		problems = append(problems, config.Invalid("max_response", "%v is over the limit of %v", c.MaxResponse, MaxResponse))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		problems = append(problems, c.checkHeader(name, c.Headers[name].Reveal()))
	}
	return errors.Join(append(problems, c.validateTemplates(varying))...)
}

// validateTemplates refuses templates where there is no event, or more than
// one.
func (c *Config) validateTemplates(u *urlTemplate) error {
	v, err := c.variable(nil, u)
	if v == nil || err != nil {
		return err
	}
	var problems []error
	if c.Mode == Batch {
		const one = "found {{, and a batch is one request for several events: write it without a template, or another mode"
		if u != nil {
			problems = append(problems, config.Invalid("url", one))
		}
		for _, h := range v.headers {
			problems = append(problems, config.Invalid("headers."+h.name, one))
		}
	}
	if c.Handshake != nil && u != nil {
		problems = append(problems, config.Invalid("url", "found {{, and handshake asks one URL for its permission: write it without a template, or leave handshake out"))
	}
	return errors.Join(problems...)
}

// Batches tells whether one request takes several events.
func (c *Config) Batches() config.Batching {
	if c.Mode == Batch {
		return config.MustBatch
	}
	return config.NeverBatch
}

const wantURL = "write one such as http://127.0.0.1:7070/events"

func parseURL(key, text string) (*url.URL, error) {
	if text == "" {
		return nil, config.Invalid(key, "it is missing; %s", wantURL)
	}
	parsed, err := url.Parse(text)
	if err != nil { // its message may repeat a password
		return nil, config.Invalid(key, "it is not a URL; %s", wantURL)
	}
	switch {
	case parsed.User != nil:
		err = config.Invalid(key, "it has a user name in it; write it under auth")
	case parsed.Scheme != "http" && parsed.Scheme != "https":
		err = config.Invalid(key, "found the scheme %q; write http or https", parsed.Scheme)
	case parsed.Hostname() == "":
		err = config.Invalid(key, "found no host in %q; %s", text, wantURL)
	case !httpguts.ValidHostHeader(parsed.Host) || !validPort(parsed):
		err = config.Invalid(key, "found %q as the host; write a name or an address, and a port from 1 to 65535 where it is not the usual one", parsed.Host)
	case parsed.Fragment != "":
		err = config.Invalid(key, "found the fragment %q, which is never sent; leave it out", "#"+parsed.Fragment)
	}
	if err != nil {
		return nil, err
	}
	return parsed, nil
}

func validPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && port > 0
}

// The names that the sink sets itself, and those that belong to one
// connection (RFC 9110, section 7.6.1).
var reservedNames = map[string]string{
	"connection": hopByHop, "keep-alive": hopByHop, "proxy-connection": hopByHop, "proxy-authenticate": hopByHop,
	"proxy-authorization": hopByHop, "te": hopByHop, "trailer": hopByHop, "transfer-encoding": hopByHop, "upgrade": hopByHop,
	"expect": hopByHop,
	"host":   setBySluice, "content-length": setBySluice, "content-type": setBySluice, "user-agent": setBySluice,
	"traceparent": setBySluice, "tracestate": setBySluice,
}

const (
	hopByHop    = "it belongs to the connection, not to the request"
	setBySluice = "sluice sets it itself"
)

func (c *Config) checkHeader(name, value string) error {
	key := "headers." + name
	if !httpguts.ValidHeaderFieldName(name) {
		return config.Invalid("headers", "found the name %q; write letters, digits and hyphens", name)
	}
	lower := strings.ToLower(name)
	if reason := reservedNames[lower]; reason != "" {
		return config.Invalid(key, "%s; leave it out", reason)
	}
	if strings.HasPrefix(lower, "ce-") || strings.HasPrefix(lower, "sluice-") {
		return config.Invalid(key, "names that begin with ce- or sluice- are set by sluice; leave it out")
	}
	if strings.HasPrefix(lower, "webhook-") && c.Sign.StandardWebhooks != nil {
		return config.Invalid(key, "sign sets it already; leave one of them out")
	}
	if strings.HasPrefix(lower, "webhook-request-") && c.Handshake != nil {
		return config.Invalid(key, "handshake sets it already; leave one of them out")
	}
	if lower == "authorization" && c.Auth != (Auth{}) {
		return config.Invalid(key, "auth sets it already; leave one of them out")
	}
	return checkValue(key, value)
}

// checkValue names no part of the value: it may be a secret.
func checkValue(key, value string) error {
	if i := controlIn(value); i >= 0 {
		return config.Invalid(key, "found the control character %q at byte %d of the value; leave it out", value[i], i)
	}
	return nil
}

// controlIn returns where a header's value has a character that none may have
// (RFC 9110, section 5.5), or -1.
func controlIn(value string) int {
	return strings.IndexFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

func (a Auth) validate() error {
	if found := a.kinds(); len(found) > 1 {
		return config.Invalid("auth", "found %s; write one of them", strings.Join(found, " and "))
	}
	switch {
	case a.OAuth != nil:
		return a.OAuth.validate()
	case a.Bearer != nil && a.Bearer.Token.IsZero():
		return config.Invalid("auth.bearer.token", "it is missing or empty")
	case a.Bearer != nil:
		return checkValue("auth.bearer.token", a.Bearer.Token.Reveal())
	case a.Basic != nil && (a.Basic.Username == "" || strings.Contains(a.Basic.Username, ":")):
		return config.Invalid("auth.basic.username", "found %q; write a name without a colon", a.Basic.Username)
	case a.Basic != nil:
		return errors.Join(checkValue("auth.basic.username", a.Basic.Username),
			checkValue("auth.basic.password", a.Basic.Password.Reveal()))
	}
	return nil
}

// kinds returns what stands there, in the order of the file's documentation.
func (a Auth) kinds() (found []string) {
	if a.Bearer != nil {
		found = append(found, "bearer")
	}
	if a.Basic != nil {
		found = append(found, "basic")
	}
	if a.OAuth != nil {
		found = append(found, "oauth")
	}
	return found
}

// overTLS tells whether tokens are fetched over TLS.
func (a Auth) overTLS() bool {
	return a.OAuth != nil && strings.HasPrefix(strings.ToLower(a.OAuth.TokenURL), "https:")
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the http sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
