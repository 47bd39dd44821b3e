package runtimeapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"sluice/functions/runtimeapi"
)

// BenchmarkWarmCall measures a call of a worker that waits: from Invoke to its answer, through the official client in a process of
// its own, whose handler does nothing. Its floor is one HTTP request to a process: BenchmarkEcho.
func BenchmarkWarmCall(b *testing.B) {
	s := listen(b)
	start(b, s, "raw")
	payload := []byte(`{"key":"a.jpg"}`)
	i := 0
	measure(b, func() error {
		i++
		_, err := s.Invoke(b.Context(), runtimeapi.Invocation{RequestID: strconv.Itoa(i), Deadline: time.Now().Add(time.Minute), Payload: payload})
		return err
	})
}

// BenchmarkWarmCallOfManyWorkers is of eight workers at once.
func BenchmarkWarmCallOfManyWorkers(b *testing.B) {
	var calls sync.WaitGroup
	work := make(chan int)
	for range 8 {
		s := listen(b)
		start(b, s, "raw")
		<-s.Initialized()
		calls.Go(func() {
			for i := range work {
				if _, err := s.Invoke(b.Context(), runtimeapi.Invocation{RequestID: strconv.Itoa(i), Deadline: time.Now().Add(time.Minute), Payload: []byte("{}")}); err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		work <- i
	}
	close(work)
	calls.Wait()
}

// BenchmarkLargeAnswer is of 5 MiB, in chunks, as the Go client sends all.
func BenchmarkLargeAnswer(b *testing.B) {
	s := listen(b)
	start(b, s, "megabytes")
	b.SetBytes(5 << 20)
	i := 0
	measure(b, func() error {
		i++
		_, err := s.Invoke(b.Context(), runtimeapi.Invocation{RequestID: strconv.Itoa(i), Deadline: time.Now().Add(time.Minute)})
		return err
	})
}

// BenchmarkEcho is one request over a kept connection to another process, with Go's client and server.
func BenchmarkEcho(b *testing.B) {
	addr := make(chan string, 1)
	told := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { addr <- r.URL.Query().Get("addr") }))
	b.Cleanup(told.Close)
	startAt(b, told.Listener.Addr().String(), "http")
	url := "http://" + <-addr
	client := &http.Client{Transport: &http.Transport{}}
	b.Cleanup(client.CloseIdleConnections)
	measure(b, func() error {
		request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, url, bytes.NewReader([]byte(`{"key":"a.jpg"}`)))
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, response.Body)
		return errors.Join(err, response.Body.Close())
	})
}

// serveEcho is the other process of BenchmarkEcho, which tells where it listens.
func serveEcho() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+os.Getenv("AWS_LAMBDA_RUNTIME_API")+"/?addr="+server.Listener.Addr().String(), nil)
	if err != nil {
		panic(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	_ = response.Body.Close()
	select {}
}

// measure reports the median and the 99th percentile of a call, in microseconds. The calls are a millisecond apart, so that each
// finds a worker that waits.
func measure(b *testing.B, call func() error) {
	b.Helper()
	if err := call(); err != nil { // the start of the process
		b.Fatal(err)
	}
	var took []time.Duration
	b.ReportAllocs()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for b.Loop() {
		<-pace.C
		start := time.Now()
		if err := call(); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
}
