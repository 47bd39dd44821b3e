//go:build integration

package minio

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// The credentials of the root user.
const (
	User     = "sluice-root"
	Password = "sluice-root-secret"
)

const (
	readyTimeout = time.Minute
	stopTimeout  = 20 * time.Second
)

// A Server is a MinIO process on a folder. It can be stopped, killed and
// started again, on the same folder and port. It is not for use by several
// goroutines at once.
type Server struct {
	binary string
	dir    string
	port   int
	env    []string

	command *exec.Cmd
	exited  chan error
	output  *output
}

// Start runs MinIO on dir until the test ends. Port 0 takes a free one. env
// holds additional settings, such as MINIO_COMPRESSION_ENABLE=on.
func Start(tb testing.TB, dir string, port int, env ...string) *Server {
	tb.Helper()
	if port == 0 {
		port = freePort(tb)
	}
	s := &Server{binary: Build(tb), dir: dir, port: port, env: env, output: &output{}}
	tb.Cleanup(func() { s.Kill(tb) })
	s.Restart(tb)
	return s
}

func freePort(tb testing.TB) int {
	tb.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}

// Endpoint returns the server's URL.
func (s *Server) Endpoint() string { return "http://" + s.address() }

func (s *Server) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// Restart stops the server when it runs, starts it, and waits until it is ready.
func (s *Server) Restart(tb testing.TB) {
	tb.Helper()
	s.Stop(tb)
	// Not bound to the test's context: that ends before the clean-up stops it.
	s.command = exec.Command(s.binary, "server", "--quiet", "--address", s.address(), s.dir) //nolint:noctx // see above
	s.command.Env = append(os.Environ(),
		"MINIO_ROOT_USER="+User, "MINIO_ROOT_PASSWORD="+Password,
		"MINIO_BROWSER=off", "MINIO_UPDATE=off", "MINIO_CI_CD=on", "HOME="+s.dir)
	s.command.Env = append(s.command.Env, s.env...)
	s.command.Stdout, s.command.Stderr = s.output, s.output
	if err := s.command.Start(); err != nil {
		tb.Fatalf("MinIO does not start: %v", err)
	}
	exited := make(chan error, 1)
	command := s.command
	go func() { exited <- command.Wait() }()
	s.exited = exited
	s.waitReady(tb)
}

func (s *Server) waitReady(tb testing.TB) {
	tb.Helper()
	deadline := time.Now().Add(readyTimeout)
	for !s.ready(tb.Context()) {
		select {
		case err := <-s.exited:
			s.command = nil
			tb.Fatalf("MinIO has ended: %v\n%s", err, s.output)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("MinIO is not ready after %v\n%s", readyTimeout, s.output)
		}
	}
}

func (s *Server) ready(ctx context.Context) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint()+"/minio/health/cluster", http.NoBody)
	if err != nil {
		return false
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	return answer.Body.Close() == nil && answer.StatusCode == http.StatusOK
}

// Stop ends the server as a service manager would, and waits for it.
func (s *Server) Stop(tb testing.TB) {
	tb.Helper()
	s.end(tb, syscall.SIGTERM)
}

// Kill ends the server with SIGKILL, and waits for it.
func (s *Server) Kill(tb testing.TB) {
	tb.Helper()
	s.end(tb, syscall.SIGKILL)
}

func (s *Server) end(tb testing.TB, how syscall.Signal) {
	tb.Helper()
	if s.command == nil {
		return
	}
	_ = s.command.Process.Signal(how) // it may have ended on its own
	select {
	case <-s.exited:
	case <-time.After(stopTimeout):
		_ = s.command.Process.Kill()
		<-s.exited
		tb.Errorf("MinIO did not end within %v of %v", stopTimeout, how)
	}
	s.command = nil
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

// An output keeps the last lines of what the server says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const maxOutput = 64 << 10

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len() > maxOutput {
		o.text.Reset()
	}
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return "MinIO said:\n" + o.text.String()
}
