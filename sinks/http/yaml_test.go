package http_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	sinkhttp "sluice/sinks/http"
)

func TestTheSectionAsItIsWritten(t *testing.T) {
	const section = `
url: https://example.org/hooks
method: PUT
mode: structured
headers: {X-Key: k3y, X-Number: 7}
auth: {basic: {username: me, password: s3cret}}
tls: {server_name: inner.example.org}
egress: public
max_response: 128KiB
status: {done: [2xx, 409], retry: [404, 5xx], dead: [501]}
`
	c := sinkhttp.NewConfig()
	if err := yaml.UnmarshalWithOptions([]byte(section), c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	if c.Headers["X-Number"].Reveal() != "7" || c.Auth.Basic.Password.Reveal() != "s3cret" || c.MaxResponse != 128<<10 ||
		fmt.Sprint(c.Status) != "{[2xx 409] [404 5xx] [501]}" || c.TLS.ServerName != "inner.example.org" {
		t.Errorf("%+v", c)
	}
	if shown := fmt.Sprintf("%+v %+v", c, *c.Auth.Basic); strings.Contains(shown, "k3y") || strings.Contains(shown, "s3cret") {
		t.Errorf("a secret shows: %s", shown)
	}
}
