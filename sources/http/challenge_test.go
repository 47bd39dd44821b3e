package http_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sluice/config"
	sourcehttp "sluice/sources/http"
)

// Meta's question, as "Webhooks: Getting Started" has it.
const metaQuestion = "/hooks?hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="

func TestChallenge(t *testing.T) {
	c := signedSources()["github"]
	c.Path = "/hooks"
	c.Challenge = &sourcehttp.Challenge{Parameter: "hub.challenge", Token: config.NewSecret(token), TokenParameter: "hub.verify_token"}
	handler, out := startHandler(t, c)
	ask := func(target string) answer { return serve(handler, newRequest(t, http.MethodGet, target, "")) }
	got := ask(metaQuestion + token)
	if got.status != 200 || got.body != "1158201444" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("answer %d %q %v", got.status, got.body, got.header)
	}
	for _, target := range []string{metaQuestion, metaQuestion + "x" + token, "/hooks?hub.challenge=1", metaQuestion + token + "&hub.verify_token=" + token} {
		wantRefusal(t, ask(target), 403, "hub.verify_token is not the token of the source")
	}
	for _, target := range []string{
		metaQuestion + token + "&hub.challenge=2", metaQuestion + token + "&%zz", "/hooks?hub.challenge=%ff",
		"/hooks?hub.challenge=" + strings.Repeat("x", 1025),
	} {
		wantRefusal(t, ask(target), 400, "send hub.challenge once, with at most 1024 bytes")
	}
	wantRefusal(t, ask("/hooks"), 405, `method "GET": send POST`)
	wantRefusal(t, serve(handler, newRequest(t, http.MethodPut, metaQuestion+token, "{}")), 405, `method "PUT": send POST`)
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

// Without a token everybody is answered, and other requests by GET are events
// where the source takes them.
func TestChallengeWithoutAToken(t *testing.T) {
	c := enveloping()
	c.Challenge = &sourcehttp.Challenge{Parameter: "challenge"}
	handler, out := startHandler(t, c)
	const question = "<script>alert(1)</script>"
	got := serve(handler, newRequest(t, http.MethodGet, "/hooks/a?challenge="+url.QueryEscape(question), ""))
	if got.status != 200 || got.body != question || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	if got := serve(handler, newRequest(t, http.MethodGet, "/hooks/a?other=1", "")); got.status != 202 || len(out.Events()) != 1 {
		t.Errorf("answer %d %s, %d events", got.status, got.body, len(out.Events()))
	}
}
