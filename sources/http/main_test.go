package http_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice/config"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "correct-horse-battery"

// secrets returns a list of secrets.
func secrets(all ...string) config.Secrets {
	list := make(config.Secrets, len(all))
	for i, text := range all {
		list[i] = config.NewSecret(text)
	}
	return list
}

// newConfig returns a configuration with its defaults and a path.
func newConfig(path string) *sourcehttp.Config {
	c := sourcehttp.Adapter().Config().(*sourcehttp.Config)
	c.Path = path
	return c
}

// startServer runs an ingest server until the test ends and returns its URL.
func startServer(tb testing.TB, options sourcehttp.Options) (*sourcehttp.Server, string) {
	tb.Helper()
	if options.Listen == "" {
		options.Listen = "127.0.0.1:0"
	}
	server := sourcehttp.NewServer(options)
	ctx, cancel := context.WithCancel(context.Background())
	if err := server.Listen(ctx); err != nil {
		cancel()
		tb.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			tb.Errorf("server: %v", err)
		}
	})
	return server, "http://" + server.Addr().String()
}

// startSource runs a source on a server of its own, and returns where it takes
// requests as soon as it does.
func startSource(tb testing.TB, c *sourcehttp.Config, out sources.Out) string {
	tb.Helper()
	server, url := startServer(tb, sourcehttp.Options{})
	source, err := c.Source(sourcetest.Env("hooks", server))
	if err != nil {
		tb.Fatal(err)
	}
	sourcetest.Run(tb, source, out)
	url += c.Path
	sourcetest.Eventually(tb, "mounted", func() bool { return send(tb, http.MethodGet, url, nil, "").status != http.StatusNotFound })
	return url
}

type answer struct {
	status int
	header http.Header
	body   string
}

// send makes one request on a connection of its own.
func send(tb testing.TB, method, url string, header map[string]string, body string) answer {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), sourcetest.Patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	request.Close = true
	for name, value := range header {
		request.Header.Set(name, value)
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return answer{status: response.StatusCode, header: response.Header, body: strings.TrimSpace(string(text))}
}

// startHandler runs a source until the test ends, and returns its handler, for
// requests without a connection.
func startHandler(tb testing.TB, c *sourcehttp.Config) (http.Handler, *sourcetest.Out) {
	tb.Helper()
	mux, out := make(handlers, 1), sourcetest.NewOut()
	source, err := c.Source(sourcetest.Env("hooks", mux))
	if err != nil {
		tb.Fatal(err)
	}
	sourcetest.Run(tb, source, out)
	return <-mux, out
}

// newRequest returns a request with a JSON body.
func newRequest(tb testing.TB, method, target, body string) *http.Request {
	tb.Helper()
	request := httptest.NewRequestWithContext(tb.Context(), method, target, strings.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	return request
}

// serve answers a request without a connection.
func serve(handler http.Handler, request *http.Request) answer {
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, request)
	return answer{status: recorder.Code, header: recorder.Header(), body: strings.TrimSpace(recorder.Body.String())}
}

func TestSuite(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Name: "http", Without: map[string]string{
		"order per key":  "requests are stored as they are accepted; senders have no other order",
		"server restart": "its senders are the upstream",
		"wrong settings": "a wrong path or token is the sender's, and answered with 404 or 401",
		"kill -9":        "TestKill50 in integration/ kills it under load",
	}, Start: func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		server, url := startServer(tb, sourcehttp.Options{})
		c := newConfig("/hooks")
		c.Token = secrets(token)
		sender := &sender{url: url + c.Path, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
		return sourcetest.Upstream{
			Source: func(tb testing.TB) sources.Source {
				tb.Helper()
				source, err := c.Source(sourcetest.Env("hooks", server))
				if err != nil {
					tb.Fatal(err)
				}
				return source
			},
			Send:  sender.send,
			Again: sender.again,
			Acked: func() int { return int(sender.acked.Load()) },
		}
	}})
}

// A sender posts events until each is accepted, as a webhook's sender does.
type sender struct {
	url      string
	client   *http.Client
	next     int
	lastSend int
	acked    atomic.Int64
}

func (s *sender) send(ctx context.Context, n int) error {
	s.lastSend = s.next
	for range n {
		if err := s.insist(ctx, s.next); err != nil {
			return err
		}
		s.next++
		s.acked.Add(1)
	}
	return nil
}

func (s *sender) again(ctx context.Context) error {
	for i := s.lastSend; i < s.next; i++ {
		if err := s.insist(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (s *sender) insist(ctx context.Context, i int) error {
	for {
		status, err := s.post(ctx, i)
		switch {
		case err != nil:
			return err
		case status == http.StatusAccepted:
			return nil
		case status != http.StatusServiceUnavailable && status != http.StatusNotFound:
			return fmt.Errorf("status %d", status)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (s *sender) post(ctx context.Context, i int) (int, error) {
	body := fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/sender","type":"made","data":%d}`, i, i)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/cloudevents+json")
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := s.client.Do(request)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, errors.Join(err, response.Body.Close())
}
