package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// signedSources are sources of every way in which senders prove who they are.
const signedSources = `
  by-token: {http: {path: /t, token: [a-token-that-is-new, a-token-that-is-old]}}
  by-basic: {http: {path: /b, basic: {username: shop, password: a-password-of-the-shop}}}
  by-standard: {http: {path: /w, verify: {standard_webhooks: {secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw}}}}
  by-github: {http: {path: /g, verify: {github: {secret: a-secret-of-the-repository}}}}
  by-stripe: {http: {path: /s, verify: {stripe: {secret: whsec_0123456789abcdef, tolerance: 10m}}}}
  by-slack: {http: {path: /l, verify: {slack: {secret: [a-secret-of-the-app, the-one-before-it]}}}}
  by-hmac:
    http:
      path: /h
      id_header: X-Shop-Id
      verify: {hmac: {secret: a-secret-of-the-shop, header: X-Shop-Signature, timestamp_header: X-Shop-Time, content: "{id}.{timestamp}.{body}"}}
`

// send proves who it is in every way that the file may ask for, and who does
// not is refused.
func TestSendAuthenticates(t *testing.T) {
	in := install(t, "up", func(text string) string {
		return strings.Replace(text, "sources:\n", "sources:"+signedSources, 1)
	})
	for name, path := range map[string]string{
		"by-token": "/t", "by-basic": "/b", "by-standard": "/w", "by-github": "/g", "by-stripe": "/s", "by-slack": "/l", "by-hmac": "/h",
	} {
		for _, count := range []string{"1", "3"} {
			if got, code := in.do("send", name, "-c", in.path, "--count", count); code != exitOK || !strings.Contains(got, "accepted by "+name) {
				t.Errorf("send %s: exit code %d: %s", name, code, got)
			}
		}
		if status, body := postPlain(t, "http://"+in.ingest+path); status != http.StatusUnauthorized {
			t.Errorf("%s: without authentication: status %d: %s", name, status, body)
		}
	}
	for _, secret := range []string{"whsec_", "a-secret", "a-token", "a-password"} {
		if strings.Contains(in.out.String(), secret) {
			t.Error("a secret is logged")
		}
	}
}

// TestUnfinishedAuthentication checks that a source is never open because
// something is missing in the file.
func TestUnfinishedAuthentication(t *testing.T) {
	for _, c := range []struct{ section, key, want string }{
		{`token: ""`, "token", "it is empty: use at least 16 characters"},
		{`token: []`, "token", "the list is empty: write a token of at least 16 characters"},
		{`token:`, "token", "expected text, or {file: path}, found nothing"},
		{`token: "${EMPTY}"`, "token", "it is empty: use at least 16 characters"},
		{`basic:`, "basic", "expected a mapping with username and password, found nothing"},
		{`verify:`, "verify", "expected a mapping with standard_webhooks, github, stripe, slack and hmac, found nothing"},
		{`verify: {}`, "verify", "it names no scheme: write one of standard_webhooks, github, stripe, slack or hmac, with its secret"},
		{`verify: {github: }`, "verify.github", "expected a mapping with secret, found nothing"},
		{`verify: {github: {}}`, "verify.github.secret", "it is missing: write the secret that the sender signs with"},
		{`verify: {github: {secret: "${EMPTY}"}}`, "verify.github.secret", "it has 0 characters: use at least 16"},
		{`verify: {gitlab: {secret: x}}`, "verify.gitlab", `unknown key; did you mean "github"?`},
	} {
		path := writeFile(t, "sources: {hooks: {http: {path: /hooks, "+c.section+"}}}\n", 0o600)
		got := sluice(t, map[string]string{"EMPTY": ""}, "validate", "-c", path)
		want := fmt.Sprintf("sources.hooks.http.%s: %s\n", c.key, c.want)
		if got.code != exitInvalid || !strings.Contains(got.stdout+got.stderr, want) {
			t.Errorf("%s: code %d\n%s%s\nwant %s", c.section, got.code, got.stdout, got.stderr, want)
		}
	}
}

func postPlain(t *testing.T, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	return answer.StatusCode, answer.Status
}
