package http_test

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// worker is a server that costs as little as possible.
func worker(b *testing.B) string {
	b.Helper()
	return rawServer(b, func(_ int, c net.Conn, r *bufio.Reader) {
		var req fasthttp.Request
		for req.Read(r) == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
		}
	})
}

// BenchmarkDispatch sends a small event from 64 goroutines, as the sink does it
// and as net/http does it, to the same worker.
func BenchmarkDispatch(b *testing.B) {
	url := worker(b)
	b.Run("sink", func(b *testing.B) {
		s := build(b, url)
		a := attempt(sample())
		inParallel(b, func(ctx context.Context) error {
			_, err := s.Deliver(ctx, a)
			return err
		})
	})
	b.Run("templates", func(b *testing.B) {
		s := build(b, url+"/{{ .data.key }}", withHeader("X-Id", "{{ .id }}"))
		a := attempt(sample())
		inParallel(b, func(ctx context.Context) error {
			_, err := s.Deliver(ctx, a)
			return err
		})
	})
	b.Run("net-http", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
		defer client.CloseIdleConnections()
		e := sample()
		inParallel(b, func(ctx context.Context) error {
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(e.Data))
			if err != nil {
				return err
			}
			e.HTTPHeaders(req.Header.Set)
			resp, err := client.Do(req)
			if err != nil {
				return err
			}
			_, err = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			return err
		})
	})
}

func inParallel(b *testing.B, once func(context.Context) error) {
	b.Helper()
	b.ReportAllocs()
	b.SetParallelism(32) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
			if err := once(ctx); err != nil {
				b.Error(err)
			}
			cancel()
		}
	})
}
