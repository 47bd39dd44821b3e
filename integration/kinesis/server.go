//go:build integration

package kinesis

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/integration/freeport"
	"sluice/integration/server"
)

// The credentials, of which kinesalite only checks that there are some.
const (
	AccessKey = "AKIASLUICE"
	SecretKey = "sluice-secret"
)

// streamsWithin is how long a stream may take to be made or changed.
const streamsWithin = 30 * time.Second

// A Server is a kinesalite on a folder.
type Server struct {
	*server.Server
	port int
}

// Start runs kinesalite until the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s := &Server{port: freeport.Port(tb)}
	s.Server = server.Start(tb, server.Options{
		Name: "kinesalite",
		Command: []string{
			"node", Install(tb), "--port", strconv.Itoa(s.port), "--path", tb.TempDir(),
			"--createStreamMs", "10", "--deleteStreamMs", "10", "--updateStreamMs", "10", "--shardLimit", "1000",
		},
		Ready: s.ready,
	})
	return s
}

// Endpoint returns the server's URL.
func (s *Server) Endpoint() string { return fmt.Sprintf("http://127.0.0.1:%d", s.port) }

func (s *Server) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Endpoint(), http.NoBody)
	if err != nil {
		return err
	}
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}

// Client returns a client of the server. What it opens ends with the test.
func (s *Server) Client(tb testing.TB) *kinesis.Client {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return kinesis.New(kinesis.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(s.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider(AccessKey, SecretKey, ""),
		HTTPClient:  &http.Client{Transport: transport}, RetryMaxAttempts: 10,
	})
}

// Create makes a stream, and returns when it can be used.
func Create(tb testing.TB, c *kinesis.Client, stream string, shards int32) {
	tb.Helper()
	if _, err := c.CreateStream(tb.Context(), &kinesis.CreateStreamInput{StreamName: &stream, ShardCount: &shards}); err != nil {
		tb.Fatalf("stream %s: %v", stream, err)
	}
	Await(tb, c, stream)
}

// Await waits until a stream is active.
func Await(tb testing.TB, c *kinesis.Client, stream string) {
	tb.Helper()
	for deadline := time.Now().Add(streamsWithin); ; time.Sleep(5 * time.Millisecond) {
		answer, err := c.DescribeStreamSummary(tb.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream})
		if err == nil && answer.StreamDescriptionSummary.StreamStatus == types.StreamStatusActive {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("stream %s is not active: %v", stream, err)
		}
	}
}

// Delete deletes a stream, and returns when it is gone.
func Delete(tb testing.TB, c *kinesis.Client, stream string) {
	tb.Helper()
	if _, err := c.DeleteStream(tb.Context(), &kinesis.DeleteStreamInput{StreamName: &stream}); err != nil {
		tb.Fatalf("stream %s: %v", stream, err)
	}
	for deadline := time.Now().Add(streamsWithin); ; time.Sleep(5 * time.Millisecond) {
		if _, err := c.DescribeStreamSummary(tb.Context(), &kinesis.DescribeStreamSummaryInput{StreamName: &stream}); err != nil {
			return
		}
		if time.Now().After(deadline) {
			tb.Fatalf("stream %s is not gone", stream)
		}
	}
}
