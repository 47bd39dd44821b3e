package kafkaconn

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sluice/config"
)

// A Mechanism is a way to say who sluice is.
type Mechanism string

// The mechanisms.
const (
	Plain       Mechanism = "plain"
	ScramSHA256 Mechanism = "scram-sha-256"
	ScramSHA512 Mechanism = "scram-sha-512"
	OAuthBearer Mechanism = "oauthbearer"
)

// SASL is the section of the file that says who sluice is to the brokers.
type SASL struct {
	Mechanism Mechanism `yaml:"mechanism"`
	// User and Password are for Plain and both of SCRAM.
	User     string        `yaml:"user"`
	Password config.Secret `yaml:"password"`
	// OAuth is for OAuthBearer (RFC 7628).
	OAuth *OAuth `yaml:"oauth"`
}

// OAuth is the client credentials grant (RFC 6749, section 4.4): a token is
// fetched when a connection needs one, and kept until it expires.
type OAuth struct {
	TokenURL     string        `yaml:"token_url"`
	ClientID     string        `yaml:"client_id"`
	ClientSecret config.Secret `yaml:"client_secret"`
	Scopes       []string      `yaml:"scopes"`
}

func (s *SASL) validate() error {
	switch s.Mechanism {
	case Plain, ScramSHA256, ScramSHA512:
		if s.OAuth != nil {
			return config.Invalid("sasl.oauth", "it is for mechanism: oauthbearer; with %s write user and password", s.Mechanism)
		}
		if s.User == "" || s.Password.IsZero() {
			return config.Invalid("sasl.user", "user or password is missing or empty; %s needs both", s.Mechanism)
		}
		return nil
	case OAuthBearer:
		if s.User != "" || !s.Password.IsZero() {
			return config.Invalid("sasl.user", "user and password are for the other mechanisms; write oauth")
		}
		return s.OAuth.validate()
	}
	return config.Invalid("sasl.mechanism", "found %q; write plain, scram-sha-256, scram-sha-512 or oauthbearer", s.Mechanism)
}

func (o *OAuth) validate() error {
	if o == nil {
		return config.Invalid("sasl.oauth", "it is missing; write token_url, client_id and client_secret")
	}
	var problems []error
	u, err := url.Parse(o.TokenURL)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil {
		problems = append(problems, config.Invalid("sasl.oauth.token_url", "it is no URL of a token endpoint: write one such as https://login.example.com/oauth2/token"))
	}
	if o.ClientID == "" {
		problems = append(problems, config.Invalid("sasl.oauth.client_id", "it is missing or empty"))
	}
	if o.ClientSecret.IsZero() {
		problems = append(problems, config.Invalid("sasl.oauth.client_secret", "it is missing or empty"))
	}
	return errors.Join(problems...)
}

func (s *SASL) mechanism(dialer Dialer) sasl.Mechanism {
	switch s.Mechanism {
	case ScramSHA256:
		return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha256Mechanism()
	case ScramSHA512:
		return scram.Auth{User: s.User, Pass: s.Password.Reveal()}.AsSha512Mechanism()
	case OAuthBearer:
		return s.OAuth.mechanism(dialer)
	default:
		return plain.Auth{User: s.User, Pass: s.Password.Reveal()}.AsMechanism()
	}
}

// tokenTimeout bounds one call of the token endpoint.
const tokenTimeout = 15 * time.Second

func (o *OAuth) mechanism(dialer Dialer) sasl.Mechanism {
	client := &http.Client{
		Timeout:       tokenTimeout,
		Transport:     &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirect },
	}
	source := clientcredentials.Config{
		ClientID: o.ClientID, ClientSecret: o.ClientSecret.Reveal(), TokenURL: o.TokenURL, Scopes: o.Scopes,
		AuthStyle: oauth2.AuthStyleInHeader,
	}
	tokens := source.TokenSource(context.WithValue(context.Background(), oauth2.HTTPClient, client))
	return oauth.Oauth(func(context.Context) (oauth.Auth, error) {
		token, err := tokens.Token()
		if err != nil {
			return oauth.Auth{}, &TokenError{Endpoint: endpoint(o.TokenURL), Err: tokenError(err)}
		}
		return oauth.Auth{Token: token.AccessToken}, nil
	})
}

var errRedirect = errors.New("the token endpoint answers with a redirect, which is not followed")

// endpoint returns a URL without its query, which may have secrets in it.
func endpoint(text string) string {
	before, _, _ := strings.Cut(text, "?")
	return before
}

// tokenError returns what the endpoint has answered, without the URL that the
// error of an exchange begins with.
func tokenError(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}

// watched tells while an authentication has begun and not come to its end, which
// is all that can be known of one that the other side breaks off.
type watched struct {
	sasl.Mechanism

	pending *atomic.Bool
}

// Authenticate begins an authentication.
func (w *watched) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := w.Mechanism.Authenticate(ctx, host)
	w.pending.Store(err == nil)
	return &watchedSession{Session: session, pending: w.pending}, first, err
}

type watchedSession struct {
	sasl.Session

	pending *atomic.Bool
}

// Challenge takes the other side's answer.
func (w *watchedSession) Challenge(answer []byte) (bool, []byte, error) {
	done, next, err := w.Session.Challenge(answer)
	if done && err == nil {
		w.pending.Store(false)
	}
	return done, next, err
}
