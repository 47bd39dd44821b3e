package s3

import (
	"bytes"
	"context"
	"io"

	"github.com/minio/minio-go/v7"
)

// partSize is how much of an object is kept until it is sent: what is larger
// goes in parts of this size.
const partSize = 8 << 20

// An upload is one object that is being written. What fits into a part is sent
// when it is closed, and else while it is written: memory does not grow with the
// object.
type upload struct {
	put  func(ctx context.Context, content io.Reader, size int64) error
	head bytes.Buffer

	pipe *io.PipeWriter // nil until the head is full
	done chan error
}

func (s *sink) newUpload(key string, options *minio.PutObjectOptions) *upload {
	return &upload{put: func(ctx context.Context, content io.Reader, size int64) error {
		_, err := s.api.PutObject(ctx, s.config.Bucket, key, content, size, *options)
		return err
	}}
}

// write has encode write the content, and returns when the object is stored. The
// object is there as a whole or not at all.
func (u *upload) write(ctx context.Context, encode func(io.Writer) error) error {
	err := encode(writerFunc(func(p []byte) (int, error) { return u.take(ctx, p) }))
	if u.pipe == nil {
		if err != nil {
			return err
		}
		return u.put(ctx, bytes.NewReader(u.head.Bytes()), int64(u.head.Len()))
	}
	_ = u.pipe.CloseWithError(err) // nil ends the object
	if putErr := <-u.done; putErr != nil {
		return putErr
	}
	return err
}

// take keeps what it is given until there is more than a part.
func (u *upload) take(ctx context.Context, p []byte) (int, error) {
	if u.pipe != nil {
		return u.pipe.Write(p)
	}
	if u.head.Len()+len(p) <= partSize {
		return u.head.Write(p)
	}
	reader, writer := io.Pipe()
	u.pipe, u.done = writer, make(chan error, 1)
	go func() {
		err := u.put(ctx, io.MultiReader(&u.head, reader), -1)
		_ = reader.CloseWithError(io.ErrClosedPipe) // ends encode, when it still writes
		u.done <- err
	}()
	return u.pipe.Write(p)
}

// A writerFunc is an io.Writer.
type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
