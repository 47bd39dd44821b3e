package http_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	sourcehttp "sluice/sources/http"
	"sluice/sources/sourcetest"
)

func serverOptions() sourcehttp.Options { return sourcehttp.Options{Listen: "127.0.0.1:0"} }

func TestServesNothingButMountedPaths(t *testing.T) {
	out := sourcetest.NewOut()
	url := strings.TrimSuffix(startSource(t, newConfig("/hooks"), out), "/hooks")
	for _, path := range []string{"/", "/hooks/", "/hooks/x", "/hook", "//hooks", "/livez"} {
		got := send(t, http.MethodPost, url+path, map[string]string{"Content-Type": "application/json"}, "{}")
		wantRefusal(t, got, 404, fmt.Sprintf("no source takes events at %q", path))
	}
	got := send(t, http.MethodGet, url+"/%0a%1b", nil, "")
	wantRefusal(t, got, 404, `no source takes events at "/\n\x1b"`)
}

func TestAStarTakesWhatIsBelow(t *testing.T) {
	server, url := startServer(t, serverOptions())
	for _, path := range []string{"/*", "/hooks/*", "/hooks/a", "/hooks/a/b/*"} {
		remove, err := server.Handle(path, path, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, path)
		}))
		if err != nil {
			t.Fatal(err)
		}
		if path != "/*" {
			t.Cleanup(remove)
			continue
		}
		if got := send(t, http.MethodPost, url+"/a", nil, ""); got.body != "/*" {
			t.Errorf("/a: %d %s", got.status, got.body)
		}
		remove()
	}
	for path, want := range map[string]string{
		"/hooks/a": "/hooks/a", "/hooks/a/": "/hooks/*", "/hooks/b": "/hooks/*", "/hooks/b/c/d": "/hooks/*", "/hooks/a/b": "/hooks/*",
		"/hooks/a/b/c": "/hooks/a/b/*", "/hooks/a/b/c/d/": "/hooks/a/b/*", "/hooks/%61/b/c": "/hooks/a/b/*",
	} {
		if got := send(t, http.MethodPost, url+path, nil, ""); got.status != 200 || got.body != want {
			t.Errorf("%s: %d %s, want %s", path, got.status, got.body, want)
		}
	}
	for _, path := range []string{"/", "/hooks", "/hooks/", "/other", "//hooks/a", "/hooks//b", "/hooks/../hooks/b", "/hooks/./b", "/hooks/%2e%2e/b", "/hook/b"} {
		if got := send(t, http.MethodPost, url+path, nil, ""); got.status != 404 {
			t.Errorf("%s: %d %s, want 404", path, got.status, got.body)
		}
	}
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(status, " 200 ") && !strings.Contains(status, " 404 ") {
		t.Errorf("OPTIONS *: %q, %v", status, err)
	}
}

func TestOnePathOneSource(t *testing.T) {
	server, _ := startServer(t, serverOptions())
	remove, err := server.Handle("first", "/hooks", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := server.Handle("second", "/hooks", http.NotFoundHandler()); err == nil || err.Error() != `path "/hooks" is taken by source "first"` {
		t.Errorf("second: %v", err)
	}
	remove()
	removeSecond, err := server.Handle("second", "/hooks", http.NotFoundHandler())
	if err != nil {
		t.Fatal(err)
	}
	remove() // once more: it must not take the second away
	if _, err := server.Handle("third", "/hooks", http.NotFoundHandler()); err == nil {
		t.Error("the first one's remove has taken the second away")
	}
	removeSecond()
}

func TestNoOpenSourceBeyondThisMachine(t *testing.T) {
	cases := []struct {
		listen  string
		token   string
		allowed bool
		want    string
	}{
		{listen: "127.0.0.1:0"},
		{listen: "[::1]:0"},
		{listen: "localhost:0"},
		{listen: "0.0.0.0:0", token: token},
		{listen: "0.0.0.0:0", allowed: true},
		{listen: "0.0.0.0:0", want: `source "hooks" has no authentication, and 0.0.0.0:0 is reached from other machines: give it a token, or listen on 127.0.0.1`},
		{listen: ":0", want: `source "hooks" has no authentication, and :0 is reached from other machines: give it a token, or listen on 127.0.0.1`},
		{listen: "10.0.0.1:0", want: `source "hooks" has no authentication, and 10.0.0.1:0 is reached from other machines: give it a token, or listen on 127.0.0.1`},
	}
	for _, c := range cases {
		server := sourcehttp.NewServer(sourcehttp.Options{Listen: c.listen, AllowUnauthenticated: c.allowed})
		section := newConfig("/hooks")
		if c.token != "" {
			section.Token = secrets(c.token)
		}
		message := ""
		if _, err := section.Source(sourcetest.Env("hooks", server)); err != nil {
			message = err.Error()
		}
		if message != c.want {
			t.Errorf("%+v: got %q", c, message)
		}
		_, err := server.Handle("hooks", "/hooks", http.NotFoundHandler()) // knows no authentication
		if wantRefused := c.want != "" || c.token != ""; (err != nil) != wantRefused {
			t.Errorf("%+v: Handle returned %v", c, err)
		}
	}
}

func TestListenOnATakenPort(t *testing.T) {
	server, _ := startServer(t, serverOptions())
	second := sourcehttp.NewServer(sourcehttp.Options{Listen: server.Addr().String()})
	if err := second.Run(context.Background()); err == nil || !strings.HasPrefix(err.Error(), "ingest: listen tcp "+server.Addr().String()) {
		t.Errorf("got %v", err)
	}
}

// echo answers with the headers that a source would see.
func echo(t *testing.T, server *sourcehttp.Server) {
	t.Helper()
	remove, err := server.Handle("echo", "/echo", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			_, _ = fmt.Fprintln(w, name)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(remove)
}

// What follows a request with a length and chunks is no request: who stands in
// between may have taken it for the body of the first one.
func TestSmuggling(t *testing.T) {
	server, _ := startServer(t, serverOptions())
	echo(t, server)
	for _, headers := range []string{"Content-Length: 5\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 5", "Transfer-Encoding: chunked"} {
		conn := dial(t, server)
		if _, err := io.WriteString(conn, "POST /echo HTTP/1.1\r\nHost: x\r\n"+headers+"\r\n\r\n0\r\n\r\nPOST /echo HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(conn)
		if err != nil && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: the connection stays open: %v", headers, err)
		}
		if n := strings.Count(string(text), "HTTP/1.1 200 OK"); n != 1 {
			t.Errorf("%s: %d answers: %s", headers, n, text)
		}
	}
}

func TestAPanicIsLoggedAndAnswered(t *testing.T) {
	var log safeBuffer
	options := serverOptions()
	options.Logger = slog.New(slog.NewTextHandler(&log, nil))
	server, url := startServer(t, options)
	for path, value := range map[string]any{"/panics": "a fault", "/aborts": http.ErrAbortHandler} {
		remove, err := server.Handle(path, path, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) }))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(remove)
	}
	wantRefusal(t, send(t, http.MethodPost, url+"/panics", nil, ""), 500, "sluice has failed on this request")
	if text := log.String(); !strings.Contains(text, "a request has made ingest panic") || !strings.Contains(text, "a fault") || !strings.Contains(text, "server_test.go") {
		t.Errorf("the log is %s", text)
	}
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "POST /aborts HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(conn); err != nil || len(text) > 0 {
		t.Errorf("an aborted request is answered with %q, %v", text, err)
	}
	if strings.Count(log.String(), "panic=") != 1 {
		t.Errorf("the log is %s", log.String())
	}
}

func TestStripsHeaders(t *testing.T) {
	server, url := startServer(t, serverOptions())
	echo(t, server)
	got := send(t, http.MethodPost, url+"/echo", map[string]string{
		"Nats-Msg-Id": "1", "nats-rollup": "sub", "Sluice-Trigger": "x", "X-Forwarded-User": "root", "Remote-User": "root",
		"X-Auth-Request-Email": "root@example.com", "Cf-Access-Jwt-Assertion": "x", "X-Forwarded-Client-Cert": "x",
		"Te": "trailers", "Upgrade": "h2c", "Proxy-Authorization": "x", "X-Hop": "1", "Connection": "close, X-Hop",
		"Ce-Id": "1",
	}, "x")
	names := strings.Fields(got.body)
	for _, name := range names {
		switch name {
		case "Ce-Id", "User-Agent", "Accept-Encoding", "Content-Length":
		default:
			t.Errorf("header %s was not stripped", name)
		}
	}
	if !strings.Contains(got.body, "Ce-Id") {
		t.Errorf("Ce-Id is missing: %v", names)
	}
}

// A browser that is led to make a GET for another site makes no event.
func TestGetForAnotherSite(t *testing.T) {
	server, url := startServer(t, serverOptions())
	echo(t, server)
	for site, want := range map[string]int{"cross-site": 403, "same-site": 403, "same-origin": 200, "none": 200, "": 200} {
		header := map[string]string{}
		if site != "" {
			header["Sec-Fetch-Site"] = site
		}
		if got := send(t, http.MethodGet, url+"/echo", header, ""); got.status != want {
			t.Errorf("%q: %d, want %d", site, got.status, want)
		}
	}
}

func TestDNSRebinding(t *testing.T) {
	server, url := startServer(t, serverOptions())
	echo(t, server)
	for host, want := range map[string]int{
		"evil.example": 403, "10.0.0.1": 403, "localhost": 200, "app.localhost:4800": 200, "127.0.0.1": 200, "[::1]:4800": 200,
	} {
		ctx, cancel := context.WithTimeout(context.Background(), sourcetest.Patience)
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/echo", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		request.Host, request.Close = host, true
		request.Header.Set("Origin", "http://"+host)
		response, err := http.DefaultTransport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		cancel()
		if response.StatusCode != want {
			t.Errorf("host %s: %d, want %d", host, response.StatusCode, want)
		}
	}
}

// dial opens a raw connection that ends with the test.
func dial(t *testing.T, server *sourcehttp.Server) net.Conn {
	t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(sourcetest.Patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestSlowHeadersAreCutOff(t *testing.T) {
	server, _ := startServer(t, sourcehttp.Options{HeaderTimeout: 50 * time.Millisecond})
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "POST /hooks HTTP/1.1\r\nHost: x\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection was not closed: %v", err)
	}
}

func TestLargeHeadersAreRefused(t *testing.T) {
	server, _ := startServer(t, serverOptions())
	conn := dial(t, server)
	go func() {
		_, _ = io.WriteString(conn, "POST /hooks HTTP/1.1\r\nHost: x\r\nCe-Big: "+strings.Repeat("x", sourcehttp.MaxHeaderBytes)+"\r\n\r\n")
	}()
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || status != "HTTP/1.1 431 Request Header Fields Too Large\r\n" {
		t.Errorf("got %q, %v", status, err)
	}
}

func TestSlowBodyIsCutOff(t *testing.T) {
	server, _ := startServer(t, sourcehttp.Options{BodyTimeout: 50 * time.Millisecond})
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", server))
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.Run(t, source, sourcetest.NewOut())
	var status string
	sourcetest.Eventually(t, "an answer of the source", func() bool {
		conn := dial(t, server)
		if _, err := io.WriteString(conn, "POST /hooks HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{"); err != nil {
			t.Fatal(err)
		}
		if status, err = bufio.NewReader(conn).ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(status, "404")
	})
	if status != "HTTP/1.1 408 Request Timeout\r\n" {
		t.Errorf("got %q", status)
	}
}

// A publish that takes longer than the body may take is not cut off by the
// body's deadline.
func TestSlowPublishOutlivesTheBodyTimeout(t *testing.T) {
	server, url := startServer(t, sourcehttp.Options{BodyTimeout: 30 * time.Millisecond})
	out := sourcetest.NewOut()
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", server))
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.Run(t, source, out)
	post := func() answer {
		return send(t, http.MethodPost, url+"/hooks", map[string]string{"Content-Type": "application/json"}, `{"a":1}`)
	}
	sourcetest.Eventually(t, "mounted", func() bool { return post().status == 202 })
	unblock := out.Block()
	time.AfterFunc(150*time.Millisecond, unblock)
	if got := post(); got.status != 202 {
		t.Errorf("answer %d %s", got.status, got.body)
	}
}

// wantTurnedAway checks that one connection more is told why it is refused.
func wantTurnedAway(t *testing.T, server *sourcehttp.Server, status, message string) {
	t.Helper()
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 "+status+"\r\n") || !strings.Contains(string(text), `{"error":"`+message+`","request_id":"`) ||
		!strings.Contains(string(text), "\r\nRetry-After: 1\r\n") || !strings.Contains(string(text), "\r\nConnection: close\r\n") {
		t.Errorf("got %q, %v", text, err)
	}
}

func TestConnectionsOfOneAddressAreBounded(t *testing.T) {
	server, _ := startServer(t, sourcehttp.Options{MaxConnectionsPerAddress: 2})
	first, second := dial(t, server), dial(t, server)
	for _, conn := range []net.Conn{first, second} {
		wantAnswer(t, conn)
	}
	wantTurnedAway(t, server, "429 Too Many Requests", "your address has 2 connections open: at most that many")
	_ = first.Close()
	sourcetest.Eventually(t, "room for a connection", func() bool {
		conn := dial(t, server)
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		status, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.Contains(status, "404")
	})
}

func wantAnswer(t *testing.T, conn net.Conn) {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(status, "404") {
		t.Fatalf("got %q, %v", status, err)
	}
}

func TestConnectionsInTotalAreBounded(t *testing.T) {
	server, _ := startServer(t, sourcehttp.Options{MaxConnections: 1})
	first := dial(t, server)
	wantAnswer(t, first)
	wantTurnedAway(t, server, "503 Service Unavailable", "1 connections are open: at most that many")
	_ = first.Close()
	sourcetest.Eventually(t, "room for a connection", func() bool {
		conn := dial(t, server)
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		status, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.Contains(status, "404")
	})
}

// Many that say nothing, while there is no room, are turned away without
// taking any from those that speak; and the server ends all the same.
func TestTurnedAwayInSilence(t *testing.T) {
	server, _ := startServer(t, sourcehttp.Options{MaxConnections: 1})
	first := dial(t, server)
	wantAnswer(t, first)
	for range 200 {
		_ = dial(t, server)
	}
	wantAnswer(t, first)
}

func TestDrainWaitsForRequests(t *testing.T) {
	server := sourcehttp.NewServer(serverOptions())
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entered, finish := make(chan struct{}), make(chan struct{})
	if _, err := server.Handle("slow", "/slow", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-finish
		w.WriteHeader(http.StatusAccepted)
	})); err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	cancel()
	select {
	case err := <-ended:
		t.Fatalf("Run returned %v with a request under way", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	status, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || !strings.Contains(status, "202") {
		t.Errorf("got %q, %v", status, err)
	}
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

func TestDrainIsBounded(t *testing.T) {
	options := serverOptions()
	options.DrainTimeout = 50 * time.Millisecond
	server := sourcehttp.NewServer(options)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	entered, left := make(chan struct{}), make(chan struct{})
	if _, err := server.Handle("slow", "/slow", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(left)
		close(entered)
		<-r.Context().Done()
	})); err != nil {
		t.Fatal(err)
	}
	if err := server.Listen(ctx); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	conn := dial(t, server)
	if _, err := io.WriteString(conn, "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-entered
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
	<-left
}

func TestBodiesInTotalAreBounded(t *testing.T) {
	server, url := startServer(t, sourcehttp.Options{MaxBodies: 200}) // of which one address has half
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", server))
	if err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	sourcetest.Run(t, source, out)
	post := func(size int) answer {
		return send(t, http.MethodPost, url+"/hooks", map[string]string{"Content-Type": "text/plain"}, strings.Repeat("x", size))
	}
	sourcetest.Eventually(t, "mounted", func() bool { return post(1).status == 202 })
	got := post(101)
	wantRefusal(t, got, 503, "too many large requests at once")
	if retry := got.header.Get("Retry-After"); retry != "1" {
		t.Errorf("Retry-After %q", retry)
	}
	unblock := out.Block()
	first := make(chan answer, 1)
	go func() { first <- post(60) }()
	out.WaitBlocked(t, 1)
	wantRefusal(t, post(60), 503, "too many large requests at once")
	unblock()
	if got := <-first; got.status != 202 {
		t.Errorf("the first: %d %s", got.status, got.body)
	}
	sourcetest.Eventually(t, "room for the second", func() bool { return post(60).status == 202 })
}
