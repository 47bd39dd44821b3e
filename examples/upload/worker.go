package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"sluice/examples/internal/example"
)

// A worker is what would make thumbnails. It fails for files whose name contains
// "broken", until somebody has mended it.
type worker struct {
	out    io.Writer
	mended atomic.Bool
}

func (w *worker) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /thumbnail", w.take)
	mux.HandleFunc("POST /mend", w.mend)
	return mux
}

// take takes one event as sluice sends it: the attributes are in ce- headers,
// the payload is the body.
func (w *worker) take(answer http.ResponseWriter, request *http.Request) {
	body, ok := example.Payload(answer, request)
	if !ok {
		return
	}
	var upload struct {
		Bucket string `json:"bucket"`
		Key    string `json:"key"`
		Size   int64  `json:"size"`
	}
	if err := json.Unmarshal(body, &upload); err != nil {
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
