package s3conn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"

	"github.com/minio/minio-go/v7"
)

// ErrSilent ends an answer in whose middle nothing arrives any more.
var ErrSilent = errors.New("the server has stopped sending in the middle of an answer")

// Response returns what the server has answered, or a zero value when err is
// not an answer.
func Response(err error) minio.ErrorResponse {
	answer, _ := errors.AsType[minio.ErrorResponse](err)
	return answer
}

// Code returns the S3 error code of err, or "".
func Code(err error) string { return Response(err).Code }

// Denied tells whether the server does not let the access key do what was asked.
func Denied(err error) bool {
	return Code(err) == minio.AccessDenied || Code(err) == minio.AllAccessDisabled
}

// Explain adds to err what the user can do about it. What says what the bucket
// cannot be: "listed".
func (l *Location) Explain(err error, what string) error {
	switch Code(err) {
	case minio.NoSuchBucket:
		return fmt.Errorf("bucket %q does not exist at %s: create it, or correct bucket: %w", l.Bucket, l.Endpoint, err)
	case minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch, "InvalidTokenId", "InvalidSecurity":
		return fmt.Errorf("%s refuses the credentials: check access_key and secret_key: %w", l.Endpoint, err)
	case minio.RequestTimeTooSkewed:
		return fmt.Errorf("the clocks of this machine and of %s differ: set them: %w", l.Endpoint, err)
	case minio.AuthorizationHeaderMalformed, "PermanentRedirect", "IllegalLocationConstraintException":
		return fmt.Errorf("bucket %q is in another region: set region and endpoint to its own: %w", l.Bucket, err)
	}
	var network net.Error
	var request *url.Error
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, ErrSilent):
		return fmt.Errorf("%s does not answer in time: %w", l.Endpoint, err)
	case errors.As(err, &network), errors.As(err, &request):
		return fmt.Errorf("%s cannot be reached: check endpoint and that the server runs: %w", l.Endpoint, err)
	}
	return fmt.Errorf("bucket %q at %s cannot be %s: %w", l.Bucket, l.Endpoint, what, err)
}
