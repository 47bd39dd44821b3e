package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// A worker is what would make thumbnails. It fails for files whose name contains
// "broken", until somebody has mended it.
type worker struct {
	out    io.Writer
	mended atomic.Bool
}

// maxBody is more than sluice sends.
const maxBody = 2 << 20

// ServeHTTP takes one event as sluice sends it: the attributes are in ce-
// headers, the payload is the body.
func (w *worker) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	var upload struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
		Size   int64  `json:"size"`
	}
	body, err := io.ReadAll(http.MaxBytesReader(answer, request.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, &upload)
	}
	if err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	attempt := request.Header.Get("Sluice-Attempt")
	if strings.Contains(upload.Key, "broken") && !w.mended.Load() {
		_, _ = fmt.Fprintf(w.out, "worker: attempt %s of %q fails\n", attempt, upload.Key)
		http.Error(answer, "this picture is broken", http.StatusInternalServerError)
		return
	}
	_, _ = fmt.Fprintf(w.out, "worker: a thumbnail of %q in %q (%d bytes), attempt %s\n", upload.Key, upload.Bucket, upload.Size, attempt)
}

// mend makes the worker work.
func (w *worker) mend(answer http.ResponseWriter, _ *http.Request) {
	w.mended.Store(true)
	_, _ = fmt.Fprintln(w.out, "worker: mended")
	_, _ = fmt.Fprintln(answer, "mended")
}

// run serves at an address until ctx ends. It calls ready once it listens.
func (w *worker) run(ctx context.Context, address string, ready func()) error {
	mux := http.NewServeMux()
	mux.Handle("POST /thumbnail", w)
	mux.HandleFunc("POST /mend", w.mend)
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("the worker: %w (WORKER_PORT names another port)", err)
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	ready()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	err = server.Shutdown(drain)
	if stopped := <-served; !errors.Is(stopped, http.ErrServerClosed) {
		err = errors.Join(err, stopped)
	}
	return err
}
