package s3

import (
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"sluice/sinks"
)

// mediaTypeLines is the type of objects that are made of lines of JSON.
const mediaTypeLines = "application/x-ndjson"

// A compressor writes what it is given in another form. Close writes the rest,
// and closes nothing else.
type compressor interface {
	io.WriteCloser
	Reset(w io.Writer)
}

// An encoder writes deliveries as the content of an object. The same deliveries
// always make the same bytes.
type encoder struct {
	format      Format
	compression Compression
	compressors sync.Pool // of compressor: each has some MiB of tables
}

func newEncoder(c *Config) *encoder {
	return &encoder{format: c.Format, compression: c.Compression}
}

// contentType is that of an object.
func (e *encoder) contentType(deliveries []*sinks.Delivery) string {
	switch {
	case e.format != Raw:
		return mediaTypeLines
	case deliveries[0].Event.DataContentType != "":
		return deliveries[0].Event.DataContentType
	}
	return "application/octet-stream"
}

// contentEncoding is that of an object (RFC 9110, section 8.4; RFC 8878 for
// zstd).
func (e *encoder) contentEncoding() string {
	if e.compression == None {
		return ""
	}
	return string(e.compression)
}

// encode writes the content of an object.
func (e *encoder) encode(w io.Writer, deliveries []*sinks.Delivery) error {
	if e.compression == None {
		return e.plain(w, deliveries)
	}
	c, err := e.compressor(w)
	if err != nil {
		return err
	}
	err = e.plain(c, deliveries)
	if closeErr := c.Close(); err == nil {
		err = closeErr
	}
	c.Reset(io.Discard) // so that it keeps nothing of the object
	e.compressors.Put(c)
	return err
}

func (e *encoder) compressor(w io.Writer) (compressor, error) {
	if c, ok := e.compressors.Get().(compressor); ok {
		c.Reset(w)
		return c, nil
	}
	if e.compression == Gzip {
		return gzip.NewWriter(w), nil
	}
	return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
}

func (e *encoder) plain(w io.Writer, deliveries []*sinks.Delivery) error {
	if e.format == Raw {
		_, err := w.Write(deliveries[0].Event.Data)
		return err
	}
	var line []byte
	for _, d := range deliveries {
		if e.format == Events {
			line = sinks.AppendEventLine(line[:0], d)
		} else {
			line = sinks.AppendDataLine(line[:0], d)
		}
		if _, err := w.Write(line); err != nil {
			return err
		}
	}
	return nil
}
