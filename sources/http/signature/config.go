package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"sluice/config"
)

// A Config is the section of the file that says how requests are signed: by
// one scheme.
type Config struct {
	// StandardWebhooks is the scheme of standardwebhooks.com.
	StandardWebhooks *Timed `yaml:"standard_webhooks"`
	// GitHub is the scheme of GitHub, and of those that have taken it over.
	GitHub *Shared `yaml:"github"`
	// Stripe is the scheme of Stripe.
	Stripe *Timed `yaml:"stripe"`
	// Slack is the scheme of Slack.
	Slack *Timed `yaml:"slack"`
	// HMAC is any other scheme with a shared secret.
	HMAC *HMAC `yaml:"hmac"`
}

// Shared is what sender and source share: one secret, or two while they are
// rotated.
type Shared struct {
	Secret config.Secrets `yaml:"secret"`
}

// A Timed scheme signs the time of a request too.
type Timed struct {
	Shared `yaml:",inline"`
	// Tolerance is how far the time may be from the clock, to either side; 5m by
	// default.
	Tolerance *config.Duration `yaml:"tolerance"`
}

// HMAC describes a scheme.
type HMAC struct {
	Timed `yaml:",inline"`
	// Header carries the signature.
	Header string `yaml:"header"`
	// Prefix stands in front of the signature, such as sha256=.
	Prefix string `yaml:"prefix"`
	// Encoding of the signature: hex, base64 or base64url; hex by default.
	Encoding string `yaml:"encoding"`
	// Hash is sha256, sha512 or sha1; sha256 by default.
	Hash string `yaml:"hash"`
	// TimestampHeader carries the time, in seconds since 1970.
	TimestampHeader string `yaml:"timestamp_header"`
	// Content is what is signed: text with {body}, {timestamp} and {id}; {body}
	// by default.
	Content string `yaml:"content"`
}

const (
	defaultTolerance = 5 * time.Minute
	minTolerance     = time.Second
	maxTolerance     = time.Hour
	// The bytes that Standard Webhooks allows a secret to have.
	minKey, maxKey = 24, 64
	// minText is the least number of characters of the other secrets.
	minText    = 16
	maxSecrets = 2
	keyPrefix  = "whsec_"
	schemes    = "standard_webhooks, github, stripe, slack or hmac"
)

// Validate returns all problems, joined, with keys below verify. IDHeader is
// the header that has the id of an event, or empty.
func (c *Config) Validate(idHeader string) error {
	found := c.found()
	switch {
	case len(found) == 0:
		return config.Invalid("verify", "it names no scheme: write one of %s, with its secret", schemes)
	case len(found) > 1:
		return config.Invalid("verify."+found[1], "requests are signed by one scheme, and %s is there already: remove one", found[0])
	}
	switch at := "verify." + found[0]; {
	case c.StandardWebhooks != nil:
		return errors.Join(c.StandardWebhooks.check(at, checkKey), c.StandardWebhooks.checkTolerance(at))
	case c.GitHub != nil:
		return c.GitHub.check(at, checkText)
	case c.Stripe != nil:
		return errors.Join(c.Stripe.check(at, checkStripe), c.Stripe.checkTolerance(at))
	case c.Slack != nil:
		return errors.Join(c.Slack.check(at, checkText), c.Slack.checkTolerance(at))
	default:
		return errors.Join(c.HMAC.check(at, checkText), c.HMAC.validate(at, idHeader))
	}
}

// found returns the schemes that are there.
func (c *Config) found() []string {
	var found []string
	note := func(name string, there bool) {
		if there {
			found = append(found, name)
		}
	}
	note("standard_webhooks", c.StandardWebhooks != nil)
	note("github", c.GitHub != nil)
	note("stripe", c.Stripe != nil)
	note("slack", c.Slack != nil)
	note("hmac", c.HMAC != nil)
	return found
}

// check looks at each secret, and names no part of it.
func (s *Shared) check(at string, valid func(key, secret string) error) error {
	at += ".secret"
	switch n := len(s.Secret); {
	case n == 0:
		return config.Invalid(at, "it is missing: write the secret that the sender signs with")
	case n > maxSecrets:
		return config.Invalid(at, "found %d secrets: write one, or two while the sender goes over from the old one to the new one", n)
	}
	problems := make([]error, 0, maxSecrets)
	for i, secret := range s.Secret {
		key := at
		if len(s.Secret) > 1 {
			key = fmt.Sprintf("%s[%d]", at, i)
		}
		problems = append(problems, valid(key, secret.Reveal()))
	}
	return errors.Join(problems...)
}

func checkKey(key, secret string) error {
	encoded, found := strings.CutPrefix(secret, keyPrefix)
	if !found {
		return config.Invalid(key, "it does not begin with %s: write that and the base64 of %d to %d bytes, as the sender shows it", keyPrefix, minKey, maxKey)
	}
	decoded, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case err != nil:
		return config.Invalid(key, "what follows %s is no base64", keyPrefix)
	case len(decoded) < minKey || len(decoded) > maxKey:
		return config.Invalid(key, "it has %d bytes: use %d to %d", len(decoded), minKey, maxKey)
	}
	return nil
}

func checkStripe(key, secret string) error {
	if !strings.HasPrefix(secret, keyPrefix) {
		return config.Invalid(key, "it does not begin with %s: write the signing secret of the endpoint, not an API key", keyPrefix)
	}
	return checkText(key, secret)
}

func checkText(key, secret string) error {
	if n := len(secret); n < minText {
		return config.Invalid(key, "it has %d characters: use at least %d", n, minText)
	}
	return nil
}

func (t *Timed) checkTolerance(at string) error {
	if tolerance := t.tolerance(); tolerance < minTolerance || tolerance > maxTolerance {
		return config.Invalid(at+".tolerance", "found %v: write a duration from 1s to 1h", tolerance)
	}
	return nil
}

func (t *Timed) tolerance() time.Duration {
	if t.Tolerance == nil {
		return defaultTolerance
	}
	return time.Duration(*t.Tolerance)
}

func (h *HMAC) validate(at, idHeader string) error {
	problems := []error{h.checkHeaders(at), h.checkContent(at+".content", idHeader), h.checkTolerance(at)}
	if h.TimestampHeader == "" && h.Tolerance != nil {
		problems = append(problems, config.Invalid(at+".tolerance", "there is no time to compare: write timestamp_header and content, or remove this"))
	}
	if _, known := encodings[h.encoding()]; !known {
		problems = append(problems, config.Invalid(at+".encoding", "found %q: write hex, base64 or base64url", h.Encoding))
	}
	if _, known := hashes[h.hash()]; !known {
		problems = append(problems, config.Invalid(at+".hash", "found %q: write sha256, sha512 or sha1", h.Hash))
	}
	return errors.Join(problems...)
}

func (h *HMAC) checkHeaders(at string) error {
	var problems []error
	switch {
	case h.Header == "":
		problems = append(problems, config.Invalid(at+".header", "it is missing: write the header that carries the signature, such as X-Signature"))
	case !httpguts.ValidHeaderFieldName(h.Header):
		problems = append(problems, config.Invalid(at+".header", "%q is not the name of a header: write one such as X-Signature", h.Header))
	}
	if h.TimestampHeader != "" && !httpguts.ValidHeaderFieldName(h.TimestampHeader) {
		problems = append(problems, config.Invalid(at+".timestamp_header", "%q is not the name of a header: write one such as X-Timestamp", h.TimestampHeader))
	}
	if !httpguts.ValidHeaderFieldValue(h.Prefix) || strings.TrimSpace(h.Prefix) != h.Prefix {
		problems = append(problems, config.Invalid(at+".prefix", "%q cannot stand in a header", h.Prefix))
	}
	return errors.Join(problems...)
}

// placeholder is what stands for something in content.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

// checkContent wants the body to be signed, and the time and the id where
// there are headers for them: what is not signed proves nothing.
func (h *HMAC) checkContent(key, idHeader string) error {
	content := h.content()
	for _, name := range placeholder.FindAllString(content, -1) {
		if name != inBody && name != inTime && name != inID {
			return config.Invalid(key, "%s is unknown: there is %s, %s and %s", name, inBody, inTime, inID)
		}
	}
	switch {
	case strings.Count(content, inBody) != 1:
		return config.Invalid(key, "%q must have %s once: what is not signed proves nothing", content, inBody)
	case h.TimestampHeader != "" && !strings.Contains(content, inTime):
		return config.Invalid(key, "%q has no %s, and timestamp_header is set: a time that is not signed proves nothing", content, inTime)
	case h.TimestampHeader == "" && strings.Contains(content, inTime):
		return config.Invalid(key, "%q has %s: write in timestamp_header where it comes from", content, inTime)
	case idHeader == "" && strings.Contains(content, inID):
		return config.Invalid(key, "%q has %s: write in the source's id_header where it comes from", content, inID)
	}
	return nil
}

func (h *HMAC) encoding() string { return orDefault(h.Encoding, "hex") }
func (h *HMAC) hash() string     { return orDefault(h.Hash, "sha256") }
func (h *HMAC) content() string  { return orDefault(h.Content, inBody) }

func orDefault(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
