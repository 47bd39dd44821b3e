package http

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"
)

// An accepted is the body of a 202.
type accepted struct {
	Accepted int      `json:"accepted"`
	IDs      []string `json:"ids"`
}

// A refusal is an answer that is not 202.
type refusal struct {
	status     int
	message    string
	retryAfter time.Duration // 0: no such header
	header     [2]string     // one header more, by name and value
	cause      error         // for the log; the sender does not see it
}

// A refused is the body of a refusal.
type refused struct {
	Error     string `json:"error"`
	RequestID string `json:"request_id"`
}

// badRequest is the refusal of what is malformed.
func badRequest(format string, args ...any) *refusal {
	return &refusal{status: http.StatusBadRequest, message: fmt.Sprintf(format, args...)}
}

// write answers with the refusal and returns the id under which the answer can
// be found again.
func (r *refusal) write(w http.ResponseWriter) string {
	id := uuid.NewString()
	header := w.Header()
	header.Set("X-Request-Id", id)
	if r.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(r.retryAfter/time.Second)))
	}
	if r.header[0] != "" {
		header.Set(r.header[0], r.header[1])
	}
	writeJSON(w, r.status, refused{Error: r.message, RequestID: id})
	return id
}

// writeJSON answers with a JSON body. That the sender has gone away is nothing
// that could be mended, so errors of the connection are left.
func writeJSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		status, text = http.StatusInternalServerError, []byte(`{"error":"the answer could not be written"}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
