// Package signature checks the signatures by which the senders of webhooks
// prove who they are, over the bytes of a request as they came, and makes such
// signatures too.
package signature

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Error says why a request is not taken.
type Error struct {
	// Malformed tells that the request is no question of secrets or clocks: it
	// breaks the scheme.
	Malformed bool
	// Message is for the sender.
	Message string
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

func malformed(format string, args ...any) error {
	return &Error{Malformed: true, Message: fmt.Sprintf(format, args...)}
}

func refused(format string, args ...any) error { return &Error{Message: fmt.Sprintf(format, args...)} }

// A Verifier checks the requests of one source. It is for any number of
// goroutines.
type Verifier struct {
	scheme    scheme
	keys      [][]byte
	tolerance time.Duration
}

// Verifier returns the verifier of a valid section. IDHeader is the header that
// has the id of an event, or empty.
func (c *Config) Verifier(idHeader string) *Verifier {
	switch {
	case c.StandardWebhooks != nil:
		v := c.StandardWebhooks.verifier(standardWebhooks())
		for i, secret := range v.keys {
			v.keys[i], _ = base64.StdEncoding.DecodeString(strings.TrimPrefix(string(secret), keyPrefix)) // checked by Validate
		}
		return v
	case c.GitHub != nil:
		return (&Timed{Shared: *c.GitHub}).verifier(github())
	case c.Stripe != nil:
		return c.Stripe.verifier(stripe())
	case c.Slack != nil:
		return c.Slack.verifier(slack())
	default:
		return c.HMAC.verifier(c.HMAC.scheme(idHeader))
	}
}

func (t *Timed) verifier(s scheme) *Verifier {
	v := &Verifier{scheme: s, tolerance: t.tolerance()}
	for _, secret := range t.Secret {
		v.keys = append(v.keys, []byte(secret.Reveal()))
	}
	return v
}

// A Claim is what a request says about its signature.
type Claim struct {
	id, timestamp string
	signatures    [][]byte
}

// Read takes the claim from the headers, and refuses what cannot be right
// whatever the body is. An error is an *Error.
func (v *Verifier) Read(header http.Header, now time.Time) (*Claim, error) {
	s := &v.scheme
	value, err := single(header, s.header)
	if err != nil {
		return nil, err
	}
	said := s.split(value)
	claim := &Claim{timestamp: said.timestamp}
	for _, text := range said.signatures {
		if signature, err := s.encoding.DecodeString(text); err == nil && len(signature) > 0 {
			claim.signatures = append(claim.signatures, signature)
		}
	}
	if len(claim.signatures) == 0 {
		return nil, malformed("%s has no signature that can be read: expected %s", s.header, s.form)
	}
	if s.idHeader != "" {
		if claim.id, err = single(header, s.idHeader); err != nil {
			return nil, err
		}
	}
	if s.timeHeader != "" {
		if claim.timestamp, err = single(header, s.timeHeader); err != nil {
			return nil, err
		}
	}
	return claim, v.checkTime(claim.timestamp, now)
}

// single returns the value of a header that must be there once.
func single(header http.Header, name string) (string, error) {
	values := header[textproto.CanonicalMIMEHeaderKey(name)]
	switch {
	case len(values) > 1:
		return "", malformed("the header %s is there %d times: send it once", name, len(values))
	case len(values) == 0 || values[0] == "":
		return "", refused("the header %s is missing: requests must be signed", name)
	}
	return values[0], nil
}

// maxDigits is how long a timestamp in seconds may be.
const maxDigits = 11

func (v *Verifier) checkTime(timestamp string, now time.Time) error {
	if !slices.Contains(v.scheme.content, inTime) {
		return nil
	}
	seconds, err := strconv.ParseUint(timestamp, 10, 63)
	if err != nil || len(timestamp) > maxDigits {
		return malformed("the timestamp %.40q is no number of seconds since 1970", timestamp)
	}
	switch age := now.Sub(time.Unix(int64(seconds), 0)); {
	case age > v.tolerance:
		return refused("the timestamp is too old: at most %v; send the request again with a new signature, or set the clock", v.tolerance)
	case age < -v.tolerance:
		return refused("the timestamp lies in the future: at most %v; set the clock", v.tolerance)
	}
	return nil
}

// Check tells whether one of the secrets has signed the body, which is as it
// came over the wire, and the rest of the claim. The time that it takes does
// not tell how much of a signature is right. An error is an *Error.
func (v *Verifier) Check(claim *Claim, body []byte) error {
	fits := false
	for _, key := range v.keys {
		want := v.scheme.sign(key, claim, body)
		for _, signature := range claim.signatures {
			if hmac.Equal(want, signature) {
				fits = true
			}
		}
	}
	if !fits {
		return refused("%s does not fit the body and the secret of the source", v.scheme.header)
	}
	return nil
}

func (s *scheme) sign(key []byte, claim *Claim, body []byte) []byte {
	mac := hmac.New(s.hash, key)
	for _, piece := range s.content {
		switch piece {
		case inBody:
			mac.Write(body)
		case inTime:
			_, _ = io.WriteString(mac, claim.timestamp)
		case inID:
			_, _ = io.WriteString(mac, claim.id)
		default:
			_, _ = io.WriteString(mac, piece)
		}
	}
	return mac.Sum(nil)
}

// Sign adds what a sender adds to a request with this id and body, by the first
// of the secrets.
func (v *Verifier) Sign(header http.Header, id string, body []byte, now time.Time) {
	s := &v.scheme
	claim := &Claim{id: id, timestamp: strconv.FormatInt(now.Unix(), 10)}
	signature := s.encoding.EncodeToString(s.sign(v.keys[0], claim, body))
	header.Set(s.header, s.join(claim.timestamp, signature))
	if s.timeHeader != "" {
		header.Set(s.timeHeader, claim.timestamp)
	}
	if s.idHeader != "" {
		header.Set(s.idHeader, id)
	}
}

// IDHeader returns the header in which senders of the scheme put the id of an
// event, or nothing.
func (v *Verifier) IDHeader() string { return v.scheme.eventHeader }

// EventID returns the id of an event that senders of the scheme put into the
// body, or nothing.
func (v *Verifier) EventID(body []byte) string {
	if v.scheme.eventMember == "" {
		return ""
	}
	var members map[string]json.RawMessage
	var id string
	if json.Unmarshal(body, &members) != nil || json.Unmarshal(members[v.scheme.eventMember], &id) != nil {
		return ""
	}
	return id
}

// Challenge returns the answer when the body is a question whether the source
// is there, which is no event: Slack's url_verification.
func (v *Verifier) Challenge(body []byte) (answer string, asked bool) {
	if !v.scheme.challenges {
		return "", false
	}
	var question struct{ Type, Challenge string }
	if json.Unmarshal(body, &question) != nil || question.Type != "url_verification" {
		return "", false
	}
	return question.Challenge, true
}

// Challenges tells whether senders are of the kind that asks, and wants a plain
// 200 for an answer: Slack shows anything else to its users.
func (v *Verifier) Challenges() bool { return v.scheme.challenges }
