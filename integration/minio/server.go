//go:build integration

package minio

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"sluice/integration/freeport"
	"sluice/integration/server"
)

// The credentials of the root user.
const (
	User     = "sluice-root"
	Password = "sluice-root-secret"
)

const readyTimeout = time.Minute

// A Server is a MinIO process on a folder and a port.
type Server struct {
	*server.Server

	port int
}

// Start runs MinIO on dir until the test ends. Port 0 takes a free one. env
// holds additional settings, such as MINIO_COMPRESSION_ENABLE=on.
func Start(tb testing.TB, dir string, port int, env ...string) *Server {
	tb.Helper()
	if port == 0 {
		port = freeport.Port(tb)
	}
	s := &Server{port: port}
	s.Server = server.Start(tb, server.Options{
		Name:    "MinIO",
		Command: []string{Build(tb), "server", "--quiet", "--address", s.address(), dir},
		Env: append([]string{
			"MINIO_ROOT_USER=" + User, "MINIO_ROOT_PASSWORD=" + Password,
			"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on", "HOME=" + dir,
		}, env...),
		Ready: s.ready,
	})
	return s
}

// Endpoint returns the server's URL.
func (s *Server) Endpoint() string { return "http://" + s.address() }

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

func (s *Server) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/minio/health/cluster", http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		err = errors.New(answer.Status)
	}
	return errors.Join(err, answer.Body.Close())
}

// Client returns a client with the root user's credentials.
func (s *Server) Client(tb testing.TB) *client.Client {
	tb.Helper()
	transport, err := client.DefaultTransport(false)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(transport.CloseIdleConnections)
	c, err := client.New(s.address(), &client.Options{
		Creds: credentials.NewStaticV4(User, Password, ""), Region: "us-east-1", Transport: transport,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// MakeBucket creates a bucket, with versions when versioned.
func (s *Server) MakeBucket(tb testing.TB, name string, versioned bool) {
	tb.Helper()
	c := s.Client(tb)
	if err := c.MakeBucket(tb.Context(), name, client.MakeBucketOptions{}); err != nil {
		tb.Fatalf("bucket %s: %v", name, err)
	}
	if !versioned {
		return
	}
	if err := c.EnableVersioning(tb.Context(), name); err != nil {
		tb.Fatalf("versions of bucket %s: %v", name, err)
	}
}

// Put uploads an object, again and again while the server is away, and returns
// how it was stored. It may be called from any goroutine of the test.
func Put(tb testing.TB, c *client.Client, bucket, key, content string) client.UploadInfo {
	tb.Helper()
	deadline := time.Now().Add(readyTimeout)
	for {
		info, err := c.PutObject(tb.Context(), bucket, key, strings.NewReader(content), int64(len(content)), client.PutObjectOptions{})
		if err == nil {
			return info
		}
		if time.Now().After(deadline) {
			tb.Errorf("put %q: %v", key, err)
			return info
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Remove removes an object, again and again while the server is away. It may be
// called from any goroutine of the test.
func Remove(tb testing.TB, c *client.Client, bucket, key string) {
	tb.Helper()
	for deadline := time.Now().Add(readyTimeout); ; time.Sleep(20 * time.Millisecond) {
		err := c.RemoveObject(tb.Context(), bucket, key, client.RemoveObjectOptions{})
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Errorf("remove %q: %v", key, err)
			return
		}
	}
}
