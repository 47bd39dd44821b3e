package s3

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"sluice/config"
	"sluice/sources"
	"sluice/sources/sourcetest"
)

func TestExercise(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Start: upstream})
}

func upstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	s := newServer(tb)
	var sent atomic.Int64
	return sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			cfg := NewConfig()
			cfg.Endpoint, cfg.Bucket, cfg.Interval = s.URL, bucket, config.Duration(time.Second)
			source, err := cfg.Source(sources.Env{Name: "uploads", Logger: slog.New(slog.DiscardHandler), Now: time.Now})
			if err != nil {
				tb.Fatal(err)
			}
			return source
		},
		Send: func(ctx context.Context, n int) error {
			for range n {
				key := fmt.Sprintf("k%d", sent.Add(1))
				if _, err := s.api.PutObject(ctx, bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil {
					return err
				}
			}
			return nil
		},
		Keeps: true,
	}
}
