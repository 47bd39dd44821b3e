package http

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// What a compressed body may become, besides max_body: so many times its
// size, once it is larger than what is no danger.
const (
	maxRatio  = 100
	freeBytes = 64 << 10
)

// checkEncoding takes bodies as they are, and in gzip, once.
func checkEncoding(header http.Header) *refusal {
	values := header["Content-Encoding"]
	if len(values) == 0 || len(values) == 1 && (values[0] == "" || strings.EqualFold(values[0], "identity") || isGzip(header)) {
		return nil
	}
	return &refusal{
		status:  http.StatusUnsupportedMediaType,
		message: fmt.Sprintf("content encoding %.40q: send gzip, or the body as it is", strings.Join(values, ", ")),
		header:  [2]string{"Accept-Encoding", "gzip, identity"},
	}
}

func isGzip(header http.Header) bool {
	values := header["Content-Encoding"]
	if len(values) == 0 {
		return false
	}
	encoding := values[0]
	return strings.EqualFold(encoding, "gzip") || strings.EqualFold(encoding, "x-gzip") // RFC 9110, section 8.4.1.3
}

// inflate returns what a body in gzip holds. It goes on only while that is
// within the limits, so that a small body cannot take much memory or time.
func (h *handler) inflate(r *http.Request, body []byte) ([]byte, *refusal) {
	source := bytes.NewReader(body)
	reader, err := h.gzipReader(source)
	if err != nil {
		return nil, badRequest("the body is no gzip: %v", err)
	}
	defer h.readers.Put(reader)
	counted, _ := r.Body.(*limitedBody)
	var plain bytes.Buffer
	for {
		n, err := io.CopyN(&plain, reader, freeBytes)
		used := len(body) - source.Len()
		switch {
		case plain.Len() > int(h.config.MaxBody):
			return nil, h.tooLarge()
		case plain.Len() > freeBytes && plain.Len() > maxRatio*used:
			return nil, &refusal{
				status:  http.StatusRequestEntityTooLarge,
				message: fmt.Sprintf("the body grows to more than %d times its size", maxRatio),
			}
		case counted != nil && !counted.take(int(n)):
			return nil, overloaded()
		case errors.Is(err, io.EOF):
			return plain.Bytes(), nil
		case err != nil:
			return nil, badRequest("the body is no gzip: %v", err)
		}
	}
}

// gzipReader returns a reader that has been used before, or a new one.
func (h *handler) gzipReader(source io.Reader) (*gzip.Reader, error) {
	if reader, ok := h.readers.Get().(*gzip.Reader); ok {
		return reader, reader.Reset(source)
	}
	return gzip.NewReader(source)
}
