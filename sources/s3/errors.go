package s3

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/minio/minio-go/v7"
)

var (
	errSilent    = errors.New("the server has stopped sending in the middle of an answer")
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

// code returns the S3 error code of err, or "".
func code(err error) string { return response(err).Code }

func response(err error) minio.ErrorResponse {
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	return answer
}

// unsupported tells whether the server has not implemented what was asked.
func unsupported(err error) bool {
	if errors.Is(err, errNoListen) {
		return true
	}
	if _, ok := errors.AsType[*json.SyntaxError](err); ok {
		return true
	}
	switch code(err) {
	case minio.NotImplemented, minio.MethodNotAllowed, "APINotSupported", "InvalidArgument", "InvalidRequest":
		return true
	}
	status := response(err).StatusCode
	return status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented
}

// explain adds to err what the user can do about it.
func (c *client) explain(err error) error {
	cfg := c.cfg
	if _, ok := errors.AsType[*unsortedError](err); ok {
		return fmt.Errorf("bucket %q at %s cannot be compared with what is known, as S3's directory buckets cannot: use a bucket that is listed by key: %w", cfg.Bucket, cfg.Endpoint, err)
	}
	switch code(err) {
	case minio.NoSuchBucket:
		return fmt.Errorf("bucket %q does not exist at %s: create it, or correct bucket: %w", cfg.Bucket, cfg.Endpoint, err)
	case "InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidTokenId", "InvalidSecurity":
		return fmt.Errorf("%s refuses the credentials: check access_key and secret_key: %w", cfg.Endpoint, err)
	case minio.AccessDenied, "AllAccessDisabled":
		return c.explainDenied(err)
	case "RequestTimeTooSkewed":
		return fmt.Errorf("the clocks of this machine and of %s differ: set them: %w", cfg.Endpoint, err)
	case "AuthorizationHeaderMalformed", "PermanentRedirect", "IllegalLocationConstraintException":
		return fmt.Errorf("bucket %q is in another region: set region and endpoint to its own: %w", cfg.Bucket, err)
	}
	return c.explainTransport(err)
}

func (c *client) explainDenied(err error) error {
	if c.anonymous() {
		return fmt.Errorf("bucket %q may not be listed anonymously: give access_key and secret_key: %w", c.cfg.Bucket, err)
	}
	return fmt.Errorf("the access key may not list bucket %q: grant it s3:ListBucket, and s3:ListBucketVersions where the bucket has versions: %w", c.cfg.Bucket, err)
}

func (c *client) explainTransport(err error) error {
	var network net.Error
	var request *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, errSilent):
		return fmt.Errorf("%s does not answer in time: %w", c.cfg.Endpoint, err)
	case errors.As(err, &network), errors.As(err, &request):
		return fmt.Errorf("%s cannot be reached: check endpoint and that the server runs: %w", c.cfg.Endpoint, err)
	}
	return fmt.Errorf("bucket %q at %s cannot be listed: %w", c.cfg.Bucket, c.cfg.Endpoint, err)
}

// refused tells whether the listen API is not to be had on this server or with
// this access key, so that trying again soon is of no use.
func refused(err error) bool {
	return unsupported(err) || code(err) == minio.AccessDenied || response(err).StatusCode == http.StatusBadRequest
}
