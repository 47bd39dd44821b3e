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

const (
	maxBody   = 2 << 20 // more than sluice sends
	stopAfter = 5 * time.Second
)

// work takes events until ctx ends.
func work(ctx context.Context, out io.Writer) error {
	address, err := setting("WORKER_LISTEN")
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthy", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /thumbnail", func(w http.ResponseWriter, r *http.Request) { take(w, r, out) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: stopAfter}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopAfter)
	defer cancel()
	err = server.Shutdown(stopping)
	if end := <-served; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// take is where a real worker would make a thumbnail. The event's attributes
// are in ce- headers, the payload is the body.
func take(w http.ResponseWriter, r *http.Request, out io.Writer) {
	var upload struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&upload); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(out, "%s %q in %q, attempt %s\n", r.Header.Get("ce-type"), upload.Key, upload.Bucket, r.Header.Get("Sluice-Attempt"))
}
