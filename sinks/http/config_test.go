package http_test

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/config"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

func TestBadConfigurations(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := config.NewSecret
	header := func(name, value string) func(*sinkhttp.Config) {
		return func(c *sinkhttp.Config) { c.Headers = map[string]config.Secret{name: secret(value)} }
	}
	url := func(text string) func(*sinkhttp.Config) { return func(c *sinkhttp.Config) { c.URL = text } }
	const wantURL = "write one such as http://127.0.0.1:7070/events"
	for name, c := range map[string]struct {
		change func(*sinkhttp.Config)
		want   string
	}{
		"no url":        {url(""), "url: it is missing; " + wantURL},
		"no URL at all": {url("http://a:b@c:d/%zz"), "url: it is not a URL; " + wantURL},
		"scheme":        {url("ftp://a/"), `url: found the scheme "ftp"; write http or https`},
		"no scheme":     {url("//a/"), `url: found the scheme ""; write http or https`},
		"no host":       {url("http:///x"), `url: found no host in "http:///x"; ` + wantURL},
		"user":          {url("http://me:secret@a/"), "url: it has a user name in it; write it under auth"},
		"port 0":        {url("http://a:0/"), `url: found "a:0" as the host; write a name or an address, and a port from 1 to 65535 where it is not the usual one`},
		"port 70000":    {url("http://a:70000/"), `url: found "a:70000" as the host; write a name or an address, and a port from 1 to 65535 where it is not the usual one`},
		"empty port":    {url("http://a:/"), `url: found "a:" as the host; write a name or an address, and a port from 1 to 65535 where it is not the usual one`},
		"fragment":      {url("http://a/#top"), `url: found the fragment "#top", which is never sent; leave it out`},
		"method":        {func(c *sinkhttp.Config) { c.Method = "GET" }, `method: found "GET"; write POST or PUT`},
		"mode":          {func(c *sinkhttp.Config) { c.Mode = "json" }, `mode: found "json"; write binary, structured, raw or batch`},
		"egress":        {func(c *sinkhttp.Config) { c.Egress = "all" }, `egress: found "all"; write any or public`},
		"max_response":  {func(c *sinkhttp.Config) { c.MaxResponse = 2 << 20 }, "max_response: 2MiB is over the limit of 1MiB"},
		"header name":   {header("X Key", "v"), `headers: found the name "X Key"; write letters, digits and hyphens`},
		"header break":  {header("X-Key", "a\r\nb"), `headers.X-Key: found the control character '\r' at byte 1 of the value; leave it out`},
		"header NUL":    {header("X-Key", "\x00"), `headers.X-Key: found the control character '\x00' at byte 0 of the value; leave it out`},
		"hop by hop":    {header("Connection", "close"), "headers.Connection: it belongs to the connection, not to the request; leave it out"},
		"host":          {header("host", "x"), "headers.host: sluice sets it itself; leave it out"},
		"ce":            {header("CE-Id", "x"), "headers.CE-Id: names that begin with ce- or sluice- are set by sluice; leave it out"},
		"ours":          {header("Sluice-Attempt", "x"), "headers.Sluice-Attempt: names that begin with ce- or sluice- are set by sluice; leave it out"},
		"two auths":     {func(c *sinkhttp.Config) { c.Auth = sinkhttp.Auth{Bearer: &sinkhttp.Bearer{}, Basic: &sinkhttp.Basic{}} }, "auth: found bearer and basic; write one of them"},
		"no token":      {func(c *sinkhttp.Config) { c.Auth.Bearer = &sinkhttp.Bearer{} }, "auth.bearer.token: it is missing or empty"},
		"token break":   {func(c *sinkhttp.Config) { c.Auth.Bearer = &sinkhttp.Bearer{Token: secret("a\n")} }, `auth.bearer.token: found the control character '\n' at byte 1 of the value; leave it out`},
		"no user":       {func(c *sinkhttp.Config) { c.Auth.Basic = &sinkhttp.Basic{} }, `auth.basic.username: found ""; write a name without a colon`},
		"colon user":    {func(c *sinkhttp.Config) { c.Auth.Basic = &sinkhttp.Basic{Username: "a:b"} }, `auth.basic.username: found "a:b"; write a name without a colon`},
		"tls over http": {func(c *sinkhttp.Config) { c.TLS.ServerName = "x" }, "tls: the url is http; write https, or leave tls out"},
		"no ca":         {func(c *sinkhttp.Config) { c.URL = "https://a"; c.TLS.CAFile = "/nowhere.pem" }, "tls.ca_file: open /nowhere.pem: no such file or directory"},
		"junk ca":       {func(c *sinkhttp.Config) { c.URL = "https://a"; c.TLS.CAFile = config.Path(junk) }, `tls.ca_file: found no certificate in "` + junk + `"; it must hold certificates in PEM`},
		"no key":        {func(c *sinkhttp.Config) { c.URL = "https://a"; c.TLS.CertFile = config.Path(junk) }, "tls.key_file: it is missing beside cert_file"},
		"no cert":       {func(c *sinkhttp.Config) { c.URL = "https://a"; c.TLS.KeyFile = config.Path(junk) }, "tls.cert_file: it is missing beside key_file"},
		"junk cert": {func(c *sinkhttp.Config) {
			c.URL = "https://a"
			c.TLS.CertFile, c.TLS.KeyFile = config.Path(junk), config.Path(junk)
		}, "tls.cert_file: tls: failed to find any PEM data in certificate input"},
		"oauth, empty": {func(c *sinkhttp.Config) { c.Auth.OAuth = &sinkhttp.OAuth{} }, "auth.oauth.token_url: it is missing; " + wantURL +
			"\nauth.oauth.client_id: it is missing or empty\nauth.oauth.client_secret: it is missing or empty"},
		"oauth, scope":       {oauth(func(o *sinkhttp.OAuth) { o.Scopes = []string{"a", "b c"} }), `auth.oauth.scopes[1]: found "b c"; write printable ASCII without spaces, quotes and backslashes`},
		"oauth, own param":   {oauth(func(o *sinkhttp.OAuth) { o.Params = map[string]config.Secret{"scope": config.NewSecret("a")} }), "auth.oauth.params.scope: it has a key of its own: write scopes"},
		"oauth, grant":       {oauth(func(o *sinkhttp.OAuth) { o.Params = map[string]config.Secret{"grant_type": config.NewSecret("a")} }), "auth.oauth.params.grant_type: sluice sets it itself; leave it out"},
		"oauth, client_auth": {oauth(func(o *sinkhttp.OAuth) { o.ClientAuth = "jwt" }), `auth.oauth.client_auth: found "jwt"; write basic or body`},
		"oauth and bearer":   {func(c *sinkhttp.Config) { c.Auth = sinkhttp.Auth{OAuth: &sinkhttp.OAuth{}, Bearer: &sinkhttp.Bearer{}} }, "auth: found bearer and oauth; write one of them"},
		"no secret":          {sign(), "sign.standard_webhooks.secret: it is missing; write whsec_ and the base64 of 24 to 64 random bytes"},
		"plain secret":       {sign("hush"), "sign.standard_webhooks.secret: it does not begin with whsec_; write that and the base64 of 24 to 64 random bytes"},
		"secret in hex":      {sign("whsec_abc-"), "sign.standard_webhooks.secret: what follows whsec_ is no base64"},
		"short secret":       {sign(whsec(23)), "sign.standard_webhooks.secret: it has 23 bytes; use 24 to 64"},
		"long old secret":    {sign(whsec(24), whsec(65)), "sign.standard_webhooks.secret[1]: it has 65 bytes; use 24 to 64"},
		"signed twice": {func(c *sinkhttp.Config) {
			header("Webhook-Id", "x")(c)
			sign(whsec(64))(c)
		}, "headers.Webhook-Id: sign sets it already; leave one of them out"},
		"reply":         {func(c *sinkhttp.Config) { c.Reply = "send" }, `reply: found "send"; write publish, or leave it out`},
		"batch replies": {func(c *sinkhttp.Config) { c.Reply, c.Mode = "publish", "batch" }, "reply: the answer to a batch says which deliveries have failed; write another mode, or leave reply out"},
		"no hops":       {func(c *sinkhttp.Config) { c.Reply, c.MaxHops = "publish", 0 }, "max_hops: found 0; write a whole number from 1 to 100"},
		"many hops":     {func(c *sinkhttp.Config) { c.MaxHops = 101 }, "max_hops: found 101; write a whole number from 1 to 100"},
		"no origin":     {func(c *sinkhttp.Config) { c.Handshake = &sinkhttp.Handshake{} }, `handshake.origin: found ""; write the DNS name of this installation, such as sluice.example.com`},
		"a URL":         {func(c *sinkhttp.Config) { c.Handshake = &sinkhttp.Handshake{Origin: "https://a"} }, `handshake.origin: found "https://a"; write the DNS name of this installation, such as sluice.example.com`},
		"negative rate": {handshake(-1), "handshake.rate: found -1; write how many requests a minute to ask for, or leave it out"},
		"asked twice": {func(c *sinkhttp.Config) {
			header("WebHook-Request-Origin", "x")(c)
			handshake(0)(c)
		}, "headers.WebHook-Request-Origin: handshake sets it already; leave one of them out"},
		"status twice": {func(c *sinkhttp.Config) {
			c.Status = sinkhttp.Status{Done: codes(t, "404"), Dead: codes(t, "5xx", "404")}
		}, "status.dead[1]: 404 is in done already; write it once"},
		"status nothing":  {func(c *sinkhttp.Config) { c.Status.Retry = make([]sinkhttp.StatusCode, 1) }, "status.retry[0]: it is empty; write a code such as 404, or a class such as 4xx"},
		"several at once": {func(c *sinkhttp.Config) { c.Method, c.Mode = "", "" }, "method: found \"\"; write POST or PUT\nmode: found \"\"; write binary, structured, raw or batch"},
		"auth twice": {func(c *sinkhttp.Config) {
			header("authorization", "x")(c)
			c.Auth.Bearer = &sinkhttp.Bearer{Token: secret("t")}
		}, "headers.authorization: auth sets it already; leave one of them out"},
	} {
		config := sinkhttp.NewConfig()
		config.URL = "http://127.0.0.1:7070"
		c.change(config)
		if err := config.Validate(); err == nil || err.Error() != c.want {
			t.Errorf("%s:\n got %v\nwant %s", name, err, c.want)
		}
		if _, err := config.Sink(sinks.Env{Name: "x"}); err == nil {
			t.Errorf("%s: a sink was built", name)
		}
	}
}

// oauth returns a change that adds a valid section, but for what change does.
func oauth(change func(*sinkhttp.OAuth)) func(*sinkhttp.Config) {
	return func(c *sinkhttp.Config) {
		c.Auth.OAuth = &sinkhttp.OAuth{TokenURL: "https://id.test/token", ClientID: "me", ClientSecret: config.NewSecret("s3cret")}
		change(c.Auth.OAuth)
	}
}

func sign(secrets ...string) func(*sinkhttp.Config) {
	return func(c *sinkhttp.Config) {
		c.Sign.StandardWebhooks = &sinkhttp.StandardWebhooks{}
		for _, s := range secrets {
			c.Sign.StandardWebhooks.Secret = append(c.Sign.StandardWebhooks.Secret, config.NewSecret(s))
		}
	}
}

// whsec returns a secret of so many bytes.
func whsec(bytes int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", bytes)))
}

func TestStatusCodeText(t *testing.T) {
	for _, bad := range []string{"", "4x", "4xxx", "600", "099", "6xx", "4XX", "-10", "40\n", "xxx", "+40"} {
		var c sinkhttp.StatusCode
		err := c.UnmarshalText([]byte(bad))
		if err == nil || !strings.HasSuffix(err.Error(), " is not a status code: write one from 100 to 599, or a class such as 4xx") {
			t.Errorf("%q: %v", bad, err)
		}
	}
	for _, good := range []string{"100", "404", "599", "1xx", "5xx"} {
		text, err := codes(t, good)[0].MarshalText()
		if err != nil || string(text) != good {
			t.Errorf("%s: %s, %v", good, text, err)
		}
	}
}

func TestDefaultsNeedOnlyAURL(t *testing.T) {
	c, ok := sinkhttp.Adapter().Config().(*sinkhttp.Config)
	if !ok || c.Validate() == nil {
		t.Fatal("a configuration without a url is valid")
	}
	for _, url := range []string{"http://127.0.0.1:7070", "https://example.org/a?b=c", "http://[::1]:80/"} {
		if c.URL = url; c.Validate() != nil {
			t.Errorf("%s: %v", url, c.Validate())
		}
	}
}

// certificates writes the server's certificate as an authority, and its pair.
func certificates(t *testing.T, server *httptest.Server) (ca, cert, key config.Path) {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) config.Path { return config.Path(filepath.Join(dir, name)) }
	ca, cert, key = at("ca.pem"), at("cert.pem"), at("key.pem")
	pair := server.TLS.Certificates[0]
	private, err := marshalKey(pair)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	for path, text := range map[config.Path][]byte{ca: public, cert: public, key: private} {
		if err := os.WriteFile(string(path), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return ca, cert, key
}

func TestTLS(t *testing.T) {
	var log bytes.Buffer
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.Config.ErrorLog = newLog(&log)
	server.StartTLS()
	t.Cleanup(server.Close)
	ca, cert, key := certificates(t, server)
	for name, c := range map[string]struct {
		tls            config.TLS
		decision, text string
	}{
		"unknown authority": {config.TLS{}, "retry", "cannot connect: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		"no certificate":    {config.TLS{CAFile: ca}, "dead", "answered 403 Forbidden"},
		"certificate":       {config.TLS{CAFile: ca, CertFile: cert, KeyFile: key}, "done", ""},
		"by another name":   {config.TLS{CAFile: ca, CertFile: cert, KeyFile: key, ServerName: "example.com"}, "done", ""},
		"wrong name":        {config.TLS{CAFile: ca, ServerName: "wrong.test"}, "retry", "cannot connect: tls: failed to verify certificate: x509: certificate is valid for example.com, *.example.com, not wrong.test"},
		"insecure":          {config.TLS{InsecureSkipVerify: true, CertFile: cert, KeyFile: key}, "done", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := build(t, server.URL, func(config *sinkhttp.Config) { config.TLS = c.tls })
			for range 3 {
				_, err := deliver(t, s)
				if got := decision(err); got != c.decision || err != nil && err.Error() != c.text {
					t.Errorf("%s: %v", got, err)
				}
			}
		})
	}
}
