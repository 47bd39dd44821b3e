package http_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	sourcehttp "sluice/sources/http"
	"sluice/sources/http/signature"
	"sluice/sources/sourcetest"
)

func TestToken(t *testing.T) {
	out := sourcetest.NewOut()
	c := newConfig("/hooks")
	c.Token = secrets(token, "the-one-before-it")
	url := startSource(t, c, out)
	for _, authorization := range []string{
		"", "Bearer", "Bearer ", token, "Basic " + token, "Bearer " + token + "x", "Bearer " + token[1:], "bearer x " + token,
	} {
		header := map[string]string{"Content-Type": "application/json"}
		if authorization != "" {
			header["Authorization"] = authorization
		}
		got := send(t, http.MethodPost, url, header, "{}")
		wantRefusal(t, got, 401, "send the source's token as Authorization: Bearer …")
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Bearer realm="sluice"` {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	}
	for _, authorization := range []string{"Bearer " + token, "bearer  " + token, "Bearer the-one-before-it"} {
		got := send(t, http.MethodPost, url, map[string]string{"Content-Type": "application/json", "Authorization": authorization}, "{}")
		if got.status != 202 {
			t.Errorf("%q: %d %s", authorization, got.status, got.body)
		}
	}
	if n := len(out.Events()); n != 3 {
		t.Errorf("%d events, want 3", n)
	}
}

func TestBasic(t *testing.T) {
	out := sourcetest.NewOut()
	c := newConfig("/hooks")
	c.Basic = &sourcehttp.Basic{Username: "shop", Password: secrets("a password: of 27 characters", "the-one-before-it")}
	url := startSource(t, c, out)
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	for _, authorization := range []string{
		"", "Basic", "Basic !", basic(""), basic("shop"), basic("shop:"), basic(":the-one-before-it"), basic("shop:the-one-before"),
		basic("other:the-one-before-it"), "Bearer " + basic("shop:the-one-before-it")[6:], "Basic shop:the-one-before-it",
	} {
		header := map[string]string{"Content-Type": "application/json"}
		if authorization != "" {
			header["Authorization"] = authorization
		}
		got := send(t, http.MethodPost, url, header, "{}")
		wantRefusal(t, got, 401, "send the source's name and password as Authorization: Basic …")
		if challenge := got.header.Get("WWW-Authenticate"); challenge != `Basic realm="sluice"` {
			t.Errorf("WWW-Authenticate %q", challenge)
		}
	}
	for _, text := range []string{"shop:a password: of 27 characters", "shop:the-one-before-it"} {
		got := send(t, http.MethodPost, url, map[string]string{"Content-Type": "application/json", "Authorization": basic(text)}, "{}")
		if got.status != 202 {
			t.Errorf("%q: %d %s", text, got.status, got.body)
		}
	}
	if n := len(out.Events()); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
}

func TestDoubledAuthorization(t *testing.T) {
	c := newConfig("/hooks")
	c.Token = secrets(token)
	handler, out := startHandler(t, c)
	request := newRequest(t, http.MethodPost, "/hooks", "{}")
	request.Header["Authorization"] = []string{"Bearer " + token, "Bearer " + token}
	wantRefusal(t, serve(handler, request), 400, "the header Authorization is there 2 times: send it once")
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

const (
	standardSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	textSecret     = "whsec_a secret of many characters"
)

func shared(all ...string) signature.Shared { return signature.Shared{Secret: secrets(all...)} }

// signedSources are one of each scheme.
func signedSources() map[string]*sourcehttp.Config {
	text := signature.Timed{Shared: shared(textSecret)}
	github := shared(textSecret)
	all := map[string]*signature.Config{
		"standard_webhooks": {StandardWebhooks: &signature.Timed{Shared: shared(standardSecret)}},
		"github":            {GitHub: &github},
		"stripe":            {Stripe: &text},
		"slack":             {Slack: &text},
		"hmac": {HMAC: &signature.HMAC{
			Timed: text, Header: "X-Shop-Signature", Prefix: "v2=", Encoding: "base64url", Hash: "sha512",
			TimestampHeader: "X-Shop-Time", Content: "{id}|{timestamp}|{body}",
		}},
	}
	sources := map[string]*sourcehttp.Config{}
	for name, verify := range all {
		c := newConfig("/hooks/" + name)
		c.Verify = verify
		if name == "hmac" {
			c.IDHeader = "X-Shop-Id"
		}
		sources[name] = c
	}
	return sources
}

// signedHeader returns what a sender adds to a request.
func signedHeader(c *sourcehttp.Config, id, body string, at time.Time) http.Header {
	header := http.Header{"Content-Type": {"application/json"}}
	c.Authorize(header, id, []byte(body), at)
	if name := c.Verify.Verifier(c.IDHeader).IDHeader(); name != "" {
		header.Set(name, id)
	}
	if c.IDHeader != "" {
		header.Set(c.IDHeader, id)
	}
	return header
}

// What is signed is taken, and sent again it is the same event (invariant I5).
func TestSignedRequests(t *testing.T) {
	for name, c := range signedSources() {
		t.Run(name, func(t *testing.T) {
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			handler, out := startHandler(t, c)
			const body = `{"id":"sent-1","event_id":"sent-1"}`
			for attempt := range 2 {
				request := newRequest(t, http.MethodPost, c.Path, body)
				request.Header = signedHeader(c, "sent-1", body, time.Now().Add(time.Duration(attempt)*time.Second))
				got := serve(handler, request)
				status, want := 202, `{"accepted":1,"ids":["sent-1"]}`
				if name == "slack" {
					status, want = 200, ""
				}
				if got.status != status || got.body != want {
					t.Errorf("answer %d %q, want %d %q", got.status, got.body, status, want)
				}
			}
			if len(out.Events()) != 1 || len(out.Repeats()) != 1 || string(out.Events()[0].Data) != body {
				t.Errorf("%d events, %d repeats, want 1 and 1", len(out.Events()), len(out.Repeats()))
			}
		})
	}
}

// Whatever is wrong with a signature, the answer is 401, or 400 where the
// request breaks the scheme, and nothing is stored.
func TestBadlySignedRequests(t *testing.T) {
	const body = `{"id":"sent-1","event_id":"sent-1"}`
	for name, c := range signedSources() {
		handler, out := startHandler(t, c)
		fine := signedHeader(c, "sent-1", body, time.Now())
		try := func(t *testing.T, what string, header http.Header, body string, status int) {
			t.Helper()
			request := newRequest(t, http.MethodPost, c.Path, body)
			request.Header = header
			got := serve(handler, request)
			if got.status != status {
				t.Errorf("%s: %d %s, want %d", what, got.status, got.body, status)
			}
			if challenge := got.header.Get("WWW-Authenticate"); (challenge == `Signature realm="sluice"`) != (status == 401) {
				t.Errorf("%s: WWW-Authenticate %q", what, challenge)
			}
		}
		t.Run(name, func(t *testing.T) {
			try(t, "a wrong byte", fine, strings.Replace(body, "1", "2", 1), 401)
			try(t, "what is no JSON is not even looked at", fine, body[1:], 401)
			if name != "github" {
				try(t, "an old timestamp", signedHeader(c, "sent-1", body, time.Now().Add(-6*time.Minute)), body, 401)
				try(t, "a future timestamp", signedHeader(c, "sent-1", body, time.Now().Add(6*time.Minute)), body, 401)
			}
			try(t, "no signature", http.Header{"Content-Type": {"application/json"}}, body, 401)
			for key, values := range fine {
				if key == "Content-Type" {
					continue
				}
				doubled := maps.Clone(fine)
				doubled[key] = []string{values[0], values[0]}
				try(t, "doubled "+key, doubled, body, 400)
			}
			binary := maps.Clone(fine)
			for key, value := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/s", "Ce-Type": "t"} {
				binary[key] = []string{value}
			}
			try(t, "attributes that are not signed", binary, body, 400)
			if n := len(out.Events()); n != 0 {
				t.Errorf("%d events", n)
			}
		})
	}
}

func TestSignedCloudEvents(t *testing.T) {
	c := signedSources()["github"]
	handler, out := startHandler(t, c)
	request := newRequest(t, http.MethodPost, c.Path, jsonEvent)
	request.Header = signedHeader(c, "other", jsonEvent, time.Now())
	request.Header.Set("Content-Type", event.MediaTypeJSON)
	if got := serve(handler, request); got.status != 202 || got.body != `{"accepted":1,"ids":["1"]}` {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	if len(out.Events()) != 1 {
		t.Errorf("%d events", len(out.Events()))
	}
}

func TestSlackAsks(t *testing.T) {
	c := signedSources()["slack"]
	handler, out := startHandler(t, c)
	const body = `{"token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P","type":"url_verification"}`
	request := newRequest(t, http.MethodPost, c.Path, body)
	request.Header = signedHeader(c, "", body, time.Now())
	got := serve(handler, request)
	if got.status != 200 || got.body != "3eZbrw1aBm2rZgRNFdxV2595E9CY3gmdALWMmHkvFXO7tYXAYM8P" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("answer %d %s %v", got.status, got.body, got.header)
	}
	request = newRequest(t, http.MethodPost, c.Path, body)
	if got := serve(handler, request); got.status != 401 {
		t.Errorf("a question that is not signed is answered with %d %s", got.status, got.body)
	}
	wantRefusal(t, serve(handler, newRequest(t, http.MethodPut, c.Path, body)), 405, `method "PUT": send POST`)
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestIDHeader(t *testing.T) {
	c := newConfig("/hooks")
	c.IDHeader = "X-Request-ID"
	handler, out := startHandler(t, c)
	with := func(ids ...string) answer {
		request := newRequest(t, http.MethodPost, "/hooks", `{"a":1}`)
		for _, id := range ids {
			request.Header.Add("X-Request-Id", id)
		}
		return serve(handler, request)
	}
	for range 2 {
		if got := with("r-1"); got.status != 202 || got.body != `{"accepted":1,"ids":["r-1"]}` {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	wantRefusal(t, with(), 400, "the header X-Request-ID is missing: it has the id of the event")
	wantRefusal(t, with(""), 400, "the header X-Request-ID is missing: it has the id of the event")
	wantRefusal(t, with("a", "b"), 400, "the header X-Request-ID is there 2 times: send it once")
	wantRefusal(t, with("a\x01"), 400, `id: "a\x01": the character at byte 1 is not allowed: control characters, noncharacters and invalid UTF-8 are not`)
	if len(out.Events()) != 1 || len(out.Repeats()) != 1 {
		t.Errorf("%d events, %d repeats, want 1 and 1", len(out.Events()), len(out.Repeats()))
	}
}

func duration(d time.Duration) *config.Duration {
	value := config.Duration(d)
	return &value
}
