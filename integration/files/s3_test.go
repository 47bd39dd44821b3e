//go:build integration

package files

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"

	client "github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/minio"
	"sluice/sinks"
	"sluice/sinks/s3"
	"sluice/sinks/sinktest"
)

const bucketName = "archive"

// bucketStore runs the sink with an object for each delivery.
func bucketStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	return keyedStore(tb, `{{ .partitionkey // "none" }}/{{ .sluicedelivery }}`)
}

func keyedStore(tb testing.TB, key string) sinktest.Store {
	tb.Helper()
	server := minio.Start(tb, tb.TempDir(), 0)
	server.MakeBucket(tb, bucketName, false)
	known := &reading{api: server.Client(tb), read: map[string][]sinktest.Received{}}
	in := func(change func(*s3.Config)) func(testing.TB) sinks.Sink {
		return func(tb testing.TB) sinks.Sink {
			tb.Helper()
			c := s3.NewConfig()
			c.Endpoint, c.Bucket, c.Key, c.Region = server.Endpoint(), bucketName, key, "us-east-1"
			c.AccessKey, c.SecretKey = config.NewSecret(minio.User), config.NewSecret(minio.Password)
			change(c)
			return build(tb, c)
		}
	}
	return sinktest.Store{
		Sink: in(func(*s3.Config) {}),
		Section: fmt.Sprintf(`s3: {endpoint: %q, bucket: %s, region: us-east-1, access_key: %s, secret_key: %s, key: %q}`,
			server.Endpoint(), bucketName, minio.User, minio.Password, key),
		Stored:  known.objects,
		Restart: server.Restart, Crash: server.Crash,
		Hold: func(tb testing.TB) func() {
			tb.Helper()
			server.Pause(tb)
			return func() { server.Resume(tb) }
		},
		Bad: badPath, Batches: true, Once: true, Unordered: true,
		Wrong: []sinktest.Wrong{
			{Name: "wrong secret", Sink: in(func(c *s3.Config) { c.SecretKey = config.NewSecret("wrong") }), Want: "check access_key and secret_key"},
			{Name: "unknown user", Sink: in(func(c *s3.Config) { c.AccessKey = config.NewSecret("nobody") }), Want: "check access_key and secret_key"},
			{Name: "anonymous", Sink: in(func(c *s3.Config) { c.AccessKey, c.SecretKey = config.Secret{}, config.Secret{} }), Want: "may not be written to anonymously"},
			{Name: "no bucket", Sink: in(func(c *s3.Config) { c.Bucket = "nowhere" }), Want: `bucket "nowhere" does not exist`},
		},
	}
}

// A reading keeps what was read of a bucket, by key and etag.
type reading struct {
	api *client.Client

	mu   sync.Mutex
	read map[string][]sinktest.Received
}

// objects returns what is in the bucket, or nothing while the server is away.
func (r *reading) objects(tb testing.TB) []sinktest.Received {
	tb.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []sinktest.Received
	for info := range r.api.ListObjectsIter(tb.Context(), bucketName, client.ListObjectsOptions{Recursive: true}) {
		if info.Err != nil {
			return nil
		}
		id := info.Key + " " + info.ETag
		if r.read[id] == nil {
			text, err := r.object(tb, info.Key)
			if err != nil {
				return nil
			}
			r.read[id] = lines(tb, text)
		}
		all = append(all, r.read[id]...)
	}
	return all
}

func (r *reading) object(tb testing.TB, key string) (string, error) {
	tb.Helper()
	content, err := r.api.GetObject(tb.Context(), bucketName, key, client.GetObjectOptions{})
	if err != nil {
		return "", err
	}
	defer func() { _ = content.Close() }()
	text, err := io.ReadAll(content)
	return string(text), err
}

// TestS3Sink runs the suite with the real program and MinIO.
func TestS3Sink(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "s3", Start: bucketStore, Kill: adapters.KillSink,
		Without: map[string]string{"order per key": "objects have no order among each other; a batch's lines stand in its order, as the unit tests show"},
	})
}

// TestS3Batches writes a large batch, in parts, to a real server.
func TestS3Batches(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	for _, compression := range []s3.Compression{s3.None, s3.Gzip, s3.Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			bucket := "archive-" + string(compression)
			server.MakeBucket(t, bucket, false)
			c := s3.NewConfig()
			c.Endpoint, c.Bucket, c.Compression = server.Endpoint(), bucket, compression
			c.AccessKey, c.SecretKey = config.NewSecret(minio.User), config.NewSecret(minio.Password)
			s := build(t, c)
			defer func() { _ = s.(sinks.Closer).Close() }()
			a := sinks.Attempt{Trigger: "keep", Claim: 1, Batch: true}
			for n := range 2000 {
				e := &event.Event{ID: strconv.Itoa(n), Source: "/s", Type: "t", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d,"pad":%q}`, n, strings.Repeat("x", 8<<10))}
				a.Deliveries = append(a.Deliveries, sinks.Delivery{ID: fmt.Sprintf("i.%d.keep", n), Attempt: 1, Event: e})
			}
			if _, err := s.Deliver(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			var keys []string
			api := server.Client(t)
			for info := range api.ListObjectsIter(t.Context(), bucket, client.ListObjectsOptions{Recursive: true}) {
				keys = append(keys, info.Key)
				stat, err := api.StatObject(t.Context(), bucket, info.Key, client.StatObjectOptions{})
				want := map[s3.Compression]string{s3.Gzip: "gzip", s3.Zstd: "zstd"}[compression]
				if err != nil || stat.Metadata.Get("Content-Encoding") != want || stat.UserMetadata["Sluice-Events"] != "2000" {
					t.Errorf("%q has the encoding %q and %v: %v", info.Key, stat.Metadata.Get("Content-Encoding"), stat.UserMetadata, err)
				}
			}
			if len(keys) != 1 {
				t.Errorf("stored %q", keys)
			}
		})
	}
}
