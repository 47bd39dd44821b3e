package http

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sluice/config"
	"sluice/sinks"
)

// OAuth is the client credentials grant (RFC 6749, section 4.4): a token is
// fetched, and used until shortly before it expires.
type OAuth struct {
	// TokenURL is the token endpoint: http or https, with a host.
	TokenURL     string        `yaml:"token_url"`
	ClientID     string        `yaml:"client_id"`
	ClientSecret config.Secret `yaml:"client_secret"`
	Scopes       []string      `yaml:"scopes"`
	Audience     string        `yaml:"audience"`
	// Params are sent to the token endpoint beside the others. Their values may be
	// secrets.
	Params map[string]config.Secret `yaml:"params"`
	// ClientAuth says where the id and the secret stand: in a header (basic, as
	// section 2.3.1 has every server support it; the default) or in the body.
	ClientAuth ClientAuth `yaml:"client_auth"`
}

// A ClientAuth says how the client authenticates itself at the token endpoint.
type ClientAuth string

// The ways (RFC 6749, section 2.3.1).
const (
	ClientAuthBasic ClientAuth = "basic"
	ClientAuthBody  ClientAuth = "body"
)

var styles = map[ClientAuth]oauth2.AuthStyle{
	"": oauth2.AuthStyleInHeader, ClientAuthBasic: oauth2.AuthStyleInHeader, ClientAuthBody: oauth2.AuthStyleInParams,
}

// The parameters that have keys of their own.
var ownParams = map[string]string{
	"grant_type": "", "client_id": "client_id", "client_secret": "client_secret", "scope": "scopes", "audience": "audience",
}

func (o *OAuth) validate() error {
	const key = "auth.oauth."
	_, err := parseURL(key+"token_url", o.TokenURL)
	problems := []error{err}
	if o.ClientID == "" {
		problems = append(problems, config.Invalid(key+"client_id", "it is missing or empty"))
	}
	if o.ClientSecret.IsZero() {
		problems = append(problems, config.Invalid(key+"client_secret", "it is missing or empty"))
	}
	for i, scope := range o.Scopes {
		if !validScope(scope) {
			problems = append(problems, config.Invalid(fmt.Sprintf("%sscopes[%d]", key, i), "found %q; write printable ASCII without spaces, quotes and backslashes", scope))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Params)) {
		switch instead, own := ownParams[name]; {
		case own && instead == "":
			problems = append(problems, config.Invalid(key+"params."+name, "sluice sets it itself; leave it out"))
		case own:
			problems = append(problems, config.Invalid(key+"params."+name, "it has a key of its own: write %s", instead))
		}
	}
	if _, known := styles[o.ClientAuth]; !known {
		problems = append(problems, config.OneOf(key+"client_auth", o.ClientAuth, ClientAuthBasic, ClientAuthBody))
	}
	return errors.Join(problems...)
}

// validScope follows RFC 6749, section 3.3.
func validScope(scope string) bool {
	invalid := func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }
	return scope != "" && !strings.ContainsFunc(scope, invalid)
}

const (
	// tokenTimeout bounds one call of the token endpoint.
	tokenTimeout = 15 * time.Second
	// expiryMargin is how long before its end a token is replaced, or a tenth of
	// its life when that is less.
	expiryMargin = 30 * time.Second
)

// A TokenError says that the token endpoint gave no token.
type TokenError struct {
	// Endpoint is the token endpoint's URL without its query.
	Endpoint string
	Err      error
}

func (e *TokenError) Error() string { return fmt.Sprintf("no token from %s: %v", e.Endpoint, e.Err) }
func (e *TokenError) Unwrap() error { return e.Err }

func isTokenError(err error) bool {
	_, is := errors.AsType[*TokenError](err)
	return is
}

// tokens keep the access token of one sink. It is fetched when it is needed,
// by one caller at a time.
type tokens struct {
	endpoint string
	source   clientcredentials.Config
	client   *http.Client
	now      func() time.Time

	turn   turn      // held by who looks at what follows
	header string    // of the current token; empty for none
	until  time.Time // when it is to be replaced; zero: not before it is refused
}

// newTokens returns the tokens of a valid section. The guard and the sink's
// TLS hold for the token endpoint too.
func newTokens(o *OAuth, guard Guard, trust config.TLS) (*tokens, error) {
	endpoint, err := parseURL("auth.oauth.token_url", o.TokenURL)
	if err != nil {
		return nil, err
	}
	trust.ServerName = "" // it is that of the sink's own url
	secure, err := trust.Load()
	if err != nil {
		return nil, err
	}
	extra := url.Values{}
	for name, value := range o.Params {
		extra.Set(name, value.Reveal())
	}
	if o.Audience != "" {
		extra.Set("audience", o.Audience)
	}
	shown := url.URL{Scheme: endpoint.Scheme, Host: endpoint.Host, Path: endpoint.Path}
	return &tokens{
		endpoint: shown.String(), now: time.Now, turn: newTurn(),
		source: clientcredentials.Config{
			ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), TokenURL: o.TokenURL, Scopes: o.Scopes,
			EndpointParams: extra, AuthStyle: styles[o.ClientAuth],
		},
		client: &http.Client{
			Timeout: tokenTimeout,
			Transport: &http.Transport{
				DialContext: guard.Dialer(dialTimeout).DialContext, TLSClientConfig: secure,
				IdleConnTimeout: idleTimeout, MaxIdleConns: 1, MaxResponseHeaderBytes: readBuffer,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// get returns the value of an Authorization header. One that equals refused
// is not given again: it is replaced.
func (t *tokens) get(ctx context.Context, refused string) (header string, err error) {
	fresh := func() bool {
		header = t.header
		return header != "" && header != refused && (t.until.IsZero() || t.now().Before(t.until))
	}
	err = t.turn.take(ctx, fresh, func(ctx context.Context) error {
		err := t.fetch(ctx)
		header = t.header
		return err
	})
	if err != nil && !isTokenError(err) {
		err = t.wrap(err) // it was not this one's turn in time
	}
	return header, err
}

func (t *tokens) fetch(ctx context.Context) error {
	t.header = ""
	began := t.now()
	token, err := t.source.Token(context.WithValue(ctx, oauth2.HTTPClient, t.client))
	if err != nil {
		return t.wrap(t.explain(err))
	}
	header := token.Type() + " " + token.AccessToken
	if !httpguts.ValidHeaderFieldValue(header) {
		return t.wrap(errors.New("the token has characters that fit no header"))
	}
	t.header, t.until = header, time.Time{}
	if !token.Expiry.IsZero() {
		life := token.Expiry.Sub(began)
		t.until = token.Expiry.Add(-min(expiryMargin, life/10))
	}
	return nil
}

func (t *tokens) wrap(err error) error { return &TokenError{Endpoint: t.endpoint, Err: err} }

// explain says what went wrong without anything that could be the secret.
func (t *tokens) explain(err error) error {
	if answered, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return errors.New(t.describe(answered))
	}
	if called, ok := errors.AsType[*url.Error](err); ok {
		return called.Err // without the URL, which stands before it
	}
	return errors.New(shorten(t.hide(err.Error())))
}

func (t *tokens) describe(e *oauth2.RetrieveError) string {
	text := "answered " + statusText(e.Response.StatusCode)
	said := make([]string, 0, 2)
	for _, part := range []string{e.ErrorCode, e.ErrorDescription} {
		if part != "" {
			said = append(said, sinks.Excerpt([]byte(t.hide(part))))
		}
	}
	if len(said) == 0 && len(e.Body) > 0 {
		said = append(said, sinks.Excerpt([]byte(t.hide(string(e.Body)))))
	}
	if len(said) > 0 {
		text += ": " + strings.Join(said, ", ")
	}
	return text
}

// hide takes the client's secret out of what an endpoint repeats, in the forms
// in which it was sent.
func (t *tokens) hide(text string) string {
	id, secret := url.QueryEscape(t.source.ClientID), url.QueryEscape(t.source.ClientSecret)
	basic := base64.StdEncoding.EncodeToString([]byte(id + ":" + secret))
	return strings.NewReplacer(basic, hidden, t.source.ClientSecret, hidden, secret, hidden).Replace(text)
}

const hidden = "[redacted]"

func (t *tokens) close() { t.client.CloseIdleConnections() }
