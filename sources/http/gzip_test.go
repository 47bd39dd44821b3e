package http_test

import (
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/event"
	sourcehttp "sluice/sources/http"
	"sluice/sources/sourcetest"
)

func zipped(tb testing.TB, body string) string {
	tb.Helper()
	var out bytes.Buffer
	writer := gzip.NewWriter(&out)
	if _, err := writer.Write([]byte(body)); err != nil {
		tb.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.String()
}

// postZipped sends a body with the encoding gzip.
func postZipped(tb testing.TB, handler http.Handler, contentType, body string) answer {
	tb.Helper()
	request := newRequest(tb, http.MethodPost, "/hooks", body)
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Content-Encoding", "gzip")
	return serve(handler, request)
}

func TestGzip(t *testing.T) {
	handler, out := startHandler(t, newConfig("/hooks"))
	random := make([]byte, 300<<10)
	_, _ = rand.Read(random)
	for i, body := range []string{`{"a":1}`, strings.Repeat("x", 64<<10), string(random)} {
		contentType := "text/plain"
		if i == 0 {
			contentType = "application/json"
		}
		if got := postZipped(t, handler, contentType, zipped(t, body)); got.status != 202 {
			t.Fatalf("answer %d %s", got.status, got.body)
		}
		if e := out.Events()[i]; string(e.Data) != body {
			t.Errorf("%d bytes, want %d", len(e.Data), len(body))
		}
	}
	if got := postZipped(t, handler, event.MediaTypeJSON, zipped(t, jsonEvent)); got.status != 202 || got.body != `{"accepted":1,"ids":["1"]}` {
		t.Errorf("a CloudEvent: %d %s", got.status, got.body)
	}
}

func TestGzipRefuses(t *testing.T) {
	c := newConfig("/hooks")
	c.MaxBody = 4 << 20
	handler, out := startHandler(t, c)
	whole := zipped(t, `{"a":1}`)
	damaged := []byte(whole)
	damaged[len(damaged)-8] ^= 1
	bomb := zipped(t, strings.Repeat("x", 3<<20))
	for _, c := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"empty", "", 400, "the body is no gzip: EOF"},
		{"no gzip", `{"a":1}`, 400, "the body is no gzip: unexpected EOF"},
		{"no gzip, longer", strings.Repeat("x", 64), 400, "the body is no gzip: gzip: invalid header"},
		{"cut off", whole[:len(whole)-3], 400, "the body is no gzip: unexpected EOF"},
		{"damaged", string(damaged), 400, "the body is no gzip: gzip: invalid checksum"},
		{"garbage behind", whole + strings.Repeat("x", 20), 400, "the body is no gzip: gzip: invalid header"},
		{"grows too much", bomb, 413, "the body grows to more than 100 times its size"},
		{"many small ones", strings.Repeat(zipped(t, strings.Repeat("x", 60<<10)), 60), 413, "the body grows to more than 100 times its size"},
		{"empty inside", zipped(t, ""), 400, "the body is empty: send a CloudEvent or some data"},
		{"no JSON inside", zipped(t, "{"), 400, "Content-Type says JSON, but the body is not: unexpected end of JSON input"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wantRefusal(t, postZipped(t, handler, "application/json", c.body), c.status, c.message)
		})
	}
	for _, encodings := range [][]string{{"br"}, {"gzip, gzip"}, {"gzip", "gzip"}, {"deflate"}, {"identity", "gzip"}} {
		request := newRequest(t, http.MethodPost, "/hooks", whole)
		request.Header["Content-Encoding"] = encodings
		got := serve(handler, request)
		if got.status != 415 || got.header.Get("Accept-Encoding") != "gzip, identity" {
			t.Errorf("%q: %d %s", encodings, got.status, got.body)
		}
	}
	if n := len(out.Events()); n != 0 {
		t.Errorf("%d events", n)
	}
}

func TestGzipTooLarge(t *testing.T) {
	random := make([]byte, 40<<10)
	_, _ = rand.Read(random)
	c := newConfig("/hooks")
	c.MaxBody = 64 << 10
	handler, _ := startHandler(t, c)
	body := zipped(t, string(random)+strings.Repeat("x", 30<<10))
	if len(body) > int(c.MaxBody) {
		t.Fatalf("%d bytes", len(body))
	}
	wantRefusal(t, postZipped(t, handler, "text/plain", body), 413, "the body is too large: at most 64KiB")
}

// What a body grows to counts against the bytes of all bodies.
func TestGzipCountsAgainstAllBodies(t *testing.T) {
	server, url := startServer(t, sourcehttp.Options{MaxBodies: 20 << 10})
	source, err := newConfig("/hooks").Source(sourcetest.Env("hooks", server))
	if err != nil {
		t.Fatal(err)
	}
	sourcetest.Run(t, source, sourcetest.NewOut())
	post := func(size int) answer {
		header := map[string]string{"Content-Type": "text/plain", "Content-Encoding": "gzip"}
		return send(t, http.MethodPost, url+"/hooks", header, zipped(t, strings.Repeat("x", size)))
	}
	sourcetest.Eventually(t, "mounted", func() bool { return post(1).status == 202 })
	wantRefusal(t, post(20<<10), 503, "too many large requests at once")
	sourcetest.Eventually(t, "room again", func() bool { return post(5<<10).status == 202 })
}

// What is signed are the bytes as they came: nothing is inflated before.
func TestGzipIsSignedAsItCame(t *testing.T) {
	c := signedSources()["github"]
	handler, out := startHandler(t, c)
	body := zipped(t, `{"a":1}`)
	for _, signed := range []string{body, `{"a":1}`} {
		request := newRequest(t, http.MethodPost, c.Path, body)
		request.Header = signedHeader(c, "1", signed, time.Now())
		request.Header.Set("Content-Encoding", "gzip")
		if got := serve(handler, request); (got.status == 202) != (signed == body) {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	}
	if n := len(out.Events()); n != 1 {
		t.Errorf("%d events", n)
	}
}
