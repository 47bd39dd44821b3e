package http

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"sluice/config"
	"sluice/sources/http/signature"
)

// Basic is authentication by name and password (RFC 7617).
type Basic struct {
	Username string `yaml:"username"`
	// Password is one password, or two while they are changed.
	Password config.Secrets `yaml:"password"`
}

// maxSecrets is how many tokens or passwords may hold at the same time.
const maxSecrets = 2

// validateAuth wants one way of authentication at most, and each one whole.
func (c *Config) validateAuth() error {
	problems := []error{c.oneWay(), checkTokens("token", c.Token)}
	if c.Basic != nil {
		problems = append(problems, c.Basic.validate())
	}
	if c.Verify != nil {
		problems = append(problems, c.Verify.Validate(c.IDHeader))
	}
	return errors.Join(problems...)
}

func (c *Config) oneWay() error {
	var ways []string
	if len(c.Token) > 0 {
		ways = append(ways, "token")
	}
	if c.Basic != nil {
		ways = append(ways, "basic")
	}
	if c.Verify != nil {
		ways = append(ways, "verify")
	}
	if len(ways) > 1 {
		return config.Invalid(ways[1], "a source has one way of authentication, and %s is there already: remove one", ways[0])
	}
	return nil
}

func (b *Basic) validate() error {
	var problems []error
	switch {
	case b.Username == "":
		problems = append(problems, config.Invalid("basic.username", "it is missing: write a name"))
	case strings.ContainsAny(b.Username, ":\x00\r\n"):
		problems = append(problems, config.Invalid("basic.username", "%q has a character that a name cannot have: use others than colons and control characters", b.Username))
	}
	if len(b.Password) == 0 {
		problems = append(problems, config.Invalid("basic.password", "it is missing: write a password of at least 16 characters"))
	}
	return errors.Join(append(problems, checkSecrets("basic.password", b.Password))...)
}

// checkTokens refuses a list without a token beside what checkSecrets does.
func checkTokens(key string, tokens config.Secrets) error {
	if tokens != nil && len(tokens) == 0 {
		return config.Invalid(key, "the list is empty: write a token of at least 16 characters")
	}
	return checkSecrets(key, tokens)
}

// checkSecrets refuses what could be guessed.
func checkSecrets(key string, secrets config.Secrets) error {
	if len(secrets) > maxSecrets {
		return config.Invalid(key, "found %d: write one, or two while senders go over from the old one to the new one", len(secrets))
	}
	var problems []error
	for i, secret := range secrets {
		at := key
		if len(secrets) > 1 {
			at = fmt.Sprintf("%s[%d]", key, i)
		}
		if secret.IsZero() {
			problems = append(problems, config.Invalid(at, "it is empty: use at least 16 characters"))
		}
		problems = append(problems, config.CheckToken(at, secret))
	}
	return errors.Join(problems...)
}

// Authorize adds to the header of a request what the source asks of its
// senders, by the first of its secrets. The id is that of the request, where it
// is signed.
func (c *Config) Authorize(header http.Header, id string, body []byte, now time.Time) {
	switch {
	case len(c.Token) > 0:
		header.Set("Authorization", "Bearer "+c.Token[0].Reveal())
	case c.Basic != nil:
		credentials := c.Basic.Username + ":" + c.Basic.Password[0].Reveal()
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	case c.Verify != nil:
		c.Verify.Verifier(c.IDHeader).Sign(header, id, body, now)
	}
}

// An auth knows who may send to a source: everybody when it is zero.
type auth struct {
	scheme   string              // Bearer or Basic, for digests
	digests  [][sha256.Size]byte // of the credentials that hold
	verifier *signature.Verifier // nil: requests are not signed
}

func (c *Config) auth() auth {
	var a auth
	switch {
	case len(c.Token) > 0:
		a.scheme = "Bearer"
		for _, token := range c.Token {
			a.digests = append(a.digests, sha256.Sum256([]byte(token.Reveal())))
		}
	case c.Basic != nil:
		a.scheme = "Basic"
		for _, password := range c.Basic.Password {
			a.digests = append(a.digests, sha256.Sum256([]byte(c.Basic.Username+":"+password.Reveal())))
		}
	case c.Verify != nil:
		a.verifier = c.Verify.Verifier(c.IDHeader)
	}
	return a
}

// admit looks at what can be judged without the body. The claim is for check.
func (a *auth) admit(header http.Header, now func() time.Time) (*signature.Claim, *refusal) {
	switch {
	case a.verifier != nil:
		claim, err := a.verifier.Read(header, now())
		return claim, refuseSignature(err)
	case len(a.digests) == 0:
		return nil, nil
	}
	if n := len(header["Authorization"]); n > 1 {
		return nil, badRequest("the header Authorization is there %d times: send it once", n)
	}
	if a.knows(header.Get("Authorization")) {
		return nil, nil
	}
	message := "send the source's token as Authorization: Bearer …"
	if a.scheme == "Basic" {
		message = "send the source's name and password as Authorization: Basic …"
	}
	return nil, unauthorized(a.scheme, message)
}

// check looks at the body as it came over the wire, before anything reads it.
func (a *auth) check(claim *signature.Claim, body []byte) *refusal {
	if a.verifier == nil {
		return nil
	}
	return refuseSignature(a.verifier.Check(claim, body))
}

// challenge returns the answer to a request that is no event.
func (a *auth) challenge(body []byte) (answer string, asked bool) {
	if a.verifier == nil {
		return "", false
	}
	return a.verifier.Challenge(body)
}

// knows compares digests, so that neither the length of a secret nor how much
// of it is right shows in the time that it takes.
func (a *auth) knows(authorization string) bool {
	scheme, text, _ := strings.Cut(authorization, " ")
	credentials := []byte(strings.TrimSpace(text))
	if a.scheme == "Basic" {
		credentials, _ = base64.StdEncoding.DecodeString(string(credentials)) // what is no base64 is not known
	}
	digest, known := sha256.Sum256(credentials), 0
	for i := range a.digests {
		known |= subtle.ConstantTimeCompare(digest[:], a.digests[i][:])
	}
	return known == 1 && strings.EqualFold(scheme, a.scheme)
}

func unauthorized(scheme, message string) *refusal {
	return &refusal{
		status: http.StatusUnauthorized, message: message,
		header: [2]string{"WWW-Authenticate", scheme + ` realm="sluice"`},
	}
}

// refuseSignature answers an error of the verifier.
func refuseSignature(err error) *refusal {
	var refused *signature.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Malformed:
		return badRequest("%v", err)
	default:
		return unauthorized("Signature", err.Error())
	}
}
