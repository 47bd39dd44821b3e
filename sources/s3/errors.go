package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"sluice/connect/s3conn"
)

var (
	errEnded     = errors.New("the server has ended the stream of notifications")
	errHeld      = errors.New("the server is silent on the stream of notifications or holds them back, as some releases of MinIO do")
	errNoListing = errors.New("the answer is no listing: is something else than S3 at the endpoint, or a proxy before it?")
	errNoListen  = errors.New("the server does not know the listen API")
)

// An unsortedError says that a listing is not in the order of keys: what is
// missing in it cannot be told from what is yet to come.
type unsortedError struct{ first, second string }

func (e *unsortedError) Error() string {
	return fmt.Sprintf("it is listed out of order (%q comes after %q)", e.second, e.first)
}

// unsupported tells whether the server has not implemented what was asked.
func unsupported(err error) bool {
	if errors.Is(err, errNoListen) {
		return true
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return true
	}
	switch s3conn.Code(err) {
	case minio.NotImplemented, minio.MethodNotAllowed, "APINotSupported", "InvalidArgument", "InvalidRequest":
		return true
	}
	status := s3conn.Response(err).StatusCode
	return status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// explain adds to err what the user can do about it.
func (c *client) explain(err error) error {
	cfg := c.cfg
	if _, ok := errors.AsType[*unsortedError](err); ok {
		return fmt.Errorf("bucket %q at %s cannot be compared with what is known, as S3's directory buckets cannot: use a bucket that is listed by key: %w", cfg.Bucket, cfg.Endpoint, err)
	}
	if s3conn.Denied(err) {
		return c.explainDenied(err)
	}
	return cfg.Explain(err, "listed")
}

func (c *client) explainDenied(err error) error {
	if c.cfg.Anonymous() {
		return fmt.Errorf("bucket %q may not be listed anonymously: give access_key and secret_key: %w", c.cfg.Bucket, err)
	}
	return fmt.Errorf("the access key may not list bucket %q: grant it s3:ListBucket, and s3:ListBucketVersions where the bucket has versions: %w", c.cfg.Bucket, err)
}

// refused tells whether the listen API is not to be had on this server or with
// this access key, so that trying again soon is of no use.
func refused(err error) bool {
	return unsupported(err) || s3conn.Code(err) == minio.AccessDenied || s3conn.Response(err).StatusCode == http.StatusBadRequest
}
