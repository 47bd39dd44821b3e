package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"

	"sluice/connect/s3conn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// verdict says what an error of the server means for the deliveries.
func (s *sink) verdict(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[*sinkhttp.RefusedError](err); ok {
		return sinks.Permanent(refused)
	}
	if cause := ctx.Err(); cause != nil {
		return ended(cause)
	}
	if s3conn.Denied(err) {
		return s.explainDenied(err)
	}
	switch code := s3conn.Code(err); code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequests", "TooManyRequestsException", "OperationMaxedOut":
		return &sinks.ThrottledError{Err: fmt.Errorf("%s has no room at the moment: %w", s.config.Endpoint, err)}
	case minio.EntityTooLarge, "MaxMessageLengthExceeded":
		return sinks.Permanent(fmt.Errorf("the object is larger than %s takes: %w", s.config.Endpoint, err))
	case "MetadataTooLarge":
		return sinks.Permanent(fmt.Errorf("metadata: it is more than %s takes, 2 KiB in all on S3: %w", s.config.Endpoint, err))
	case "KeyTooLongError", minio.XMinioInvalidObjectName, "InvalidURI", "XMinioObjectExistsAsDirectory", "XMinioParentIsObject":
		return sinks.Permanent(fmt.Errorf("key: %s does not take what it makes: %w", s.config.Endpoint, err))
	case "InvalidStorageClass":
		return fmt.Errorf("%s does not know the storage class %q: correct storage_class: %w", s.config.Endpoint, s.config.StorageClass, err)
	case "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "QuotaExceeded":
		return fmt.Errorf("bucket %q at %s is full: make room there: %w", s.config.Bucket, s.config.Endpoint, err)
	}
	if s3conn.Response(err).StatusCode == http.StatusTooManyRequests {
		return &sinks.ThrottledError{Err: fmt.Errorf("%s has no room at the moment: %w", s.config.Endpoint, err)}
	}
	return s.config.Explain(err, "written to")
}

func (s *sink) explainDenied(err error) error {
	if s.config.Anonymous() {
		return fmt.Errorf("bucket %q may not be written to anonymously: give access_key and secret_key: %w", s.config.Bucket, err)
	}
	return fmt.Errorf("the access key may not write to bucket %q: grant it s3:PutObject, and s3:AbortMultipartUpload for large objects: %w", s.config.Bucket, err)
}
