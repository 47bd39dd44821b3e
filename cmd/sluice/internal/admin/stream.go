package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"time"
)

const (
	streamMedia = "application/x-ndjson"
	streamWrite = 30 * time.Second // for one write to the client
	streamBeat  = 15 * time.Second // between two lines, empty when nothing happens
)

// A streamWriter writes lines to one client, each a JSON object.
type streamWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	encoder *json.Encoder
}

// startStream begins an answer that is a stream. After an error the client has
// gone.
func startStream(w http.ResponseWriter) (*streamWriter, error) {
	w.Header().Set("Content-Type", streamMedia)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := &streamWriter{w: w, control: http.NewResponseController(w), encoder: json.NewEncoder(w)}
	out.encoder.SetEscapeHTML(false)
	return out, out.beat()
}

func (t *streamWriter) line(line any) error {
	return errors.Join(t.control.SetWriteDeadline(time.Now().Add(streamWrite)), t.encoder.Encode(line))
}

// beat shows the client that the stream lives.
func (t *streamWriter) beat() error {
	if err := t.control.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return err
	}
	if _, err := t.w.Write([]byte("\n")); err != nil {
		return err
	}
	return t.control.Flush()
}
