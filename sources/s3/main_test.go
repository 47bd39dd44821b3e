package s3

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
	sourcehttp "sluice/sources/http"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucket = "photos"

// A server is an S3 server in memory with one bucket. change, when it is not
// nil, may answer a request itself.
type server struct {
	*httptest.Server
	api *minio.Client

	mu     sync.Mutex
	change func(w http.ResponseWriter, r *http.Request) bool
}

func newServer(tb testing.TB) *server {
	tb.Helper()
	objects := gofakes3.New(s3mem.New()).Server()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		change := s.change
		s.mu.Unlock()
		if change == nil || !change(w, r) {
			objects.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(s.Close)
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	api, err := minio.New(s.Listener.Addr().String(), &minio.Options{
		Creds: credentials.NewStaticV4("a", "b", ""), Transport: transport, Region: "us-east-1",
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.api = api
	if err := api.MakeBucket(tb.Context(), bucket, minio.MakeBucketOptions{}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *server) answer(change func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = change
}

func (s *server) put(t *testing.T, key, content string) {
	t.Helper()
	_, err := s.api.PutObject(t.Context(), bucket, key, strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		t.Fatalf("put %q: %v", key, err)
	}
}

// A running source, with what it reports and says.
type running struct {
	stop   func()
	ingest *sourcehttp.Server // where notifications are pushed to

	mu     sync.Mutex
	health []string
	said   strings.Builder
}

func (r *running) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.Write(p)
}

func (r *running) report(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.health = append(r.health, fmt.Sprint(err))
}

func (r *running) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.said.String()
}

func (r *running) waitHealth(t *testing.T, text string) string {
	t.Helper()
	last := ""
	waitFor(t, "health "+text, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.health) > 0 {
			last = r.health[len(r.health)-1]
		}
		return strings.Contains(last, text)
	})
	return last
}

func (r *running) waitLog(t *testing.T, text string, times int) {
	t.Helper()
	waitFor(t, "log "+text, func() bool { return strings.Count(r.log(), text) >= times })
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after %v: no %s", sourcetest.Patience, what)
		}
	}
}

// runSource runs a source of the server's bucket until stop is called or the test
// ends.
func runSource(t *testing.T, s *server, out sources.Out, change func(*Config)) *running {
	t.Helper()
	cfg := NewConfig()
	cfg.Endpoint, cfg.Bucket, cfg.Interval = s.URL, bucket, config.Duration(time.Second)
	if change != nil {
		change(cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	r := &running{ingest: newIngest(t)}
	logger := slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	built, err := cfg.Source(sources.Env{Name: "uploads", Logger: logger, Now: time.Now, Report: r.report, Ingest: r.ingest})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- built.Run(ctx, out) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(r.stop)
	if cfg.Notify != nil {
		waitFor(t, "path", func() bool { status, _ := r.send(http.MethodHead, pushToken, ""); return status != http.StatusNotFound })
	}
	return r
}

// newIngest runs an ingest server until the test ends.
func newIngest(t *testing.T) *sourcehttp.Server {
	t.Helper()
	ingest := sourcehttp.NewServer(sourcehttp.Options{Listen: "127.0.0.1:0"})
	ctx, cancel := context.WithCancel(context.Background())
	if err := ingest.Listen(ctx); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- ingest.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("ingest: %v", err)
		}
	})
	return ingest
}

func subjects(events []event.Event) []string {
	found := make([]string, 0, len(events))
	for _, e := range events {
		found = append(found, e.Subject)
	}
	return found
}
