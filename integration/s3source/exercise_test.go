//go:build integration

package s3source

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	client "github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/integration/adapters"
	"sluice/integration/minio"
	"sluice/sources"
	"sluice/sources/s3"
	"sluice/sources/sourcetest"
)

func TestExercise(t *testing.T) {
	server := minio.Start(t, t.TempDir(), 0)
	sourcetest.Exercise(t, sourcetest.Fixture{
		Name: "s3", Kill: adapters.KillSource,
		Start: func(tb testing.TB) sourcetest.Upstream { tb.Helper(); return upstream(tb, server) },
		Without: map[string]string{
			"I5: same id twice": "a bucket has each version of an object once",
			"order per key":     "the objects of a bucket have no order; a key has only its last version",
		},
	})
}

func BenchmarkSource(b *testing.B) {
	server := minio.Start(b, b.TempDir(), 0)
	adapters.BenchSource(b, "s3", func(tb testing.TB) sourcetest.Upstream {
		tb.Helper()
		u, bucket := upstreamOf(tb, server)
		u.Source = func(tb testing.TB) sources.Source {
			tb.Helper()
			return build(tb, server, sourcetest.Env("uploads", nil), bucket, func(c *s3.Config) { c.Backfill = true })
		}
		return u
	})
}

// buckets counts how many were made.
var buckets atomic.Int64

// upstream is a new bucket of a server.
func upstream(tb testing.TB, server *minio.Server) sourcetest.Upstream {
	tb.Helper()
	u, _ := upstreamOf(tb, server)
	return u
}

func upstreamOf(tb testing.TB, server *minio.Server) (u sourcetest.Upstream, bucket string) {
	tb.Helper()
	bucket = fmt.Sprintf("things-%d", buckets.Add(1))
	server.MakeBucket(tb, bucket, false)
	c := server.Client(tb)
	var sent atomic.Int64
	send := func(ctx context.Context, n, size int) error {
		for range n {
			key := fmt.Sprintf("k%d", sent.Add(1))
			if _, err := c.PutObject(ctx, bucket, key, strings.NewReader(strings.Repeat("x", size)), int64(size), client.PutObjectOptions{}); err != nil {
				return err
			}
		}
		return nil
	}
	return sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			return build(tb, server, sourcetest.Env("uploads", nil), bucket, nil)
		},
		Section: fmt.Sprintf("s3: {endpoint: %q, bucket: %s, access_key: %s, secret_key: %s, interval: 1s}",
			server.Endpoint(), bucket, minio.User, minio.Password),
		Send:    func(ctx context.Context, n int) error { return send(ctx, n, 1) },
		Fill:    send,
		Keeps:   true,
		Exact:   true,
		Restart: server.Restart,
		Wrong: []sourcetest.Wrong{
			{Name: "no such bucket", Want: "missing", Source: func(tb testing.TB, env sources.Env) sources.Source {
				tb.Helper()
				return build(tb, server, env, "missing", nil)
			}},
			{Name: "wrong secret", Want: "secret_key", Source: func(tb testing.TB, env sources.Env) sources.Source {
				tb.Helper()
				return build(tb, server, env, bucket, func(c *s3.Config) { c.SecretKey = config.NewSecret("wrong") })
			}},
		},
	}, bucket
}

func build(tb testing.TB, server *minio.Server, env sources.Env, bucket string, change func(*s3.Config)) sources.Source {
	tb.Helper()
	cfg := s3.NewConfig()
	cfg.Endpoint, cfg.Bucket, cfg.Interval = server.Endpoint(), bucket, config.Duration(time.Second)
	cfg.AccessKey, cfg.SecretKey = config.NewSecret(minio.User), config.NewSecret(minio.Password)
	if change != nil {
		change(cfg)
	}
	source, err := cfg.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return source
}
