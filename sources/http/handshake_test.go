package http_test

import (
	"net/http"
	"testing"

	sourcehttp "sluice/sources/http"
)

// TestHandshake is the abuse protection of HTTP webhooks 1.0.2, section 4.
func TestHandshake(t *testing.T) {
	c := newConfig("/hooks")
	c.Token = secrets(token)
	c.Handshake = &sourcehttp.Handshake{Origins: []string{"eventemitter.example.com", "*.azure.net"}, Rate: 100}
	handler, out := startHandler(t, c)
	cases := []struct {
		name          string
		origin, rates []string
		status        int
		granted, want string // the rate, or the message
	}{
		{"no rate", []string{"eventemitter.example.com"}, nil, 200, "100", ""},
		{"less", []string{"EventEmitter.Example.com"}, []string{"60"}, 200, "60", ""},
		{"more", []string{"eventgrid.azure.net"}, []string{"120"}, 200, "100", ""},
		{"much more", []string{"a.b.azure.net"}, []string{"2000000000"}, 200, "100", ""},
		{"another origin", []string{"evil.example"}, nil, 403, "", `"evil.example" may not send events here`},
		{"not below", []string{"azure.net"}, nil, 403, "", `"azure.net" may not send events here`},
		{"looks like it", []string{"evilazure.net"}, nil, 403, "", `"evilazure.net" may not send events here`},
		{"no origin", nil, []string{"60"}, 400, "", "send the name of the sender as WebHook-Request-Origin, once"},
		{"two origins", []string{"a.azure.net", "b.azure.net"}, nil, 400, "", "send the name of the sender as WebHook-Request-Origin, once"},
		{"no name", []string{"https://a.azure.net"}, nil, 400, "", "send the name of the sender as WebHook-Request-Origin, once"},
		{"no rate at all", []string{"a.azure.net"}, []string{"0"}, 400, "", "send WebHook-Request-Rate once, as a number of requests a minute"},
		{"no number", []string{"a.azure.net"}, []string{"-5"}, 400, "", "send WebHook-Request-Rate once, as a number of requests a minute"},
		{"two rates", []string{"a.azure.net"}, []string{"5", "6"}, 400, "", "send WebHook-Request-Rate once, as a number of requests a minute"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			request := newRequest(t, http.MethodOptions, "/hooks", "")
			request.Header["Webhook-Request-Origin"], request.Header["Webhook-Request-Rate"] = c.origin, c.rates
			request.Header.Set("WebHook-Request-Callback", "http://127.0.0.1:1/never-called")
			got := serve(handler, request)
			if c.status != 200 {
				wantRefusal(t, got, c.status, c.want)
				c.origin = []string{""} // nothing is allowed
			}
			if got.status != c.status || got.header.Get("WebHook-Allowed-Origin") != c.origin[0] || got.header.Get("WebHook-Allowed-Rate") != c.granted {
				t.Errorf("answer %d %v", got.status, got.header)
			}
			if allow := got.header.Get("Allow"); c.status == 200 && allow != "POST" {
				t.Errorf("Allow %q", allow)
			}
		})
	}
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestHandshakeForEverybody(t *testing.T) {
	c := newConfig("/hooks")
	c.Handshake = &sourcehttp.Handshake{Origins: []string{"*"}}
	handler, _ := startHandler(t, c)
	request := newRequest(t, http.MethodOptions, "/hooks", "")
	request.Header.Set("WebHook-Request-Origin", "anybody.example.com")
	got := serve(handler, request)
	if got.status != 200 || got.header.Get("WebHook-Allowed-Origin") != "anybody.example.com" || got.header.Get("WebHook-Allowed-Rate") != "*" {
		t.Errorf("answer %d %v", got.status, got.header)
	}
}

// Without a handshake in the file OPTIONS is no method (section 4.2).
func TestNoHandshake(t *testing.T) {
	handler, _ := startHandler(t, newConfig("/hooks"))
	request := newRequest(t, http.MethodOptions, "/hooks", "")
	request.Header.Set("WebHook-Request-Origin", "anybody.example.com")
	wantRefusal(t, serve(handler, request), 405, `method "OPTIONS": send POST`)
}

// Who sends more than was granted is throttled (section 4.2.2); who may not
// send at all uses nothing up.
func TestGrantedRate(t *testing.T) {
	c := newConfig("/hooks")
	c.Token = secrets(token)
	c.Handshake = &sourcehttp.Handshake{Origins: []string{"*"}, Rate: 3}
	handler, out := startHandler(t, c)
	post := func(authorization string) answer {
		request := newRequest(t, http.MethodPost, "/hooks", "{}")
		request.Header.Set("Authorization", authorization)
		return serve(handler, request)
	}
	for range 5 {
		if got := post("Bearer wrong"); got.status != 401 {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	for range 3 {
		if got := post("Bearer " + token); got.status != 202 {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	got := post("Bearer " + token)
	wantRefusal(t, got, 429, "more than 3 requests a minute")
	if retry := got.header.Get("Retry-After"); retry != "20" {
		t.Errorf("Retry-After %q", retry)
	}
	if n := len(out.Events()); n != 3 {
		t.Errorf("%d events", n)
	}
}
