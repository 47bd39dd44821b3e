package http_test

import (
	"strings"
	"testing"
	"time"

	"sluice/config"
	sourcehttp "sluice/sources/http"
	"sluice/sources/http/signature"
)

func TestConfigProblems(t *testing.T) {
	cases := []struct {
		name   string
		change func(c *sourcehttp.Config)
		want   string
	}{
		{"defaults", func(*sourcehttp.Config) {}, ""},
		{"root", func(c *sourcehttp.Config) { c.Path = "/" }, ""},
		{"no path", func(c *sourcehttp.Config) { c.Path = "" }, "path: missing: write where requests come in, such as /hooks/orders"},
		{"no slash", func(c *sourcehttp.Config) { c.Path = "hooks" }, `path: "hooks": write it with a slash in front: "/hooks"`},
		{"query", func(c *sourcehttp.Config) { c.Path = "/hooks?a" }, `path: "/hooks?a": use letters, digits, slashes and -._~!$&'()*+,;=:@ only`},
		{"control", func(c *sourcehttp.Config) { c.Path = "/a\nb" }, `path: "/a\nb": use letters, digits, slashes and -._~!$&'()*+,;=:@ only`},
		{"dots", func(c *sourcehttp.Config) { c.Path = "/a/../b" }, `path: "/a/../b": write it as "/b"`},
		{"slash at the end", func(c *sourcehttp.Config) { c.Path = "/a/" }, `path: "/a/": write it as "/a"`},
		{"short token", func(c *sourcehttp.Config) { c.Token = secrets("hunter2") }, "token: it has 7 characters: use at least 16"},
		{"empty token", func(c *sourcehttp.Config) { c.Token = secrets("") }, "token: it is empty: use at least 16 characters"},
		{"three tokens", func(c *sourcehttp.Config) { c.Token = secrets(token, token, token) }, "token: found 3: write one, or two while senders go over from the old one to the new one"},
		{"second token short", func(c *sourcehttp.Config) { c.Token = secrets(token, "x") }, "token[1]: it has 1 characters: use at least 16"},
		{"basic", func(c *sourcehttp.Config) { c.Basic = &sourcehttp.Basic{Username: "shop", Password: secrets(token)} }, ""},
		{
			"basic without anything", func(c *sourcehttp.Config) { c.Basic = &sourcehttp.Basic{} },
			"basic.username: it is missing: write a name\nbasic.password: it is missing: write a password of at least 16 characters",
		},
		{
			"basic with a colon", func(c *sourcehttp.Config) { c.Basic = &sourcehttp.Basic{Username: "a:b", Password: secrets(token)} },
			`basic.username: "a:b" has a character that a name cannot have: use others than colons and control characters`,
		},
		{
			"two ways", func(c *sourcehttp.Config) {
				c.Token, c.Basic = secrets(token), &sourcehttp.Basic{Username: "shop", Password: secrets(token)}
			},
			"basic: a source has one way of authentication, and token is there already: remove one",
		},
		{"no methods", func(c *sourcehttp.Config) { c.Methods = nil }, "methods: the list is empty: write [POST]"},
		{
			"methods", func(c *sourcehttp.Config) { c.Methods = []string{"POST", "post", "POST", "GET"} },
			`methods[1]: found "post": write POST, PUT, PATCH, DELETE, GET` + "\nmethods[2]: POST stands twice: remove one\n" +
				"methods[3]: a GET request has no body to make an event of: write shape: request",
		},
		{"shape", func(c *sourcehttp.Config) { c.Shape = "envelope" }, `shape: found "envelope": write body or request`},
		{
			"headers without an envelope", func(c *sourcehttp.Config) { c.Headers = []string{"X-A"} },
			"headers: headers are in the event with shape: request only: write that, or remove this",
		},
		{
			"headers", func(c *sourcehttp.Config) {
				c.Shape, c.Headers = "request", []string{"X-A", "a b", "authorization", "Nats-Msg-Id", "x-forwarded-user"}
			},
			`headers[1]: "a b" is not the name of a header: write one such as X-Event-Type` + "\n" +
				`headers[2]: "authorization" is a secret of the sender, which does not belong into events: remove it` + "\n" +
				`headers[3]: "Nats-Msg-Id" is taken away from every request before anything is read: remove it` + "\n" +
				`headers[4]: "x-forwarded-user" is taken away from every request before anything is read: remove it`,
		},
		{"star", func(c *sourcehttp.Config) { c.Path = "/hooks/*" }, ""},
		{"invoke API", func(c *sourcehttp.Config) { c.Path = "/2015-03-31/functions/thumb/invocations" }, `path: "/2015-03-31/functions/thumb/invocations": what is below /2015-03-31/functions/ is for the Invoke API: choose another path`},
		{"all of the invoke API", func(c *sourcehttp.Config) { c.Path = "/2015-03-31/functions/*" }, `path: "/2015-03-31/functions/*": what is below /2015-03-31/functions/ is for the Invoke API: choose another path`},
		{"star within", func(c *sourcehttp.Config) { c.Path = "/*/hooks" }, `path: "/*/hooks": a * stands for everything below, at the end only: /hooks/*`},
		{"star in a name", func(c *sourcehttp.Config) { c.Path = "/hooks*" }, `path: "/hooks*": a * stands for everything below, at the end only: /hooks/*`},
		{
			"handshake without origins", func(c *sourcehttp.Config) { c.Handshake = &sourcehttp.Handshake{} },
			`handshake.origins: it is missing: write who may send, such as [eventgrid.azure.net], or ["*"] for everybody`,
		},
		{
			"handshake without POST", func(c *sourcehttp.Config) {
				c.Methods, c.Handshake = []string{"PUT"}, &sourcehttp.Handshake{Origins: []string{"*"}}
			},
			"handshake: it is for events that are sent by POST: add that to methods, or remove this",
		},
		{
			"handshake", func(c *sourcehttp.Config) {
				c.Handshake = &sourcehttp.Handshake{Origins: []string{"*", "*.example.com", "https://x", "a..b"}, Rate: -1}
			},
			`handshake.origins[2]: "https://x" is no name: write one such as eventgrid.azure.net, *.example.com, or *` + "\n" +
				`handshake.origins[3]: "a..b" is no name: write one such as eventgrid.azure.net, *.example.com, or *` + "\n" +
				"handshake.rate: -1: write the requests of a minute, 1 to 10000000",
		},
		{
			"challenge", func(c *sourcehttp.Config) { c.Challenge = &sourcehttp.Challenge{TokenParameter: "token"} },
			"challenge.parameter: it is missing: write the parameter to answer with, such as hub.challenge\n" +
				"challenge.token: it is missing, and token_parameter is there: write the token that the sender was given",
		},
		{
			"challenge with a token", func(c *sourcehttp.Config) {
				c.Challenge = &sourcehttp.Challenge{Parameter: "challenge", Token: config.NewSecret("short")}
			},
			"challenge.token: it has 5 characters: use at least 16\n" +
				"challenge.token_parameter: it is missing, and token is there: write where it comes, such as hub.verify_token",
		},
		{"no scheme", func(c *sourcehttp.Config) { c.Verify = &signature.Config{} }, "verify: it names no scheme: write one of standard_webhooks, github, stripe, slack or hmac, with its secret"},
		{"id header", func(c *sourcehttp.Config) { c.IDHeader = "a b" }, `id_header: "a b" is not the name of a header: write one such as X-Request-Id`},
		{
			"token with a space", func(c *sourcehttp.Config) { c.Token = secrets("correct horse battery") },
			"token: the character at byte 7 is not allowed: use printable ASCII without spaces",
		},
		{"no body", func(c *sourcehttp.Config) { c.MaxBody = 0 }, "max_body: 0B: write a size from 1B to 64MiB"},
		{"huge body", func(c *sourcehttp.Config) { c.MaxBody = 1 << 30 }, "max_body: 1GiB: write a size from 1B to 64MiB"},
		{"no batch", func(c *sourcehttp.Config) { c.MaxBatch = 0 }, "max_batch: 0: write a number from 1 to 10000"},
		{"no type", func(c *sourcehttp.Config) { c.Type = "" }, `type: "" is not the type of an event: write some text, such as http.request`},
		{"type", func(c *sourcehttp.Config) { c.Type = "a\x00" }, `type: "a\x00" is not the type of an event: write some text, such as http.request`},
		{
			"several", func(c *sourcehttp.Config) { c.Path, c.MaxBatch = "", -1 },
			"path: missing: write where requests come in, such as /hooks/orders\nmax_batch: -1: write a number from 1 to 10000",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			section := newConfig("/hooks")
			c.change(section)
			got := ""
			if err := section.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
			for _, secret := range section.Token {
				if text := secret.Reveal(); text != "" && strings.Contains(got, text) {
					t.Error("the token is in the message")
				}
			}
		})
	}
}

func TestVerifyProblems(t *testing.T) {
	long := []string{textSecret}
	hmac := func(change func(h *signature.HMAC)) *signature.Config {
		h := &signature.HMAC{Timed: signature.Timed{Shared: shared(long...)}, Header: "X-Signature"}
		change(h)
		return &signature.Config{HMAC: h}
	}
	timed := func(secrets ...string) *signature.Timed { return &signature.Timed{Shared: shared(secrets...)} }
	github := shared(long...)
	cases := []struct {
		name   string
		verify *signature.Config
		want   string
	}{
		{"two schemes", &signature.Config{GitHub: &github, Slack: timed(long...)}, "verify.slack: requests are signed by one scheme, and github is there already: remove one"},
		{"no secret", &signature.Config{Slack: timed()}, "verify.slack.secret: it is missing: write the secret that the sender signs with"},
		{"empty secret", &signature.Config{Slack: timed("")}, "verify.slack.secret: it has 0 characters: use at least 16"},
		{
			"three secrets", &signature.Config{Slack: timed(textSecret, textSecret, textSecret)},
			"verify.slack.secret: found 3 secrets: write one, or two while the sender goes over from the old one to the new one",
		},
		{"second secret", &signature.Config{Slack: timed(textSecret, "x")}, "verify.slack.secret[1]: it has 1 characters: use at least 16"},
		{
			"standard: no prefix", &signature.Config{StandardWebhooks: timed("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")},
			"verify.standard_webhooks.secret: it does not begin with whsec_: write that and the base64 of 24 to 64 bytes, as the sender shows it",
		},
		{"standard: no base64", &signature.Config{StandardWebhooks: timed("whsec_*")}, "verify.standard_webhooks.secret: what follows whsec_ is no base64"},
		{"standard: short", &signature.Config{StandardWebhooks: timed("whsec_AAAA")}, "verify.standard_webhooks.secret: it has 3 bytes: use 24 to 64"},
		{
			"stripe: an API key", &signature.Config{Stripe: timed("sk_test_0123456789abcdef")},
			"verify.stripe.secret: it does not begin with whsec_: write the signing secret of the endpoint, not an API key",
		},
		{
			"tolerance", &signature.Config{Slack: &signature.Timed{Shared: shared(long...), Tolerance: duration(2 * time.Hour)}},
			"verify.slack.tolerance: found 2h0m0s: write a duration from 1s to 1h",
		},
		{
			"no tolerance", &signature.Config{Slack: &signature.Timed{Shared: shared(long...), Tolerance: duration(0)}},
			"verify.slack.tolerance: found 0s: write a duration from 1s to 1h",
		},
		{"hmac", hmac(func(*signature.HMAC) {}), ""},
		{"hmac: no header", hmac(func(h *signature.HMAC) { h.Header = "" }), "verify.hmac.header: it is missing: write the header that carries the signature, such as X-Signature"},
		{"hmac: header", hmac(func(h *signature.HMAC) { h.Header = "X Y" }), `verify.hmac.header: "X Y" is not the name of a header: write one such as X-Signature`},
		{"hmac: prefix", hmac(func(h *signature.HMAC) { h.Prefix = "v1= " }), `verify.hmac.prefix: "v1= " cannot stand in a header`},
		{"hmac: encoding", hmac(func(h *signature.HMAC) { h.Encoding = "Hex" }), `verify.hmac.encoding: found "Hex": write hex, base64 or base64url`},
		{"hmac: hash", hmac(func(h *signature.HMAC) { h.Hash = "md5" }), `verify.hmac.hash: found "md5": write sha256, sha512 or sha1`},
		{
			"hmac: tolerance", hmac(func(h *signature.HMAC) { h.Tolerance = duration(time.Minute) }),
			"verify.hmac.tolerance: there is no time to compare: write timestamp_header and content, or remove this",
		},
		{
			"hmac: timestamp header", hmac(func(h *signature.HMAC) { h.TimestampHeader, h.Content = "é", "{timestamp}{body}" }),
			`verify.hmac.timestamp_header: "é" is not the name of a header: write one such as X-Timestamp`,
		},
		{
			"hmac: time not signed", hmac(func(h *signature.HMAC) { h.TimestampHeader = "X-Time" }),
			`verify.hmac.content: "{body}" has no {timestamp}, and timestamp_header is set: a time that is not signed proves nothing`,
		},
		{
			"hmac: no time", hmac(func(h *signature.HMAC) { h.Content = "{timestamp}.{body}" }),
			`verify.hmac.content: "{timestamp}.{body}" has {timestamp}: write in timestamp_header where it comes from`,
		},
		{
			"hmac: no id", hmac(func(h *signature.HMAC) { h.Content = "{id}.{body}" }),
			`verify.hmac.content: "{id}.{body}" has {id}: write in the source's id_header where it comes from`,
		},
		{
			"hmac: body not signed", hmac(func(h *signature.HMAC) { h.Content = "body" }),
			`verify.hmac.content: "body" must have {body} once: what is not signed proves nothing`,
		},
		{
			"hmac: unknown", hmac(func(h *signature.HMAC) { h.Content = "{url}{body}" }),
			"verify.hmac.content: {url} is unknown: there is {body}, {timestamp} and {id}",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			section := newConfig("/hooks")
			section.Verify = c.verify
			got := ""
			if err := section.Validate(); err != nil {
				got = err.Error()
			}
			if got != c.want {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestUnauthenticated(t *testing.T) {
	if !(&sourcehttp.Config{}).Unauthenticated() || (&sourcehttp.Config{Token: secrets("0123456789abcdef")}).Unauthenticated() {
		t.Error("a source without a token is open, one with a token is not")
	}
}
