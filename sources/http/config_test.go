package http_test

import (
	"strings"
	"testing"

	"sluice/config"
	sourcehttp "sluice/sources/http"
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
		{"short token", func(c *sourcehttp.Config) { c.Token = config.NewSecret("hunter2") }, "token: it has 7 characters: use at least 16"},
		{
			"token with a space", func(c *sourcehttp.Config) { c.Token = config.NewSecret("correct horse battery") },
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
			if secret := section.Token.Reveal(); secret != "" && strings.Contains(got, secret) {
				t.Error("the token is in the message")
			}
		})
	}
}

func TestUnauthenticated(t *testing.T) {
	if !(&sourcehttp.Config{}).Unauthenticated() || (&sourcehttp.Config{Token: config.NewSecret("0123456789abcdef")}).Unauthenticated() {
		t.Error("a source without a token is open, one with a token is not")
	}
}
