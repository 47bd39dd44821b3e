package service_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/cmd/sluice/internal/service"
)

// TestReloadsUnderLoadLoseNothing changes the function, its trigger and another
// source again and again while events come in.
func TestReloadsUnderLoadLoseNothing(t *testing.T) {
	const reloads, least = 40, 200
	dir := t.TempDir()
	url, got := worker(t)
	text := strings.ReplaceAll(oneTrigger, "URL", url)
	s, _ := run(t, load(t, dir, text))
	var sent atomic.Int64
	done := make(chan struct{})
	var sending sync.WaitGroup
	for range 4 {
		sending.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				if status := post(t, "http://"+s.IngestAddr()+"/orders", "{}"); status != http.StatusAccepted {
					t.Errorf("status %d", status)
					return
				}
				sent.Add(1)
			}
		})
	}
	for n := range reloads {
		changed := strings.Replace(text, "to: work", "to: work, concurrency: "+strconv.Itoa(n+1), 1)
		changed = strings.Replace(changed, url, url+"/"+strconv.Itoa(n), 1)
		changed = strings.Replace(changed, "sources:", "sources:\n  other: {http: {path: /other"+strconv.Itoa(n)+"}}", 1)
		if _, err := s.Reload(t.Context(), load(t, dir, changed)); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "enough events", func() bool { return sent.Load() >= least })
	close(done)
	sending.Wait()
	eventually(t, "every event is delivered", func() bool { return got.Load() >= sent.Load() })
	audit, err := client(t, s).Audit(t.Context())
	if err != nil || !audit.Conserved {
		t.Errorf("audit: %+v, %v", audit, err)
	}
	if got.Load() != sent.Load() {
		t.Errorf("%d events were delivered %d times", sent.Load(), got.Load())
	}
}

// TestStopIsBounded stops a service whose worker hangs.
func TestStopIsBounded(t *testing.T) {
	release, called := make(chan struct{}), make(chan struct{}, 1)
	hanging := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		called <- struct{}{}
		<-release
	}))
	defer hanging.Close()
	defer close(release)
	file := load(t, t.TempDir(), strings.ReplaceAll(oneTrigger, "URL", hanging.URL))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s, err := service.Open(ctx, service.Options{File: file, Logger: slog.New(slog.DiscardHandler), Drain: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	<-s.Ready()
	post(t, "http://"+s.IngestAddr()+"/orders", "{}")
	<-called
	began := time.Now()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Fatal("it did not stop")
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %v", took)
	}
}

// TestRunEndsAtOnceWhenItIsStoppedWhileStarting cancels before Run.
func TestRunEndsAtOnceWhenItIsStoppedWhileStarting(t *testing.T) {
	file := load(t, t.TempDir(), strings.ReplaceAll(oneTrigger, "URL", "http://127.0.0.1:1"))
	s, err := service.Open(t.Context(), service.Options{File: file, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
