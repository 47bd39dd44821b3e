package http_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A seen is what arrived of one request.
type seen struct {
	mu     sync.Mutex
	uri    string
	header http.Header
}

func (s *seen) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uri, s.header = r.RequestURI, r.Header
}

// last returns the path and query, and the headers, of the last request.
func (s *seen) last() (string, http.Header) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uri, s.header
}

func withHeader(name, value string) func(*sinkhttp.Config) {
	return func(c *sinkhttp.Config) { c.Headers = map[string]config.Secret{name: config.NewSecret(value)} }
}

func eventOf(data string) *event.Event {
	e := sample()
	e.Data = []byte(data)
	return e
}

// TestTemplatesOfURLs checks that whatever an event has stays within its
// segment, or its value, of the URL.
func TestTemplatesOfURLs(t *testing.T) {
	for name, c := range map[string]struct{ path, data, want string }{
		"path":                   {"/orders/{{ .data.id }}", `{"id":7}`, "/orders/7"},
		"path and query":         {"/{{.data.a}}/x?b={{ .data.b }}&c=1", `{"a":"u","b":"v"}`, "/u/x?b=v&c=1"},
		"query alone":            {"?b={{ .data.b }}", `{"b":"v"}`, "/?b=v"},
		"two in a segment":       {"/{{ .data.a }}{{ .data.b }}", `{"a":"u","b":"v"}`, "/uv"},
		"the word":               {"/expression/{{ .data.a }}0expression0", `{"a":"u"}`, "/expression/u0expression0"},
		"slash":                  {"/o/{{ .data.a }}", `{"a":"x/../../admin"}`, "/o/x%2F..%2F..%2Fadmin"},
		"question mark":          {"/o/{{ .data.a }}", `{"a":"x?y=1#z"}`, "/o/x%3Fy%3D1%23z"},
		"another parameter":      {"/o?a={{ .data.a }}", `{"a":"x&admin=1;b=2"}`, "/o?a=x%26admin%3D1%3Bb%3D2"},
		"percent":                {"/o/{{ .data.a }}", `{"a":"%2e%2e"}`, "/o/%252e%252e"},
		"space and plus":         {"/o?a={{ .data.a }}", `{"a":"a b+c"}`, "/o?a=a%20b%2Bc"},
		"line break":             {"/o/{{ .data.a }}", `{"a":"x\r\nHost: evil\u0000"}`, "/o/x%0D%0AHost%3A%20evil%00"},
		"beyond ASCII":           {"/o/{{ .data.a }}", `{"a":"é"}`, "/o/%C3%A9"},
		"what is plain is kept":  {"/a b/?%7E={{ .data.a }}", `{"a":"~"}`, "/a%20b/?%7E=~"},
		"nothing in the query":   {"/o?a={{ .data.a }}", `{}`, "/o?a="},
		"a value":                {"/o?a={{ .data.a }}", `{"a":[1,{"b":null}]}`, "/o?a=%5B1%2C%7B%22b%22%3Anull%7D%5D"},
		"what jq makes of it":    {`/{{ .data.a // "none" | ascii_downcase }}`, `{"a":"X"}`, "/x"},
		"dots in a longer word":  {"/v{{ .data.a }}", `{"a":".."}`, "/v.."},
		"an attribute":           {"/{{ .type }}", `{}`, "/s3.object.created.put"},
		"a brace in a text":      {`/{{ "{{" }}{{ .data.a }}`, `{"a":"x"}`, "/%7B%7Bx"},
		"an at sign and a colon": {"/{{ .data.a }}", `{"a":"//evil@host:80"}`, "/%2F%2Fevil%40host%3A80"},
	} {
		t.Run(name, func(t *testing.T) {
			worker := &seen{}
			s := build(t, serve(t, worker.ServeHTTP).URL+c.path)
			if _, err := deliver(t, s, eventOf(c.data)); err != nil {
				t.Fatal(err)
			}
			if uri, _ := worker.last(); uri != c.want {
				t.Errorf("the worker was asked for %q, want %q", uri, c.want)
			}
		})
	}
}

func TestTemplatesOfHeaders(t *testing.T) {
	worker := &seen{}
	s := build(t, serve(t, worker.ServeHTTP).URL, func(c *sinkhttp.Config) {
		c.Headers = map[string]config.Secret{
			"X-Order": config.NewSecret("order {{ .data.id }}, {{ .data.who }}"), "X-Plain": config.NewSecret("plain"),
			"X-None": config.NewSecret("{{ .data.none }}"),
		}
	})
	for _, want := range []string{"order 1, ä\tb", "order 2, {\"a\":1}"} {
		data := map[string]string{"order 1, ä\tb": `{"id":1,"who":"ä\tb"}`, "order 2, {\"a\":1}": `{"id":2,"who":{"a":1}}`}[want]
		if _, err := deliver(t, s, eventOf(data)); err != nil {
			t.Fatal(err)
		}
		if _, got := worker.last(); got.Get("X-Order") != want || got.Get("X-Plain") != "plain" || got["X-None"][0] != "" {
			t.Errorf("the worker has seen %q", got)
		}
	}
}

// TestTemplatesThatFail checks that the delivery ends at once, without a
// request, and that the error names the key, the expression and the place.
func TestTemplatesThatFail(t *testing.T) {
	const control = ", which no header may have"
	path := func(text string) func(*sinkhttp.Config) { return func(c *sinkhttp.Config) { c.URL += text } }
	for name, c := range map[string]struct {
		change     func(*sinkhttp.Config)
		data, want string
	}{
		"line feed":       {withHeader("X-A", "a {{ .data.a }}"), `{"a":"x\nb: c"}`, "headers.X-A: the expression `.data.a`: it yields the control character '\\n' at byte 1" + control},
		"carriage return": {withHeader("X-A", "{{ .data.a }}"), `{"a":"\rb"}`, "headers.X-A: the expression `.data.a`: it yields the control character '\\r' at byte 0" + control},
		"NUL":             {withHeader("X-A", "{{ .data.a }}"), `{"a":"\u0000"}`, "headers.X-A: the expression `.data.a`: it yields the control character '\\x00' at byte 0" + control},
		"long header":     {withHeader("X-A", "{{ .data.a * 9000 }}"), `{"a":"x"}`, "headers.X-A: the expression `.data.a * 9000`: it yields 9000 bytes, at most 8192"},
		"jq in a header":  {withHeader("X-A", "{{ .data.a | .b }}"), `{"a":[1]}`, "headers.X-A: the expression `.data.a | .b`, in `.b` of .data.a: expected an object but got: array ([1])"},
		"jq in a path":    {path("/{{ .data.a.b }}"), `{"a":1}`, "url: the expression `.data.a.b`: expected an object but got: number (1)"},
		"nothing":         {path("/{{ empty }}"), `{}`, "url: the expression `empty`: it yields nothing"},
		"an empty text":   {path("/o/{{ .data.a }}/x"), `{}`, "url: the expression `.data.a`: it yields an empty text, which would make another path of it; write what stands there then, as in .subject // \"none\""},
		"up":              {path("/o/{{ .data.a }}/x"), `{"a":".."}`, `url: the path "/o/../x" has the segment "..", which would lead elsewhere`},
		"up in two":       {path("/o/{{ .data.a }}."), `{"a":"."}`, `url: the path "/o/.." has the segment "..", which would lead elsewhere`},
		"here":            {path("/{{ .data.a }}?x=1"), `{"a":"."}`, `url: the path "/." has the segment ".", which would lead elsewhere`},
		"long":            {path("/{{ .data.a * 9000 }}"), `{"a":"x"}`, "url: it has more than 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			worker := &seen{}
			s := build(t, serve(t, worker.ServeHTTP).URL, c.change)
			if _, err := deliver(t, s, eventOf(c.data)); !sinks.IsPermanent(err) || err.Error() != c.want {
				t.Errorf("got  %v (%s)\nwant %s", err, decision(err), c.want)
			}
			if uri, _ := worker.last(); uri != "" {
				t.Error("the worker was asked all the same")
			}
		})
	}
}

// TestTemplatesWaitForTheirTurn checks that one that does not come to its turn
// may come again.
func TestTemplatesWaitForTheirTurn(t *testing.T) {
	turns := transform.NewTurns(1)
	leave, err := turns.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c := sinkhttp.NewConfig()
	c.URL = "http://127.0.0.1:9/{{ .id }}"
	s, err := c.Sink(sinks.Env{Name: "x", Turns: turns})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := s.Deliver(ctx, attempt(sample())); err == nil || sinks.IsPermanent(err) || !strings.HasPrefix(err.Error(), "it did not come to its turn") {
		t.Errorf("got %v", err)
	}
	leave()
	if again, err := turns.Take(t.Context()); err != nil {
		t.Error(err)
	} else {
		again()
	}
}

func TestBadTemplates(t *testing.T) {
	const (
		host = "url: found {{ before the path: no event chooses the scheme, the host or the port of a request; write expressions into the path or the query only"
		one  = "found {{, and a batch is one request for several events: write it without a template, or another mode"
	)
	url := func(text string) func(*sinkhttp.Config) { return func(c *sinkhttp.Config) { c.URL = text } }
	for name, c := range map[string]struct {
		change func(*sinkhttp.Config)
		want   string
	}{
		"host":           {url("http://{{ .data.host }}/x"), host},
		"port":           {url("http://a:{{ .data.port }}/x"), host},
		"scheme":         {url("{{ .data.scheme }}://a/x"), host},
		"all of it":      {url("{{ .data.url }}"), host},
		"after the host": {url("http://a.{{ .data.domain }}"), host},
		"user":           {url("http://{{ .data.user }}@a/x"), host},
		"fragment":       {url("http://a/#{{ .id }}"), `url: found the fragment "#expression", which is never sent; leave it out`},
		"dots":           {url("http://a/x/../{{ .id }}"), `url: found the segment ".." beside a template; write the path without it`},
		"syntax":         {url("http://a/{{ .id | }}"), "url: at character 18 of the template: it ends too early: unexpected EOF"},
		"no end":         {url("http://a/{{ .id"), "url: at character 10 of the template: found {{ and no }} after it"},
		"refused":        {withHeader("X-A", "at {{ now }}"), "headers.X-A: at character 7 of the template: now: it would give something else with each attempt: take .time of the event"},
		"in a batch": {func(c *sinkhttp.Config) {
			c.Mode, c.URL = sinkhttp.Batch, "http://a/{{ .id }}"
			withHeader("X-A", "{{ .id }}")(c)
		}, "url: " + one + "\nheaders.X-A: " + one},
		"handshake": {func(c *sinkhttp.Config) {
			c.URL, c.Handshake = "http://a/{{ .id }}", &sinkhttp.Handshake{Origin: "a"}
		}, "url: found {{, and handshake asks one URL for its permission: write it without a template, or leave handshake out"},
	} {
		t.Run(name, func(t *testing.T) {
			conf := sinkhttp.NewConfig()
			conf.URL = "http://a"
			c.change(conf)
			if err := conf.Validate(); err == nil || err.Error() != c.want {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestHandshakeWithTemplates checks that the request for the permission, which
// is for no event, has the plain headers only.
func TestHandshakeWithTemplates(t *testing.T) {
	var asked http.Header
	s := build(t, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodOptions {
			asked = r.Header
			w.Header().Set("WebHook-Allowed-Origin", "*")
		}
	}).URL, func(c *sinkhttp.Config) {
		c.Handshake = &sinkhttp.Handshake{Origin: "a"}
		c.Headers = map[string]config.Secret{"X-Plain": config.NewSecret("p"), "X-Id": config.NewSecret("{{ .id }}")}
	})
	if _, err := deliver(t, s); err != nil {
		t.Fatal(err)
	}
	if asked.Get("X-Plain") != "p" || asked.Get("X-Id") != "" {
		t.Errorf("asked with %q", asked)
	}
}
