package s3_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"go.uber.org/goleak"

	"sluice/config"
	"sluice/event"
	"sluice/sinks"
	sinks3 "sluice/sinks/s3"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const bucketName = "archive"

// A server is an S3 server in memory with one bucket. change, when it is not
// nil, may answer a request itself.
type server struct {
	*httptest.Server
	api *minio.Client

	mu       sync.Mutex
	change   func(w http.ResponseWriter, r *http.Request) bool
	requests []string // method, path and query
}

func serve(tb testing.TB) *server {
	tb.Helper()
	objects := gofakes3.New(s3mem.New()).Server()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.Method+" "+r.URL.String())
		change := s.change
		s.mu.Unlock()
		if change == nil || !change(w, r) {
			objects.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(s.Close)
	transport := &http.Transport{DisableCompression: true}
	tb.Cleanup(transport.CloseIdleConnections)
	api, err := minio.New(s.Listener.Addr().String(), &minio.Options{
		Creds: credentials.NewStaticV4("a", "b", ""), Transport: transport, Region: "us-east-1",
	})
	if err != nil {
		tb.Fatal(err)
	}
	s.api = api
	if err := api.MakeBucket(tb.Context(), bucketName, minio.MakeBucketOptions{}); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *server) answer(change func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.change = change
}

// seen returns the requests so far.
func (s *server) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// An object is one that is stored.
type object struct {
	key, text   string // the text is not compressed
	contentType string
	encoding    string
	metadata    map[string]string
}

// objects returns everything that is stored, by key.
func (s *server) objects(tb testing.TB) map[string]object {
	tb.Helper()
	all := map[string]object{}
	for info := range s.api.ListObjectsIter(tb.Context(), bucketName, minio.ListObjectsOptions{Recursive: true}) {
		if info.Err != nil {
			tb.Fatal(info.Err)
		}
		all[info.Key] = s.object(tb, info.Key)
	}
	return all
}

func (s *server) object(tb testing.TB, key string) object {
	tb.Helper()
	content, err := s.api.GetObject(tb.Context(), bucketName, key, minio.GetObjectOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = content.Close() }()
	body, err := io.ReadAll(content)
	if err != nil {
		tb.Fatal(err)
	}
	info, err := content.Stat()
	if err != nil {
		tb.Fatal(err)
	}
	encoding := info.Metadata.Get("Content-Encoding")
	return object{
		key: key, text: expand(tb, encoding, body), contentType: info.ContentType,
		encoding: encoding, metadata: info.UserMetadata,
	}
}

func expand(tb testing.TB, encoding string, body []byte) string {
	tb.Helper()
	var reader io.Reader = bytes.NewReader(body)
	switch encoding {
	case "gzip":
		r, err := gzip.NewReader(reader)
		if err != nil {
			tb.Fatal(err)
		}
		reader = r
	case "zstd":
		r, err := zstd.NewReader(reader, zstd.WithDecoderConcurrency(1))
		if err != nil {
			tb.Fatal(err)
		}
		defer r.Close()
		reader = r
	}
	text, err := io.ReadAll(reader)
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

// build returns a sink of the server's bucket that ends with the test.
func (s *server) build(tb testing.TB, change func(*sinks3.Config)) sinks.Sink {
	tb.Helper()
	c := sinks3.NewConfig()
	c.Endpoint, c.Bucket, c.Region = s.URL, bucketName, "us-east-1"
	c.AccessKey, c.SecretKey = config.NewSecret("key"), config.NewSecret("the secret")
	if change != nil {
		change(c)
	}
	built, err := c.Sink(sinks.Env{Name: "archive", Logger: slog.New(slog.DiscardHandler), Egress: "any"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := built.(sinks.Closer).Close(); err != nil {
			tb.Error(err)
		}
	})
	return built
}

func deliver(tb testing.TB, s sinks.Sink, a sinks.Attempt) error {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), 20*time.Second)
	defer cancel()
	_, err := s.Deliver(ctx, a)
	return err
}

func order(n int) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("o-%d", n), Source: "/shop", Type: "order.created", Subject: strconv.Itoa(n % 2),
		Time: time.Date(2026, 3, 1, n, 0, 0, 0, time.UTC), DataContentType: "application/json",
		Data: fmt.Appendf(nil, "{\"order\":\n%d}", n),
	}
}

// batch returns an attempt of some orders.
func batch(numbers ...int) sinks.Attempt {
	a := sinks.Attempt{Trigger: "keep", Claim: 1, Batch: true}
	for _, n := range numbers {
		a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("inc.%d.keep", n), Attempt: 2, Event: order(n)})
	}
	return a
}
