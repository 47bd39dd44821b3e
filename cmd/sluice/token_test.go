package main

import (
	"net/http"
	"strings"
	"testing"
)

const adminToken = "a-token-for-the-admin"

// With a token in the file, the admin listener may be where others reach it,
// and asks for that token.
func TestTheTokenOfTheFile(t *testing.T) {
	in := install(t, "up", func(text string) string {
		return strings.Replace(text, `admin: {listen: "127.0.0.1:`, `admin: {token: `+adminToken+`, listen: "0.0.0.0:`, 1)
	})
	for path, want := range map[string]int{"/livez": 200, "/readyz": 200, "/readyz?verbose": 401, "/metrics": 401, "/api/v1/triggers": 401} {
		if status, body := in.request(http.MethodGet, path, ""); status != want {
			t.Errorf("%s: status %d, want %d: %s", path, status, want, body)
		}
	}
	in.want("sluice: the service asks for its admin token: set SLUICE_TOKEN\n", exitFailure, "audit")
	in.env[envToken] = adminToken
	if got, code := in.do("audit"); code != exitOK {
		t.Errorf("with the token: exit code %d: %s", code, got)
	}
	if strings.Contains(in.out.String(), adminToken) {
		t.Error("the token is logged")
	}
}

// TestTokensThatAreRefused checks what neither way of running the service
// starts with.
func TestTokensThatAreRefused(t *testing.T) {
	path := writeFile(t, "admin: {token: "+adminToken+"}\nsources: {hooks: {http: {path: /hooks}}}\n", 0o600)
	plain := writeFile(t, "sources: {hooks: {http: {path: /hooks}}}\n", 0o600)
	for _, test := range []struct{ name, path, token, want string }{
		{"another one", path, "another-token-for-it", "sluice: admin.token in " + path + " and $SLUICE_TOKEN are two different tokens: remove one of them, or write token: \"${SLUICE_TOKEN}\"\n"},
		{"a short one", plain, "short", "sluice: SLUICE_TOKEN: it has 5 characters: use at least 16\n"},
		{"one that no header holds", plain, "a token with some spaces", "sluice: SLUICE_TOKEN: the character at byte 1 is not allowed: use printable ASCII without spaces\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, command := range []string{"up", "dev"} {
				got := sluice(t, map[string]string{envToken: test.token}, command, "-c", test.path)
				if got.code != exitInvalid || got.stderr != test.want {
					t.Errorf("sluice %s: code %d, %q", command, got.code, got.stderr)
				}
			}
		})
	}
}
