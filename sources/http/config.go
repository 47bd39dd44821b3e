// Package http is the source that takes events over HTTP: CloudEvents in
// binary, structured and batched mode, and plain bodies such as webhooks send
// them. It holds the ingest server too, on which HTTP sources mount their paths.
package http

import (
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	"sluice/sources/http/signature"
)

// Adapter returns the adapter for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{
		Kind: "http",
		Config: func() sources.Config {
			return &Config{
				Methods: []string{http.MethodPost}, Shape: shapeBody,
				MaxBody: event.DefaultMaxSize, MaxBatch: 1000, Type: "http.request",
			}
		},
	}
}

// A Config is the section of a source in the file.
type Config struct {
	// Path is where the source takes requests, such as /hooks/stripe. It is
	// matched exactly, or, when it ends with /*, by everything below it.
	Path string `yaml:"path"`
	// Methods are those of the requests that are taken, POST by default.
	Methods []string `yaml:"methods"`
	// Token, when it is set, must come with every request as a bearer token
	// (RFC 6750). It is one token, or two while they are changed.
	Token config.Secrets `yaml:"token"`
	// Basic, when it is set, must come with every request.
	Basic *Basic `yaml:"basic"`
	// Verify, when it is set, is how every request must be signed.
	Verify *signature.Config `yaml:"verify"`
	// IDHeader is the header that has the id of the event that a plain body
	// becomes. Without it the scheme of Verify says where the id is.
	IDHeader string `yaml:"id_header"`
	// Handshake answers senders that ask whether they may send.
	Handshake *Handshake `yaml:"handshake"`
	// Challenge answers senders that ask whether the source is there.
	Challenge *Challenge `yaml:"challenge"`
	// Shape is what the data of the event is that a plain request becomes: its
	// body, or an envelope with method, path, query, headers and body.
	Shape string `yaml:"shape"`
	// Headers are those that are in the envelope, besides Content-Type.
	Headers []string `yaml:"headers"`
	// MaxBody is the largest request body, 1MiB by default.
	MaxBody config.Size `yaml:"max_body"`
	// MaxBatch is the largest number of events in one request, 1000 by default.
	MaxBatch int `yaml:"max_batch"`
	// Type is the type of the events that are made of plain bodies,
	// http.request by default.
	Type string `yaml:"type"`
}

// The bounds of what may be configured.
const (
	maxMaxBody  = 64 << 20
	maxMaxBatch = 10_000
)

// Validate returns all problems of the section, joined.
func (c *Config) Validate() error {
	problems := []error{checkPath("path", c.Path), c.validateAuth(), c.validateRequest()}
	if c.IDHeader != "" && !httpguts.ValidHeaderFieldName(c.IDHeader) {
		problems = append(problems, config.Invalid("id_header", "%q is not the name of a header: write one such as X-Request-Id", c.IDHeader))
	}
	if c.Handshake != nil {
		problems = append(problems, c.Handshake.validate(c.Methods))
	}
	if c.Challenge != nil {
		problems = append(problems, c.Challenge.validate())
	}
	if c.MaxBody < 1 || c.MaxBody > maxMaxBody {
		problems = append(problems, config.Invalid("max_body", "%v: write a size from 1B to 64MiB", c.MaxBody))
	}
	if c.MaxBatch < 1 || c.MaxBatch > maxMaxBatch {
		problems = append(problems, config.Invalid("max_batch", "%d: write a number from 1 to %d", c.MaxBatch, maxMaxBatch))
	}
	probe := event.Event{ID: "1", Source: "/", Type: c.Type}
	if err := probe.Validate(); err != nil {
		problems = append(problems, config.Invalid("type", "%q is not the type of an event: write some text, such as http.request", c.Type))
	}
	return errors.Join(problems...)
}

// Unauthenticated tells whether the source takes requests from anybody. The
// file is refused when it would do so on an address that others reach.
func (c *Config) Unauthenticated() bool {
	return len(c.Token) == 0 && c.Basic == nil && c.Verify == nil
}

// Claim tells that no two sources may have the same path.
func (c *Config) Claim() (key, value string) { return "path", c.Path }

func checkPath(key, p string) error {
	const legal = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@/"
	switch {
	case p == "":
		return config.Invalid(key, "missing: write where requests come in, such as /hooks/orders")
	case p[0] != '/':
		return config.Invalid(key, "%q: write it with a slash in front: %q", p, "/"+p)
	case strings.Trim(p, legal) != "":
		return config.Invalid(key, "%q: use letters, digits, slashes and -._~!$&'()*+,;=:@ only", p)
	case strings.Contains(strings.TrimSuffix(p, "/*"), "*"):
		return config.Invalid(key, "%q: a * stands for everything below, at the end only: /hooks/*", p)
	case path.Clean(p) != p:
		return config.Invalid(key, "%q: write it as %q", p, path.Clean(p))
	}
	for _, taken := range reservedPaths {
		if strings.HasPrefix(p+"/", taken) {
			return config.Invalid(key, "%q: what is below %s is for the Invoke API: choose another path", p, taken)
		}
	}
	return nil
}

// reservedPaths are those of the Invoke API, in all versions that AWS has.
var reservedPaths = []string{"/2015-03-31/functions/", "/2014-11-13/functions/", "/2021-11-15/functions/"}

// A permitter is a Mux that can tell before Run whether a source may be
// mounted.
type permitter interface {
	Permit(source string, authenticated bool) error
}

// permit returns an error when the ingest server would not have a source that
// asks for no authentication.
func permit(env sources.Env, authenticated bool) error {
	if mux, ok := env.Ingest.(permitter); ok {
		return mux.Permit(env.Name, authenticated)
	}
	return nil
}

// Source builds the source. It returns an error when the ingest server would
// not have it, for want of authentication.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := permit(env, !c.Unauthenticated()); err != nil {
		return nil, err
	}
	if env.Logger == nil {
		env.Logger = slog.New(slog.DiscardHandler)
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return &source{config: *c, env: env}, nil
}
