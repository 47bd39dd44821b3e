package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"sluice/connect/s3conn"
)

// details is what neither a listing nor every notification says of an object.
// Each object is asked for it, so that all ways of seeing it publish the same.
type details struct {
	contentType string
	metadata    map[string]string // of the user, in lower case
}

// A describer returns the details of objects; nil for one that is not there any
// more.
type describer func(ctx context.Context, objects []object) ([]*details, error)

// describe asks for the details of all objects.
func (r *run) describe(ctx context.Context, objects []object) ([]*details, error) {
	found := make([]*details, len(objects))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(lookUps)
	for i := range objects {
		group.Go(func() (err error) {
			found[i], err = r.server.details(ctx, r.bucket, &objects[i])
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, r.server.explainDetails(err)
	}
	return found, nil
}

// details asks for the details of an object; nil when something else is in its
// place by now.
func (c *client) details(ctx context.Context, v versioning, o *object) (*details, error) {
	options := minio.StatObjectOptions{VersionID: o.version}
	if v == versioned && o.version == "" {
		options.VersionID = nullVersion
	}
	info, err := c.api.StatObject(ctx, c.cfg.Bucket, o.key, options)
	switch {
	case s3conn.Response(err).StatusCode == http.StatusNotFound, s3conn.Code(err) == minio.MethodNotAllowed:
		return nil, nil //nolint:nilnil // it is gone, or a delete marker is in its place
	case err != nil:
		return nil, err
	}
	// The header has full seconds; the etag may be one of the content, while that
	// of a listing is one of what is stored.
	if o.version == "" && strings.Trim(info.ETag, `"`) != o.etag && info.LastModified.Unix() != o.modified.Unix() {
		return nil, nil //nolint:nilnil // it was overwritten
	}
	found := &details{contentType: info.ContentType, metadata: make(map[string]string, len(info.UserMetadata))}
	for name, value := range info.UserMetadata {
		found.metadata[strings.ToLower(name)] = value
	}
	return found, nil
}

// explainDetails adds to err what the user can do about it.
func (c *client) explainDetails(err error) error {
	if s3conn.Code(err) == minio.AccessDenied || s3conn.Response(err).StatusCode == http.StatusForbidden {
		return fmt.Errorf("the access key may not ask for the metadata of what is in bucket %q: grant it s3:GetObject, and s3:GetObjectVersion where the bucket has versions, or leave metadata out: %w", c.cfg.Bucket, err)
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	return c.explain(err)
}
