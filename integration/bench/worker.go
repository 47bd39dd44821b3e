package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// The paths of a worker.
const (
	pathWork  = "/work"  // takes events, each of which is to come once
	pathNoted = "/noted" // the same, and notes when each came
	pathEach  = "/each"  // takes deliveries of the same events by many triggers
	pathRetry = "/retry" // takes nothing at the first attempt, and notes how late the second one is
)

var paths = []string{pathWork, pathNoted, pathEach, pathRetry}

// retryAfter is when the worker asks for the second attempt.
const retryAfter = 5 * time.Second

// A worker takes events, and answers 200 once it has read them.
type worker map[string]*inbox

// runWorker serves until ctx ends, and says where.
func runWorker(ctx context.Context, stdout io.Writer) error {
	w, mux := worker{}, http.NewServeMux()
	for _, path := range paths {
		box := &inbox{notes: map[string]int64{}}
		w[path] = box
		take := box.take
		switch path {
		case pathEach:
			take = box.takeEach
		case pathRetry:
			take = box.takeRetry
		}
		mux.HandleFunc("POST "+path, take)
	}
	mux.HandleFunc("GET /tally/{path}", func(rw http.ResponseWriter, r *http.Request) { answer(rw, w["/"+r.PathValue("path")].tally()) })
	mux.HandleFunc("GET /notes/{path}", func(rw http.ResponseWriter, r *http.Request) { answer(rw, w["/"+r.PathValue("path")].noted()) })
	return serve(ctx, "127.0.0.1:0", mux, stdout)
}

// serve serves until ctx ends, after it has said where.
func serve(ctx context.Context, address string, handler http.Handler, stdout io.Writer) error {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintln(stdout, "listening", "http://"+listener.Addr().String()); err != nil {
		return err
	}
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func answer(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(value) // who asks has gone
}

// A workerProcess is a worker as the measuring process sees it.
type workerProcess struct {
	*process
	url string
}

func startWorker(ctx context.Context, dir, self string) (*workerProcess, error) {
	p, err := spawn(ctx, dir, roleWorker, self, roleWorker)
	if err != nil {
		return nil, err
	}
	url, err := p.said(ctx, "listening")
	return &workerProcess{process: p, url: url}, err
}

// tally asks what has come to a path.
func (w *workerProcess) tally(ctx context.Context, path string) (t tally, err error) {
	return t, ask(ctx, http.MethodGet, w.url+"/tally"+path, &t)
}

// notes asks for what was noted at a path, by the event's id.
func (w *workerProcess) notes(ctx context.Context, path string) (notes map[string]int64, err error) {
	return notes, ask(ctx, http.MethodGet, w.url+"/notes"+path, &notes)
}

// ask makes a request, and decodes the answer when into is not nil.
func ask(ctx context.Context, method, url string, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.200q", method, url, response.Status, body)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
