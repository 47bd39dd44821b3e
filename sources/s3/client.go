package s3

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"

	"sluice/connect/s3conn"
)

const (
	headerTimeout = 30 * time.Second
	// bodyTimeout is how long an answer may stay silent in its middle.
	bodyTimeout = 30 * time.Second
	pageObjects = 1000
)

// A client asks the server about one bucket.
type client struct {
	cfg       *Config
	api       *minio.Client
	transport *transport
}

func newClient(cfg *Config) (*client, error) {
	base, err := minio.DefaultTransport(cfg.Secure())
	if err != nil {
		return nil, err
	}
	base.ResponseHeaderTimeout = headerTimeout
	watched := &transport{base: base}
	api, err := cfg.Client(watched, "s3-source")
	if err != nil {
		return nil, err
	}
	return &client{cfg: cfg, api: api, transport: watched}, nil
}

func (c *client) close() { c.transport.base.CloseIdleConnections() }

// A versioning is what is known about the bucket's versioning.
type versioning int

const (
	unversioned versioning = iota // never had versions
	versioned                     // has versions, now or from earlier
	hidden                        // the server does not say: versions are ignored
)

// versioning asks whether the bucket has versions. Not every server and not
// every access key can ask.
func (c *client) versioning(ctx context.Context) (versioning, error) {
	answer, err := c.api.GetBucketVersioning(ctx, c.cfg.Bucket)
	switch {
	case err == nil && answer.Status == "":
		return unversioned, nil
	case err == nil:
		return versioned, nil
	case unsupported(err) || s3conn.Code(err) == minio.AccessDenied:
		return hidden, nil
	}
	return hidden, err
}

// list calls yield with every object whose key has the prefix, by key, versions
// and delete markers of one key from the oldest to the newest, until it returns
// false. A listing that is not by key is an error.
func (c *client) list(ctx context.Context, v versioning, prefix string, yield func(object) bool) error {
	owner := false
	options := minio.ListObjectsOptions{
		Prefix: prefix, Recursive: true, MaxKeys: pageObjects, FetchOwner: &owner,
		WithVersions: v == versioned, ReverseVersions: v == versioned,
	}
	last := ""
	for info := range c.api.ListObjectsIter(ctx, c.cfg.Bucket, options) {
		if info.Err != nil {
			return info.Err
		}
		if info.Key < last {
			return &unsortedError{first: last, second: info.Key}
		}
		last = info.Key
		found := newObject(info.Key, info.ETag, info.VersionID, info.Size, info.LastModified)
		found.marker = info.IsDeleteMarker
		if v != versioned {
			found = found.unversioned()
		}
		if !yield(found) {
			return nil
		}
	}
	return ctx.Err() // minio-go ends a cancelled listing without an error
}

// A transport passes requests on, keeps the server's clock, and ends answers on
// which nothing arrives any more.
type transport struct {
	base  *http.Transport
	clock atomic.Int64 // ms since 1970 by the last Date header; 0 for none
}

// serverTime returns the server's clock as it was at its last answer, in full
// seconds, or false when it has none.
func (t *transport) serverTime() (time.Time, bool) {
	ms := t.clock.Load()
	return time.UnixMilli(ms).UTC(), ms != 0
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	response, err := t.base.RoundTrip(request.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	if date, err := http.ParseTime(response.Header.Get("Date")); err == nil {
		t.clock.Store(date.UnixMilli())
	}
	response.Body = newWatchedBody(ctx, response.Body, cancel)
	if isListing(request) && response.StatusCode == http.StatusOK {
		response.Body = &checkedBody{ReadCloser: response.Body}
	}
	return response, nil
}

func isListing(request *http.Request) bool {
	query := request.URL.Query()
	return request.Method == http.MethodGet && (query.Has("list-type") || query.Has("versions"))
}

// A checkedBody fails unless it begins like a listing. Any other document, such
// as the page of a proxy, would be read as a listing without objects: as if all
// were removed.
type checkedBody struct {
	io.ReadCloser
	begin []byte // what was read and not yet passed on
	seen  bool
}

// headSize is how far the first element may be from the beginning.
const headSize = 512

// isListingDocument tells whether a document begins with one of the elements that
// servers are known to list with.
func isListingDocument(head []byte) bool {
	return slices.ContainsFunc([]string{"<ListBucketResult", "<ListVersionsResult", "<ListBucketVersionsResult"}, func(element string) bool {
		return bytes.Contains(head, []byte(element))
	})
}

func (b *checkedBody) Read(p []byte) (int, error) {
	if !b.seen {
		head := make([]byte, headSize)
		n, err := io.ReadFull(b.ReadCloser, head)
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return 0, err
		}
		if head = head[:n]; !isListingDocument(head) {
			return 0, errNoListing
		}
		b.begin, b.seen = head, true
	}
	if len(b.begin) > 0 {
		n := copy(p, b.begin)
		b.begin = b.begin[n:]
		return n, nil
	}
	return b.ReadCloser.Read(p)
}

// A watchedBody cancels its request when a read takes longer than bodyTimeout.
type watchedBody struct {
	ctx    context.Context //nolint:containedctx // the body's own, and it ends with Close
	body   io.ReadCloser
	timer  *time.Timer
	cancel context.CancelCauseFunc
}

func newWatchedBody(ctx context.Context, body io.ReadCloser, cancel context.CancelCauseFunc) *watchedBody {
	timer := time.AfterFunc(bodyTimeout, func() { cancel(s3conn.ErrSilent) })
	return &watchedBody{ctx: ctx, body: body, timer: timer, cancel: cancel}
}

func (b *watchedBody) Read(p []byte) (int, error) {
	b.timer.Reset(bodyTimeout)
	n, err := b.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && errors.Is(context.Cause(b.ctx), s3conn.ErrSilent) {
		err = s3conn.ErrSilent
	}
	return n, err
}

func (b *watchedBody) Close() error {
	b.timer.Stop()
	defer b.cancel(nil)
	return b.body.Close()
}
