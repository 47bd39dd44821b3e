package signature_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"sluice/config"
	"sluice/sources/http/signature"
)

// A vector is a request that a sender's documentation or library publishes.
type vector struct {
	name   string
	config func(secrets ...string) *signature.Config
	// idHeader is that of the section, for hmac.
	idHeader string
	secret   string
	other    string // another valid secret
	header   map[string]string
	body     string
	time     int64 // 0: the scheme has none
}

// signed returns the names of the headers that the scheme looks at.
func (v *vector) signed() []string {
	var names []string
	for name := range v.header {
		names = append(names, name)
	}
	return names
}

func (v *vector) request() http.Header {
	header := http.Header{}
	for name, value := range v.header {
		header.Set(name, value)
	}
	return header
}

func (v *vector) now() time.Time {
	if v.time == 0 {
		return time.Unix(1_700_000_000, 0)
	}
	return time.Unix(v.time, 0)
}

func shared(secrets []string) signature.Shared {
	var s signature.Shared
	for _, text := range secrets {
		s.Secret = append(s.Secret, config.NewSecret(text))
	}
	return s
}

func timed(secrets []string) *signature.Timed { return &signature.Timed{Shared: shared(secrets)} }

func vectors(tb testing.TB) []vector {
	tb.Helper()
	stripe, err := os.ReadFile("testdata/stripe.json")
	if err != nil {
		tb.Fatal(err)
	}
	const slackSecret = "8f742231b10e8888abcd99yyyzzz85a5"
	return []vector{
		{ // github.com/standard-webhooks/standard-webhooks: the tests of all its libraries.
			name: "standard_webhooks",
			config: func(secrets ...string) *signature.Config {
				return &signature.Config{StandardWebhooks: timed(secrets)}
			},
			secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			other:  "whsec_" + base64.StdEncoding.EncodeToString([]byte("twenty-four bytes of it.")),
			header: map[string]string{
				"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330",
				"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
			},
			body: `{"test": 2432232314}`, time: 1614265330,
		},
		{ // docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
			name: "github",
			config: func(secrets ...string) *signature.Config {
				s := shared(secrets)
				return &signature.Config{GitHub: &s}
			},
			secret: "It's a Secret to Everybody", other: "another secret of it",
			header: map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
			body:   "Hello, World!",
		},
		{ // github.com/stripe/stripe-dotnet: EventUtilityTest and event_test_signature.json.
			name:   "stripe",
			config: func(secrets ...string) *signature.Config { return &signature.Config{Stripe: timed(secrets)} },
			secret: "webhook_secret", other: "whsec_another_secret",
			header: map[string]string{"Stripe-Signature": "t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7," +
				"v0=63f3a72374a733066c4be69ed7f8e5ac85c22c9f0a6a612ab9a025a9e4ee7eef"},
			body: string(stripe), time: 1533204620,
		},
		{ // docs.slack.dev, "Verifying requests from Slack".
			name:   "slack",
			config: func(secrets ...string) *signature.Config { return &signature.Config{Slack: timed(secrets)} },
			secret: slackSecret, other: "another secret of it",
			header: map[string]string{
				"X-Slack-Request-Timestamp": "1531420618",
				"X-Slack-Signature":         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
			},
			body: "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar" +
				"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=" +
				"&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN" +
				"&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
			time: 1531420618,
		},
		{ // RFC 4231, test case 2: HMAC-SHA-512, here in base64.
			name: "hmac",
			config: func(secrets ...string) *signature.Config {
				return &signature.Config{HMAC: &signature.HMAC{Timed: *timed(secrets), Header: "X-Signature", Encoding: "base64", Hash: "sha512"}}
			},
			secret: "Jefe", other: "another secret of it",
			header: map[string]string{"X-Signature": "Fkt6e/z4GeLjlfvnO1bgo4e9ZCIugx/WECcM1+olBVSXWL91wFqZSm0DT2X48Ob9yuqxo01Ka0tjbgcKOLznNw=="},
			body:   "what do ya want for nothing?",
		},
		{ // The vector of Standard Webhooks once more, described by the keys of hmac.
			name: "hmac with id and time",
			config: func(secrets ...string) *signature.Config {
				return &signature.Config{HMAC: &signature.HMAC{
					Timed: *timed(secrets), Header: "Webhook-Signature", Prefix: "v1,", Encoding: "base64",
					TimestampHeader: "Webhook-Timestamp", Content: "{id}.{timestamp}.{body}",
				}}
			},
			idHeader: "Webhook-Id",
			secret:   string(standardKey(tb)), other: "another secret of it",
			header: map[string]string{
				"Webhook-Id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "Webhook-Timestamp": "1614265330",
				"Webhook-Signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
			},
			body: `{"test": 2432232314}`, time: 1614265330,
		},
		{ // GitHub's older header, for which the file must ask: the hash from its documentation's text and secret.
			name: "hmac with sha1",
			config: func(secrets ...string) *signature.Config {
				return &signature.Config{HMAC: &signature.HMAC{Timed: *timed(secrets), Header: "X-Hub-Signature", Prefix: "sha1=", Hash: "sha1"}}
			},
			secret: "It's a Secret to Everybody", other: "another secret of it",
			header: map[string]string{"X-Hub-Signature": "sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59"},
			body:   "Hello, World!",
		},
	}
}

func standardKey(tb testing.TB) []byte {
	tb.Helper()
	key, err := base64.StdEncoding.DecodeString("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		tb.Fatal(err)
	}
	return key
}

// verify reads and checks, as the source does.
func verify(v *signature.Verifier, header http.Header, body []byte, now time.Time) error {
	claim, err := v.Read(header, now)
	if err != nil {
		return err
	}
	return v.Check(claim, body)
}

// wantRefused tells why the request is refused.
func wantRefused(t *testing.T, what string, err error, malformed bool) {
	t.Helper()
	var refused *signature.Error
	if !errors.As(err, &refused) || refused.Malformed != malformed {
		t.Errorf("%s: got %v, want it refused, malformed %v", what, err, malformed)
	}
}

func TestPublishedVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			for _, secrets := range [][]string{{v.secret}, {v.other, v.secret}, {v.secret, v.other}} {
				if err := verify(v.config(secrets...).Verifier(v.idHeader), v.request(), []byte(v.body), v.now()); err != nil {
					t.Errorf("with %d secrets: %v", len(secrets), err)
				}
			}
			wantRefused(t, "another secret", verify(v.config(v.other).Verifier(v.idHeader), v.request(), []byte(v.body), v.now()), false)
		})
	}
}

func TestAWrongByteIsRefused(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			verifier := v.config(v.secret).Verifier(v.idHeader)
			for i := range v.body {
				body := []byte(v.body)
				body[i] ^= 1
				wantRefused(t, "byte "+strconv.Itoa(i), verify(verifier, v.request(), body, v.now()), false)
			}
			wantRefused(t, "no body", verify(verifier, v.request(), nil, v.now()), false)
			wantRefused(t, "a byte more", verify(verifier, v.request(), append([]byte(v.body), ' '), v.now()), false)
			for _, name := range v.signed() {
				for i := range v.header[name] {
					header := v.request()
					value := []byte(v.header[name])
					if name == "Stripe-Signature" && i >= bytes.Index(value, []byte(",v0=")) {
						continue // what is not v1 counts for nothing
					}
					value[i] ^= 1
					header.Set(name, string(value))
					if err := verify(verifier, header, []byte(v.body), v.now()); err == nil {
						t.Errorf("%s: accepted %q", name, value)
					}
				}
			}
		})
	}
}

func TestMissingAndDoubledHeadersAreRefused(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) {
			verifier := v.config(v.secret).Verifier(v.idHeader)
			for _, name := range v.signed() {
				header := v.request()
				header.Del(name)
				wantRefused(t, "no "+name, verify(verifier, header, []byte(v.body), v.now()), false)
				header.Set(name, "")
				wantRefused(t, "empty "+name, verify(verifier, header, []byte(v.body), v.now()), false)
				header.Set(name, v.header[name])
				header.Add(name, v.header[name])
				wantRefused(t, "doubled "+name, verify(verifier, header, []byte(v.body), v.now()), true)
			}
		})
	}
}

func TestOldAndFutureTimestampsAreRefused(t *testing.T) {
	for _, v := range vectors(t) {
		if v.time == 0 {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			verifier := v.config(v.secret).Verifier(v.idHeader)
			for offset, fine := range map[time.Duration]bool{
				5 * time.Minute: true, -5 * time.Minute: true, 5*time.Minute + time.Second: false, -5*time.Minute - time.Second: false,
				24 * time.Hour: false, -24 * time.Hour: false, 1 << 62: false, -1 << 62: false,
			} {
				err := verify(verifier, v.request(), []byte(v.body), v.now().Add(offset))
				if fine && err != nil {
					t.Errorf("%v later: %v", offset, err)
				}
				if !fine {
					wantRefused(t, offset.String(), err, false)
				}
			}
		})
	}
}

func TestMalformedHeadersAreRefused(t *testing.T) {
	cases := []struct{ scheme, header, value string }{
		{"standard_webhooks", "webhook-signature", "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{"standard_webhooks", "webhook-signature", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		{"standard_webhooks", "webhook-signature", "v1,"},
		{"standard_webhooks", "webhook-signature", "v1,***"},
		{"standard_webhooks", "webhook-timestamp", "yesterday"},
		{"standard_webhooks", "webhook-timestamp", "+1614265330"},
		{"standard_webhooks", "webhook-timestamp", "-1"},
		{"standard_webhooks", "webhook-timestamp", "1614265330.5"},
		{"standard_webhooks", "webhook-timestamp", "99999999999999999999999"},
		{"standard_webhooks", "webhook-timestamp", "999999999999"},
		{"github", "X-Hub-Signature-256", "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		{"github", "X-Hub-Signature-256", "sha1=757107ea0eb2509fc211221cce984b8a37570b6d"},
		{"github", "X-Hub-Signature-256", "sha256="},
		{"github", "X-Hub-Signature-256", "sha256=xyz"},
		{"stripe", "Stripe-Signature", "t=1533204620"},
		{"stripe", "Stripe-Signature", "v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"},
		{"stripe", "Stripe-Signature", "t=1533204620,t=1533204620,v1=2220f87ef101a04665f11cdf770523143f875572008577fa0f20882ddb9cc3c7"},
		{"stripe", "Stripe-Signature", ",,=,"},
		{"slack", "X-Slack-Signature", "v1=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"},
		{"slack", "X-Slack-Request-Timestamp", "0x5b47a8ca"},
		{"hmac", "X-Signature", "!"},
	}
	byName := map[string]vector{}
	for _, v := range vectors(t) {
		byName[v.name] = v
	}
	for _, c := range cases {
		v := byName[c.scheme]
		header := v.request()
		header.Set(c.header, c.value)
		wantRefused(t, c.header+" "+c.value, verify(v.config(v.secret).Verifier(v.idHeader), header, []byte(v.body), v.now()), true)
	}
}

// One signature of several is enough: the sender signs with two secrets while
// it goes over from one to the other.
func TestOneOfSeveralSignaturesIsEnough(t *testing.T) {
	for _, v := range vectors(t) {
		header := v.request()
		switch v.name {
		case "standard_webhooks":
			header.Set("webhook-signature", "v1a,xyz v1,AAAA v1,*** "+v.header["webhook-signature"])
		case "stripe":
			header.Set("Stripe-Signature", strings.Replace(v.header["Stripe-Signature"], ",v1=", ",v1=invalid,v1=00, v1=", 1))
		default:
			continue
		}
		if err := verify(v.config(v.secret).Verifier(v.idHeader), header, []byte(v.body), v.now()); err != nil {
			t.Errorf("%s: %v", v.name, err)
		}
	}
}

// What is signed here is what the sender would have signed.
func TestSign(t *testing.T) {
	for _, v := range vectors(t) {
		header := http.Header{}
		v.config(v.secret, v.other).Verifier(v.idHeader).Sign(header, v.header["webhook-id"]+v.header["Webhook-Id"], []byte(v.body), v.now())
		for name, want := range v.header {
			want, _, _ = strings.Cut(want, ",v0=")
			if got := header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", v.name, name, got, want)
			}
		}
	}
}

// The specification's own library signs what is taken here.
func TestStandardWebhooksLibrary(t *testing.T) {
	v := vectors(t)[0]
	key, err := standardwebhooks.NewWebhook(v.other)
	if err != nil {
		t.Fatal(err)
	}
	text, err := key.Sign("msg.1", v.now(), []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{}
	header.Set("webhook-id", "msg.1")
	header.Set("webhook-timestamp", strconv.FormatInt(v.time, 10))
	header.Set("webhook-signature", text)
	if err := verify(v.config(v.secret, v.other).Verifier(""), header, []byte("body"), v.now()); err != nil {
		t.Error(err)
	}
}

func TestEventIDAndChallenge(t *testing.T) {
	byName := map[string]*signature.Verifier{}
	for _, v := range vectors(t) {
		byName[v.name] = v.config(v.secret).Verifier(v.idHeader)
	}
	for _, c := range []struct{ scheme, body, id, header string }{
		{"standard_webhooks", `{"id":"x"}`, "", "webhook-id"},
		{"github", `{"id":"x"}`, "", "X-GitHub-Delivery"},
		{"stripe", `{"id":"evt_1","Id":"other"}`, "evt_1", ""},
		{"stripe", `{"id":7}`, "", ""},
		{"stripe", `[]`, "", ""},
		{"slack", `{"event_id":"Ev1"}`, "Ev1", ""},
		{"slack", `token=x`, "", ""},
		{"hmac", `{"id":"x"}`, "", ""},
	} {
		v := byName[c.scheme]
		if id, header := v.EventID([]byte(c.body)), v.IDHeader(); id != c.id || header != c.header {
			t.Errorf("%s %s: id %q, header %q", c.scheme, c.body, id, header)
		}
	}
	question := []byte(`{"token":"x","challenge":"3eZbrw1a","type":"url_verification"}`)
	if answer, asked := byName["slack"].Challenge(question); answer != "3eZbrw1a" || !asked {
		t.Errorf("challenge %q, %v", answer, asked)
	}
	for _, body := range []string{`{"type":"event_callback","challenge":"x"}`, `token=x`, `[]`} {
		if _, asked := byName["slack"].Challenge([]byte(body)); asked {
			t.Errorf("%s is a challenge", body)
		}
	}
	if _, asked := byName["github"].Challenge(question); asked {
		t.Error("GitHub asks Slack's question")
	}
}

// FuzzVerify shows that no header makes a request pass that nobody has signed.
func FuzzVerify(f *testing.F) {
	all := vectors(f)
	for i, v := range all {
		for _, value := range v.header {
			f.Add(uint8(i), value, value, []byte(v.body))
		}
	}
	f.Fuzz(func(t *testing.T, n uint8, value, other string, body []byte) {
		v := all[int(n)%len(all)]
		verifier := v.config(v.other).Verifier(v.idHeader)
		header := http.Header{}
		for i, name := range v.signed() {
			header.Set(name, []string{value, other}[i%2])
		}
		if err := verify(verifier, header, body, v.now()); err == nil {
			t.Errorf("accepted %v", header)
		}
		verifier.EventID(body)
		verifier.Challenge(body)
	})
}
