//go:build integration

package s3source

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/minio"
	"sluice/sources"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

func TestMain(m *testing.M) {
	http.DefaultTransport.(*http.Transport).DisableKeepAlives = true
	adapters.Main(m)
}

// A source is an s3 source that runs.
type source struct {
	stop   func()
	health *health
	log    *log
}

// A log counts what the source says.
type log struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *log) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

func (l *log) wait(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); l.count(text) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the source has not said %q", text)
		}
	}
}

// A health keeps what the source reports, and a log what it says.
type health struct {
	mu   sync.Mutex
	last error
	all  []string
}

func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = err
	h.all = append(h.all, fmt.Sprint(err))
}

func (h *health) wait(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(sourcetest.Patience); ; time.Sleep(10 * time.Millisecond) {
		h.mu.Lock()
		last, all := fmt.Sprint(h.last), h.all
		h.mu.Unlock()
		if strings.Contains(last, text) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the health is %s, not %q; it was %q", last, text, all)
		}
	}
}

// run runs the source of a bucket until stop is called or the test ends.
func run(t *testing.T, server *minio.Server, bucket string, out sources.Out, change func(*s3.Config)) source {
	t.Helper()
	return runOn(t, server, bucket, out, nil, change)
}

// runOn is run with an ingest listener.
func runOn(t *testing.T, server *minio.Server, bucket string, out sources.Out, ingest sources.Mux, change func(*s3.Config)) source {
	t.Helper()
	cfg := s3.NewConfig()
	cfg.Endpoint, cfg.Bucket = server.Endpoint(), bucket
	cfg.AccessKey, cfg.SecretKey = config.NewSecret(minio.User), config.NewSecret(minio.Password)
	if change != nil {
		change(cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	h := &health{}
	said := &log{}
	logger := slog.New(slog.NewTextHandler(said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	built, err := cfg.Source(sources.Env{Name: "uploads", Logger: logger, Now: time.Now, Report: h.report, Ingest: ingest})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- built.Run(ctx, out) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Log(said.text.String())
		}
	})
	return source{stop: stop, health: h, log: said}
}

func every(d time.Duration) func(*s3.Config) {
	return func(c *s3.Config) { c.Interval = config.Duration(d) }
}

func listingOnly(c *s3.Config) { c.Interval, c.Listen = config.Duration(time.Second), "off" }

// whole renders events with their data, sorted by id.
func whole(events []event.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, fmt.Sprintf("%s %s %s %s %s %v %s", e.ID, e.Source, e.Type, e.Subject, e.Time, e.Extensions, e.Data))
	}
	slices.Sort(all)
	return all
}
