package signature

import (
	"crypto/sha1" //nolint:gosec // for senders that have nothing better, when the file asks for it
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// What stands for something in the content that is signed.
const (
	inBody = "{body}"
	inTime = "{timestamp}"
	inID   = "{id}"
)

// A scheme is how one kind of sender signs. All of them are an HMAC over some
// content; they differ in what it is made of and in where its parts stand.
type scheme struct {
	// header carries the signatures; idHeader and timeHeader the other things
	// that are signed, empty when there are none.
	header, idHeader, timeHeader string
	// form says what the header looks like, for error messages.
	form string
	// split takes the value of the header apart, join puts it together.
	split func(value string) signed
	join  func(timestamp, signature string) string

	hash     func() hash.Hash
	encoding encoding
	content  []string // texts and placeholders

	// The id of an event, for who needs to know what is sent again: in a header,
	// or in a member of the JSON body.
	eventHeader, eventMember string
	// challenges tells that senders ask for an answer before they send events.
	challenges bool
}

// signed is what the header of a signature says.
type signed struct {
	timestamp  string // where the header has it
	signatures []string
}

type encoding interface {
	EncodeToString(src []byte) string
	DecodeString(s string) ([]byte, error)
}

type hexEncoding struct{}

func (hexEncoding) EncodeToString(src []byte) string      { return hex.EncodeToString(src) }
func (hexEncoding) DecodeString(s string) ([]byte, error) { return hex.DecodeString(s) }

// urlEncoding is base64url with and without padding.
type urlEncoding struct{}

func (urlEncoding) EncodeToString(src []byte) string {
	return base64.RawURLEncoding.EncodeToString(src)
}

func (urlEncoding) DecodeString(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

// encodings and hashes are what may be configured.
var (
	encodings = map[string]encoding{"hex": hexEncoding{}, "base64": base64.StdEncoding, "base64url": urlEncoding{}}
	hashes    = map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}
)

// standardWebhooks is the scheme of the Standard Webhooks specification,
// "Webhook headers" and "Signature scheme".
func standardWebhooks() scheme {
	return scheme{
		header: "webhook-signature", idHeader: "webhook-id", timeHeader: "webhook-timestamp",
		form: "v1, and base64, several with spaces between",
		split: func(value string) (s signed) {
			for part := range strings.FieldsSeq(value) {
				if signature, found := strings.CutPrefix(part, "v1,"); found {
					s.signatures = append(s.signatures, signature)
				}
			}
			return s
		},
		join: func(_, signature string) string { return "v1," + signature },
		hash: sha256.New, encoding: base64.StdEncoding,
		content:     []string{inID, ".", inTime, ".", inBody},
		eventHeader: "webhook-id",
	}
}

// github is the scheme of GitHub's "Validating webhook deliveries".
func github() scheme {
	s := prefixed("X-Hub-Signature-256", "sha256=")
	s.hash, s.encoding = sha256.New, hexEncoding{}
	s.content = []string{inBody}
	s.eventHeader = "X-GitHub-Delivery"
	return s
}

// stripe is the scheme of Stripe's "Verify webhook signatures manually".
func stripe() scheme {
	return scheme{
		header: "Stripe-Signature", form: "t=seconds,v1=hexadecimal digits",
		split: splitStripe,
		join:  func(timestamp, signature string) string { return "t=" + timestamp + ",v1=" + signature },
		hash:  sha256.New, encoding: hexEncoding{},
		content:     []string{inTime, ".", inBody},
		eventMember: "id",
	}
}

func splitStripe(value string) (s signed) {
	for part := range strings.SplitSeq(value, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch {
		case name == "t" && s.timestamp != "":
			return signed{}
		case name == "t":
			s.timestamp = value
		case name == "v1":
			s.signatures = append(s.signatures, value)
		}
	}
	return s
}

// slack is the scheme of Slack's "Verifying requests from Slack".
func slack() scheme {
	s := prefixed("X-Slack-Signature", "v0=")
	s.timeHeader = "X-Slack-Request-Timestamp"
	s.hash, s.encoding = sha256.New, hexEncoding{}
	s.content = []string{"v0:", inTime, ":", inBody}
	s.eventMember, s.challenges = "event_id", true
	return s
}

// scheme returns what the section describes.
func (h *HMAC) scheme(idHeader string) scheme {
	s := prefixed(h.Header, h.Prefix)
	s.timeHeader = h.TimestampHeader
	s.hash, s.encoding = hashes[h.hash()], encodings[h.encoding()]
	s.content = pieces(h.content())
	if strings.Contains(h.content(), inID) {
		s.idHeader = idHeader
	}
	return s
}

// prefixed is a scheme whose header has one signature behind a prefix.
func prefixed(header, prefix string) scheme {
	form := "the signature"
	if prefix != "" {
		form = prefix + " and the signature"
	}
	return scheme{
		header: header, form: form,
		split: func(value string) (s signed) {
			if signature, found := strings.CutPrefix(value, prefix); found {
				s.signatures = []string{signature}
			}
			return s
		},
		join: func(_, signature string) string { return prefix + signature },
	}
}

// pieces cuts a valid template into texts and placeholders.
func pieces(template string) []string {
	var all []string
	for {
		at := placeholder.FindStringIndex(template)
		if at == nil {
			return append(all, template)
		}
		all = append(all, template[:at[0]], template[at[0]:at[1]])
		template = template[at[1]:]
	}
}
