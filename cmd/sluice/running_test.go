package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/integration/freeport"
)

const patience = 20 * time.Second

// A lockedBuffer is output that a test reads while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// An installation is a service that runs from a file, with a worker that fails
// for events whose type contains "bad" until it is mended.
type installation struct {
	t      *testing.T
	path   string
	text   string // of the file
	server string // of the admin listener
	ingest string
	got    atomic.Int64
	mended atomic.Bool
	out    lockedBuffer
	stop   func() int
	env    map[string]string
}

const installationFile = `admin: {listen: "ADMIN"}
ingest: {listen: "INGEST"}
bus: {max_bytes: 64MiB}
sources:
  orders: {http: {path: /orders, token: 0123456789abcdef}}
functions:
  work: {http: {url: "WORKER"}}
triggers:
  all: {on: orders, to: work, retry: {attempts: 2, initial: 1ms, max: 1ms}}
  big:
    on: orders
    when: {data: {size: [{numeric: [">", 100]}]}}
    to: work
`

// install starts "sluice up", or another command that runs the file.
func install(t *testing.T, command string, change func(string) string) *installation {
	t.Helper()
	in := &installation{t: t, env: map[string]string{}}
	worker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("Ce-Type"), "bad") && !in.mended.Load() {
			http.Error(w, "no\x1b[31m", http.StatusServiceUnavailable)
			return
		}
		in.got.Add(1)
	}))
	t.Cleanup(worker.Close)
	admin := freeport.Address(t)
	in.server, in.ingest = "http://"+admin, freeport.Address(t)
	in.path = filepath.Join(t.TempDir(), "sluice.yaml")
	text := strings.NewReplacer("ADMIN", admin, "INGEST", in.ingest, "WORKER", worker.URL).Replace(installationFile)
	if change != nil {
		text = change(text)
	}
	in.write(text)
	in.start(command)
	return in
}

func (in *installation) write(text string) {
	in.t.Helper()
	in.text = text
	if err := os.WriteFile(in.path, []byte(text), 0o600); err != nil {
		in.t.Fatal(err)
	}
}

// start runs the command until stop, and waits until it is ready.
func (in *installation) start(command string) {
	in.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan int, 1)
	a := &app{stdin: strings.NewReader(""), stdout: &in.out, stderr: &in.out, lookup: in.lookup}
	go func() { ended <- run(ctx, a, []string{command, "-c", in.path}) }()
	in.stop = sync.OnceValue(func() int {
		cancel()
		select {
		case code := <-ended:
			return code
		case <-time.After(patience):
			in.t.Errorf("sluice %s has not stopped", command)
			return -1
		}
	})
	in.t.Cleanup(func() { in.stop() })
	in.eventually("ready", func() bool {
		request, err := http.NewRequestWithContext(in.t.Context(), http.MethodGet, in.server+"/readyz", nil)
		if err != nil {
			in.t.Fatal(err)
		}
		request.Close = true
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return false
		}
		defer func() { _ = answer.Body.Close() }()
		return answer.StatusCode == http.StatusOK
	})
}

// app is the world of a command that prints nothing of interest.
func (in *installation) app() *app {
	return &app{stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard, lookup: in.lookup}
}

func (in *installation) lookup(name string) (string, bool) {
	if name == envServer {
		return in.server, true
	}
	value, ok := in.env[name]
	return value, ok
}

func (in *installation) eventually(what string, is func() bool) {
	in.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			in.t.Fatalf("not reached: %s\noutput:\n%s", what, in.out.String())
		}
	}
}

// do runs a command and returns what it prints, standard error after standard
// output, and its exit code.
func (in *installation) do(args ...string) (output string, code int) {
	in.t.Helper()
	return in.doWith(in.t.Context(), args...)
}

func (in *installation) doWith(ctx context.Context, args ...string) (output string, code int) {
	var stdout, stderr lockedBuffer
	a := &app{stdin: strings.NewReader(""), stdout: &stdout, stderr: &stderr, lookup: in.lookup}
	code = run(ctx, a, args)
	return stdout.String() + stderr.String(), code
}

// send sends one event and returns what is printed.
func (in *installation) send(args ...string) (string, int) {
	in.t.Helper()
	return in.do(append([]string{"send", "orders", "-c", in.path}, args...)...)
}

// want compares the output of a command with the parts of it that change from
// run to run replaced.
func (in *installation) want(want string, wantCode int, args ...string) {
	in.t.Helper()
	got, code := in.do(args...)
	if got = steady(got, in); got != want || code != wantCode {
		in.t.Errorf("sluice %s: exit code %d, want %d, and\n%s\nwant\n%s", strings.Join(args, " "), code, wantCode, got, want)
	}
}

var changing = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[A-Za-z0-9]{22}\.(\d+)\.`), "LOG.$1."},
	{regexp.MustCompile(`(dlq|replay)-\d{8}-\d{6}-[a-z0-9]{6}`), "JOB"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?`), "TIME"},
	{regexp.MustCompile(`\b(now|\d+ seconds? ago)\b`), "AGO"},
	{regexp.MustCompile(`\b[0-9.]+(µs|ms)\b`), "SPAN"},
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "UUID"},
	{regexp.MustCompile(` {2,}`), "  "},
}

func steady(text string, in *installation) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.with)
	}
	return strings.NewReplacer(in.server, "SERVER", in.ingest, "INGEST", in.path, "FILE").Replace(text)
}

// post sends a body to a path of the admin listener, and returns status and
// body.
func (in *installation) request(method, path, body string, header ...string) (int, string) {
	in.t.Helper()
	request, err := http.NewRequestWithContext(in.t.Context(), method, in.server+path, strings.NewReader(body))
	if err != nil {
		in.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			request.Host = header[i+1]
		}
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		in.t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	return answer.StatusCode, strings.TrimSpace(string(text))
}
