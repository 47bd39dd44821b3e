package devs3

import (
	"context"
	"log/slog"
	"net/http"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs an endpoint on a folder until the test ends.
func start(t *testing.T, dir string, buckets ...string) *Server {
	t.Helper()
	s, stop := startStoppable(t, dir, buckets...)
	t.Cleanup(stop)
	return s
}

func startStoppable(t *testing.T, dir string, buckets ...string) (*Server, func()) {
	t.Helper()
	s, err := New(t.Context(), Options{Dir: dir, Listen: "127.0.0.1:0", Buckets: buckets, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stopped := false
	return s, func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	}
}

// connect returns an S3 client as any tool would have it.
func connect(t *testing.T, s *Server) *minio.Client {
	t.Helper()
	base, err := minio.DefaultTransport(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(base.CloseIdleConnections)
	c, err := minio.New(s.Addr(), &minio.Options{
		Creds: credentials.NewStaticV4("any", "anything", ""), Transport: base, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
