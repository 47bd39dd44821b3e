package devs3

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/johannesboyne/gofakes3"
)

const (
	chunkLine = 4 << 10 // bytes: the longest line between two chunks
	maxChunk  = 1 << 30 // bytes
)

// decodeChunks takes the aws-chunked encoding off a request's body. gofakes3
// knows only one of its forms, and not for parts; the others it would store
// with the content.
func decodeChunks(r *http.Request) error {
	const hash = "X-Amz-Content-Sha256"
	if !strings.HasPrefix(r.Header.Get(hash), "STREAMING-") {
		return nil
	}
	length := r.Header.Get("X-Amz-Decoded-Content-Length")
	n, err := strconv.ParseInt(length, 10, 64)
	if err != nil || n < 0 {
		return fmt.Errorf("a decoded length of %q", length)
	}
	r.Body = &chunkedBody{source: r.Body, lines: bufio.NewReaderSize(r.Body, chunkLine)}
	r.ContentLength = n
	r.Header.Set("Content-Length", strconv.FormatInt(n, 10))
	r.Header.Set(hash, "UNSIGNED-PAYLOAD")
	dropChunkedEncoding(r.Header)
	return nil
}

func dropChunkedEncoding(h http.Header) {
	var kept []string
	for encoding := range strings.SplitSeq(h.Get("Content-Encoding"), ",") {
		if encoding = strings.TrimSpace(encoding); encoding != "" && encoding != "aws-chunked" {
			kept = append(kept, encoding)
		}
	}
	h.Del("Content-Encoding")
	if len(kept) > 0 {
		h.Set("Content-Encoding", strings.Join(kept, ", "))
	}
}

var errChunk = gofakes3.ErrorMessage(gofakes3.ErrInvalidArgument, "the body is not aws-chunked")

// A chunkedBody reads the content out of an aws-chunked body. Signatures and
// trailers are not checked.
type chunkedBody struct {
	source io.Closer
	lines  *bufio.Reader
	left   int64 // of the current chunk
	inside bool  // a chunk was read, and its line end was not
	err    error
}

func (b *chunkedBody) Close() error { return b.source.Close() }

func (b *chunkedBody) Read(p []byte) (int, error) {
	if b.err == nil && b.left == 0 {
		b.err = b.next()
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.lines.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	b.err = err
	return n, err
}

// next reads the line before a chunk. The chunk of no bytes is the end.
func (b *chunkedBody) next() error {
	if b.inside {
		if line, err := b.line(); err != nil || line != "" {
			return errChunk
		}
	}
	line, err := b.line()
	if err != nil {
		return err
	}
	size, _, _ := strings.Cut(line, ";")
	n, err := strconv.ParseInt(size, 16, 64)
	switch {
	case err != nil || n < 0 || n > maxChunk:
		return errChunk
	case n == 0:
		if _, err := io.Copy(io.Discard, b.lines); err != nil { // trailers
			return err
		}
		return io.EOF
	}
	b.left, b.inside = n, true
	return nil
}

func (b *chunkedBody) line() (string, error) {
	line, err := b.lines.ReadSlice('\n')
	switch {
	case err == io.EOF:
		return "", io.ErrUnexpectedEOF
	case err != nil:
		return "", errChunk
	}
	return strings.TrimRight(string(line), "\r\n"), nil
}
