package http

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"net/http"
	"net/url"
	"unicode/utf8"

	"sluice/config"
)

// A Challenge is the question of senders who ask by GET whether the source is
// there, and want to hear a parameter of the query again: Meta, Dropbox,
// WebSub. It is no event.
type Challenge struct {
	// Parameter is the one to answer with, such as hub.challenge.
	Parameter string `yaml:"parameter"`
	// Token, when it is set, must come in the parameter TokenParameter.
	Token          config.Secret `yaml:"token"`
	TokenParameter string        `yaml:"token_parameter"`
}

// maxChallenge is the longest question that is answered, in bytes.
const maxChallenge = 1024

func (c *Challenge) validate() error {
	problems := []error{config.CheckToken("challenge.token", c.Token)}
	if c.Parameter == "" {
		problems = append(problems, config.Invalid("challenge.parameter", "it is missing: write the parameter to answer with, such as hub.challenge"))
	}
	if c.Token.IsZero() && c.TokenParameter != "" {
		problems = append(problems, config.Invalid("challenge.token", "it is missing, and token_parameter is there: write the token that the sender was given"))
	}
	if !c.Token.IsZero() && c.TokenParameter == "" {
		problems = append(problems, config.Invalid("challenge.token_parameter", "it is missing, and token is there: write where it comes, such as hub.verify_token"))
	}
	return errors.Join(problems...)
}

// answer answers the question, and tells whether the request was one.
func (c *Challenge) answer(w http.ResponseWriter, r *http.Request) bool {
	if c == nil || r.Method != http.MethodGet {
		return false
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	asked := query[c.Parameter]
	switch {
	case err == nil && len(asked) == 0:
		return false
	case err != nil || len(asked) != 1 || len(asked[0]) > maxChallenge || !utf8.ValidString(asked[0]):
		badRequest("send %s once, with at most %d bytes", c.Parameter, maxChallenge).write(w)
	case !c.knows(query[c.TokenParameter]):
		(&refusal{status: http.StatusForbidden, message: c.TokenParameter + " is not the token of the source"}).write(w)
	default:
		header := w.Header()
		header.Set("Content-Type", "text/plain; charset=utf-8")
		header.Set("X-Content-Type-Options", "nosniff")
		_, _ = io.WriteString(w, asked[0]) // see writeJSON
	}
	return true
}

// knows compares the token as auth.knows does.
func (c *Challenge) knows(sent []string) bool {
	if c.Token.IsZero() {
		return true
	}
	if len(sent) != 1 {
		return false
	}
	got, want := sha256.Sum256([]byte(sent[0])), sha256.Sum256([]byte(c.Token.Reveal()))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}
