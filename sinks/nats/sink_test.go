package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"

	"sluice/config"
	"sluice/sinks"
	sinknats "sluice/sinks/nats"
)

// decision says in a word what an error asks of the router.
func decision(err error) string {
	var later *sinks.RetryAfterError
	switch {
	case err == nil:
		return "done"
	case sinks.IsPermanent(err):
		return "dead"
	case errors.As(err, &later):
		return "after " + later.After.String()
	}
	return "retry"
}

// TestAnswers checks what each answer does with its delivery.
func TestAnswers(t *testing.T) {
	s := serve(t, nil)
	conn := dial(t, s)
	var answer *nats.Msg
	if _, err := conn.Subscribe("work", func(m *nats.Msg) { _ = m.RespondMsg(answer) }); err != nil {
		t.Fatal(err)
	}
	sink := build(t, s.ClientURL())
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	reason := nats.Header{"Nats-Service-Error": {"no room"}}
	code := func(code string) nats.Header {
		return nats.Header{"Nats-Service-Error": {"no room"}, "Nats-Service-Error-Code": {code}}
	}
	for _, test := range []struct {
		data   string
		header nats.Header
		want   string
		error  string
	}{
		{data: "+ACK", want: "done"},
		{data: "", want: "done"},
		{data: "a result", want: "done"},
		{data: "-5", want: "done"},
		{data: "+ACK", header: code("500"), want: "done"},
		{data: "-NAK", want: "retry", error: "the worker has failed at it, and gives no reason"},
		{data: "-NAK", header: reason, want: "retry", error: `the worker has failed at it: "no room"`},
		{data: `-NAK {"delay": 2000000000}`, header: reason, want: "after 2s", error: `the worker has failed at it: "no room" (retry after 2s)`},
		{data: `-NAK {"delay": 9000000000000000000}`, want: "after 24h0m0s", error: "the worker has failed at it, and gives no reason (retry after 24h0m0s)"},
		{data: `-NAK {"delay": -1}`, want: "retry", error: `the worker has failed at it: "{\"delay\": -1}"`},
		{data: "-NAK so it is", want: "retry", error: `the worker has failed at it: "so it is"`},
		{data: "+TERM", want: "dead", error: "the worker has refused it, and gives no reason"},
		{data: "+TERM broken\x1b", want: "dead", error: `the worker has refused it: "broken\x1b"`},
		{data: "+TERM", header: reason, want: "dead", error: `the worker has refused it: "no room"`},
		{data: "+NXT", want: "retry", error: `answered "+NXT", which is no answer: there is +ACK, -NAK, +TERM and +WPI`},
		{data: "-ERR 'x'", want: "retry", error: `answered "-ERR 'x'", which is no answer: there is +ACK, -NAK, +TERM and +WPI`},
		{header: code("500"), want: "retry", error: `answered the error "500": "no room"`},
		{header: code("429"), want: "retry", error: `answered the error "429": "no room"`},
		{header: code("404"), want: "dead", error: `answered the error "404": "no room"`},
		{header: code("E7"), want: "retry", error: `answered the error "E7": "no room"`},
		{header: reason, data: "x", want: "retry", error: `answered the error "": "no room"`},
		{data: "-" + strings.Repeat("A", 300), want: "retry", error: `answered "-` + strings.Repeat("A", 255) + `"…, which is no answer: there is +ACK, -NAK, +TERM and +WPI`},
	} {
		t.Run(test.data+fmt.Sprint(test.header), func(t *testing.T) {
			answer = &nats.Msg{Data: []byte(test.data), Header: test.header}
			response, err := deliver(t, sink, "d")
			if decision(err) != test.want || err != nil && err.Error() != test.error {
				t.Errorf("got %s, %v\nwant %s, %s", decision(err), err, test.want, test.error)
			}
			if string(response.Body) != test.data {
				t.Errorf("the answer is kept as %q", response.Body)
			}
		})
	}
}

// TestServices checks that a service of NATS is a worker as it is.
func TestServices(t *testing.T) {
	s := serve(t, nil)
	conn := dial(t, s)
	service, err := micro.AddService(conn, micro.Config{Name: "work", Version: "1.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "work", Handler: micro.HandlerFunc(func(r micro.Request) {
			if r.Headers().Get("Sluice-Delivery") == "bad" {
				_ = r.Error("422", "it is bad", nil)
				return
			}
			_ = r.Respond([]byte("done"))
		}),
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop() })
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	sink := build(t, s.ClientURL())
	if _, err := deliver(t, sink, "good"); err != nil {
		t.Error(err)
	}
	if response, err := deliver(t, sink, "bad"); !sinks.IsPermanent(err) || err.Error() != `answered the error "422": "it is bad"` || response.Status != 422 {
		t.Errorf("%+v, %v", response, err)
	}
}

// TestMessages checks what a worker sees, in each mode.
func TestMessages(t *testing.T) {
	s := serve(t, nil)
	conn := dial(t, s)
	seen := make(chan *nats.Msg, 1)
	if _, err := conn.Subscribe("work", func(m *nats.Msg) { seen <- m; _ = m.Ack() }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	common := "Sluice-Ack-Wait: 30000\nSluice-Attempt: 2\nSluice-Claim: 7\nSluice-Delivery: d\nSluice-Trigger: test\n"
	for mode, want := range map[sinknats.Mode]string{
		sinknats.Binary: common + "ce-datacontenttype: application/json\nce-id: e1\nce-source: /test\nce-specversion: 1.0\nce-subject: a%20%C3%A9\n" +
			"ce-traceparent: 00-1-2-01\nce-type: test.made\ntraceparent: 00-1-2-01\n" + `{"n":1}`,
		sinknats.Raw: common + "content-type: application/json\ntraceparent: 00-1-2-01\n" + `{"n":1}`,
		sinknats.Structured: common + "content-type: application/cloudevents+json\ntraceparent: 00-1-2-01\n" +
			`{"specversion":"1.0","id":"e1","source":"/test","type":"test.made","subject":"a é","datacontenttype":"application/json","traceparent":"00-1-2-01","data":{"n":1}}`,
	} {
		if _, err := deliver(t, build(t, s.ClientURL(), func(c *sinknats.Config) { c.Mode = mode }), "d"); err != nil {
			t.Fatal(err)
		}
		m := <-seen
		if left, err := strconv.Atoi(m.Header.Get("Sluice-Timeout")); err != nil || left < 1 || left > int(patience.Milliseconds()) {
			t.Errorf("%s: the timeout is %q", mode, m.Header.Get("Sluice-Timeout"))
		}
		m.Header.Del("Sluice-Timeout")
		var lines []string
		for name, values := range m.Header {
			lines = append(lines, name+": "+values[0]+"\n")
		}
		slices.Sort(lines)
		if got := strings.Join(lines, "") + string(m.Data); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", mode, got, want)
		}
	}
}

// TestTimeIsAskedFor checks that a worker that says that it works on a delivery
// may take longer than it may be silent.
func TestTimeIsAskedFor(t *testing.T) {
	s := serve(t, nil)
	conn := dial(t, s)
	const silence = 300 * time.Millisecond
	if _, err := conn.Subscribe("work", func(m *nats.Msg) {
		for began := time.Now(); time.Since(began) < 2*silence; time.Sleep(silence / 10) { // the worker's work
			_ = m.InProgress()
		}
		if m.Header.Get("Sluice-Delivery") == "good" {
			_ = m.Ack()
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	sink := build(t, s.ClientURL(), func(c *sinknats.Config) { c.AckWait = config.Duration(silence) })
	if _, err := deliver(t, sink, "good"); err != nil {
		t.Error(err)
	}
	began := time.Now()
	_, err := deliver(t, sink, "silent")
	const want = "the worker was silent for 300ms (ack_wait): it answers within that time, or asks for more"
	if decision(err) != "retry" || err.Error() != want || time.Since(began) < 2*silence {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

// TestNobodyIsThere checks that deliveries wait for a worker, and for a server.
func TestNobodyIsThere(t *testing.T) {
	s := serve(t, nil)
	sink := build(t, s.ClientURL())
	began := time.Now()
	response, err := deliver(t, sink, "d")
	if decision(err) != "retry" || err.Error() != "nobody has subscribed to the subject: no worker is there" || response.Status != 503 {
		t.Errorf("%+v, %v", response, err)
	}
	if took := time.Since(began); took > patience/4 {
		t.Errorf("it took %v to see it", took)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	_, err = deliver(t, build(t, "nats://"+listener.Addr().String()), "d")
	if decision(err) != "retry" || !strings.HasPrefix(err.Error(), "no server answers: connection refused") {
		t.Errorf("without a server: %v", err)
	}
}

// TestTheServerRestarts checks that deliveries fail at once while it is away, in
// a way that may pass, and go on when it is back, with the same sink.
func TestTheServerRestarts(t *testing.T) {
	folder := t.TempDir()
	first := serve(t, func(o *server.Options) { o.StoreDir = folder })
	conn := dial(t, first)
	stream(t, conn, "STORED", "stored")
	if _, err := conn.QueueSubscribe("work", "workers", func(m *nats.Msg) { _ = m.Ack() }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	asks := build(t, first.ClientURL(), func(c *sinknats.Config) { c.AckWait = config.Duration(2 * time.Second) })
	stores := build(t, first.ClientURL(), toStream)
	eventually(t, asks, "1")
	eventually(t, stores, "1")
	port := first.Addr().(*net.TCPAddr).Port
	first.Shutdown()
	first.WaitForShutdown()
	for name, sink := range map[string]sinks.Sink{"worker": asks, "stream": stores} {
		began := time.Now()
		if _, err := deliver(t, sink, "2"); decision(err) != "retry" || time.Since(began) > patience/2 {
			t.Errorf("%s: without a server, after %v: %v", name, time.Since(began), err)
		}
	}
	serve(t, func(o *server.Options) { o.StoreDir, o.Port = folder, port })
	eventually(t, asks, "2")
	eventually(t, stores, "2")
	if n := stored(t, conn, "STORED"); n != 2 {
		t.Errorf("%d messages are stored", n)
	}
}

// TestTheServerRestartsUnderLoad checks that no delivery is lost that was said to
// be done, to a stream.
func TestTheServerRestartsUnderLoad(t *testing.T) {
	const each, workers = 50, 8
	folder := t.TempDir()
	s := serve(t, func(o *server.Options) { o.StoreDir, o.SyncAlways = folder, true })
	conn := dial(t, s)
	stream(t, conn, "STORED", "stored")
	sink := build(t, s.ClientURL(), toStream)
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range each {
				eventually(t, sink, fmt.Sprintf("%d.%d", w, i))
			}
		})
	}
	port := s.Addr().(*net.TCPAddr).Port
	for range 3 {
		s.Shutdown()
		s.WaitForShutdown()
		s = serve(t, func(o *server.Options) { o.StoreDir, o.Port, o.SyncAlways = folder, port, true })
	}
	all.Wait()
	if n := stored(t, conn, "STORED"); n != each*workers {
		t.Errorf("%d messages are stored, want %d", n, each*workers)
	}
}

func toStream(c *sinknats.Config) { c.Confirm, c.Subject = sinknats.ByStream, "stored" }

func stream(t *testing.T, conn *nats.Conn, name, subject string) {
	t.Helper()
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{subject}, MaxMsgSize: 1 << 10})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stored returns how many messages a stream has.
func stored(t *testing.T, conn *nats.Conn, name string) uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	for {
		s, err := js.Stream(ctx, name)
		if err == nil {
			return s.CachedInfo().State.Msgs
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		<-time.After(10 * time.Millisecond) // the connection is being opened again
	}
}

// TestStreams checks what is stored, and what becomes of what is not.
func TestStreams(t *testing.T) {
	s := serve(t, nil)
	conn := dial(t, s)
	stream(t, conn, "STORED", "stored")
	sink := build(t, s.ClientURL(), toStream)
	for range 2 { // a repeat is not stored again
		if _, err := deliver(t, sink, "inc.1.test"); err != nil {
			t.Fatal(err)
		}
	}
	if n := stored(t, conn, "STORED"); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
	if _, err := deliver(t, build(t, s.ClientURL(), toStream, func(c *sinknats.Config) { c.Stream = "STORED" }), "inc.2.test"); err != nil {
		t.Error(err)
	}
	large := attempt("inc.3.test")
	large.Deliveries[0].Event.Data = make([]byte, 2<<10)
	_, err := sink.Deliver(t.Context(), large)
	if decision(err) != "dead" || !strings.HasPrefix(err.Error(), "the stream takes no message of this size (max_msg_size): ") {
		t.Errorf("a large one: %v", err)
	}
	_, err = deliver(t, build(t, s.ClientURL(), toStream, func(c *sinknats.Config) { c.Stream = "OTHER" }), "inc.4.test")
	if decision(err) != "retry" || !strings.HasPrefix(err.Error(), "not stored: nats: API error: code=400 err_code=10060") {
		t.Errorf("another stream: %v", err)
	}
	_, err = deliver(t, build(t, s.ClientURL(), toStream, func(c *sinknats.Config) { c.Subject = "nowhere" }), "inc.5.test")
	if decision(err) != "retry" || !strings.HasPrefix(err.Error(), `no stream stores the subject "nowhere"`) {
		t.Errorf("no stream: %v", err)
	}
}

// TestTooLargeForTheServer checks that another attempt is not made.
func TestTooLargeForTheServer(t *testing.T) {
	s := serve(t, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	large := attempt("d")
	large.Deliveries[0].Event.Data = make([]byte, 8<<10)
	for name, sink := range map[string]sinks.Sink{"worker": build(t, s.ClientURL()), "stream": build(t, s.ClientURL(), toStream)} {
		_, err := sink.Deliver(t.Context(), large)
		if decision(err) != "dead" || err.Error() != "the message is larger than the 4096 bytes that the server takes (max_payload)" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestWhoSluiceIs checks logins, permissions and the egress guard.
func TestWhoSluiceIs(t *testing.T) {
	s := serve(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "u", Password: "p"},
			{Username: "narrow", Password: "p", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"work"}}}},
		}
	})
	conn := dial(t, s, nats.UserInfo("u", "p"))
	if _, err := conn.Subscribe("work", func(m *nats.Msg) { _ = m.Ack() }); err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	as := func(user, password string) func(*sinknats.Config) {
		return func(c *sinknats.Config) {
			c.Auth = config.NATSAuth{User: user, Password: config.NewSecret(password)}
			c.AckWait = config.Duration(200 * time.Millisecond)
		}
	}
	if _, err := deliver(t, build(t, s.ClientURL(), as("u", "p")), "d"); err != nil {
		t.Error(err)
	}
	_, err := deliver(t, build(t, s.ClientURL(), as("u", "x")), "d")
	if decision(err) != "retry" || !strings.HasPrefix(err.Error(), "the servers refuse who sluice says to be (auth, or the user in url): ") || strings.Contains(err.Error(), `"x"`) {
		t.Errorf("a wrong password: %v", err)
	}
	_, err = deliver(t, build(t, s.ClientURL(), as("narrow", "p")), "d")
	if decision(err) != "retry" || !strings.Contains(err.Error(), "the server has refused something: nats: ") {
		t.Errorf("a subject that is not permitted: %v", err)
	}
	_, err = deliver(t, build(t, s.ClientURL(), as("u", "p"), func(c *sinknats.Config) { c.Egress = "public" }), "d")
	if decision(err) != "dead" || err.Error() != "refused to connect to 127.0.0.1: it is a loopback address, and egress is public" {
		t.Errorf("a private address: %v", err)
	}
}

func TestValidate(t *testing.T) {
	junk := filepath.Join(t.TempDir(), "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*sinknats.Config)
		want   string
	}{
		"no url":    {func(c *sinknats.Config) { c.URL = " " }, "url: it is missing; write the servers, such as nats://127.0.0.1:4222"},
		"http":      {func(c *sinknats.Config) { c.URL = "nats://a,http://b" }, "url: server 2 is no NATS address: write nats://host:4222, several with commas between"},
		"two users": {func(c *sinknats.Config) { c.URL = "nats://u:p@a"; c.Auth.Token = config.NewSecret("t") }, "url: server 1 has a user in it, and auth says who sluice is too: remove one of them"},
		"two ways": {func(c *sinknats.Config) {
			c.Auth.Token, c.Auth.Creds = config.NewSecret("t"), config.NewSecret("NATS USER JWT")
		}, "auth.creds: there is token already: take one of user with password, token, nkey and creds"},
		"no subject":      {func(c *sinknats.Config) { c.Subject = "" }, "subject: it is missing; write one such as work.resize"},
		"wildcard":        {func(c *sinknats.Config) { c.Subject = "a.*" }, `subject: found a wildcard in "a.*"; workers subscribe to wildcards, and deliveries go to one subject`},
		"template":        {func(c *sinknats.Config) { c.Subject = "a.{{ .id }}" }, `subject: found {{ in "a.{{ .id }}"; a subject is no template: write a trigger for each`},
		"of NATS":         {func(c *sinknats.Config) { c.Subject = "$JS.API" }, `subject: "$JS.API" belongs to NATS itself: subjects of your own do not begin with $`},
		"space":           {func(c *sinknats.Config) { c.Subject = "a b" }, `subject: found a space or a control character in "a b"; leave it out`},
		"empty token":     {func(c *sinknats.Config) { c.Subject = "a..b" }, `subject: found nothing between two dots, or before or after one, in "a..b"`},
		"confirm":         {func(c *sinknats.Config) { c.Confirm = "ack" }, `confirm: found "ack"; write worker or stream`},
		"mode":            {func(c *sinknats.Config) { c.Mode = "batch" }, `mode: found "batch"; write binary, structured or raw`},
		"stream":          {func(c *sinknats.Config) { c.Stream = "S" }, "stream: it is for confirm: stream; write that too, or leave stream out"},
		"stream's name":   {func(c *sinknats.Config) { toStream(c); c.Stream = "a.b" }, `stream: "a.b" is no name of a stream: that has no spaces, dots, stars, > or slashes`},
		"ack_wait":        {func(c *sinknats.Config) { c.AckWait = config.Duration(time.Millisecond) }, "ack_wait: expected 100ms to 1h, found 1ms"},
		"ack_wait and so": {func(c *sinknats.Config) { toStream(c); c.AckWait++ }, "ack_wait: it is for workers; with confirm: stream the trigger's timeout bounds the wait: leave ack_wait out"},
		"egress":          {func(c *sinknats.Config) { c.Egress = "all" }, `egress: found "all"; write any or public`},
		"tls":             {func(c *sinknats.Config) { c.TLS.CAFile = config.Path(junk) }, `tls.ca_file: found no certificate in "` + junk + `"; it must hold certificates in PEM`},
	} {
		t.Run(name, func(t *testing.T) {
			c := sinknats.NewConfig()
			c.URL, c.Subject = "nats://127.0.0.1:4222", "work"
			test.change(c)
			if err := c.Validate(); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}
