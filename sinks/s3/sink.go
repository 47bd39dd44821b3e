package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/encrypt"
	"golang.org/x/sync/errgroup"

	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/naming"
	"sluice/worker"
)

const (
	dialTimeout      = 10 * time.Second
	handshakeTimeout = 10 * time.Second
	idleTimeout      = 30 * time.Second
	maxIdle          = 256
	// parallel is how many objects of one attempt are written at once.
	parallel = 4
)

// MetadataEvents is how many events an object has, for objects of lines.
const MetadataEvents = "Sluice-Events"

// A sink writes into one bucket.
type sink struct {
	config    Config
	api       *minio.Client
	transport *http.Transport
	templates *templates
	encoder   *encoder
	turns     *transform.Turns
	sse       encrypt.ServerSide
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	templates, err := c.templates()
	if err != nil {
		return nil, err
	}
	trust, err := c.TLS.Load()
	if err != nil {
		return nil, err
	}
	sse, err := c.serverSide()
	if err != nil {
		return nil, err
	}
	policy := c.Egress
	if policy == "" {
		policy = sinkhttp.Egress(env.Egress)
	}
	transport := &http.Transport{
		DialContext:         sinkhttp.NewGuard(policy).Dialer(dialTimeout).DialContext,
		TLSClientConfig:     trust,
		TLSHandshakeTimeout: handshakeTimeout,
		IdleConnTimeout:     idleTimeout,
		MaxIdleConnsPerHost: maxIdle,
		DisableCompression:  true,
	}
	api, err := c.Client(transport, "s3-sink")
	if err != nil {
		return nil, err
	}
	return &sink{config: *c, api: api, transport: transport, templates: templates, encoder: newEncoder(c), turns: env.Turns, sse: sse}, nil
}

func (c *Config) serverSide() (encrypt.ServerSide, error) {
	switch c.Encryption {
	case ByServer:
		return encrypt.NewSSE(), nil
	case ByKMS:
		return encrypt.NewSSEKMS(c.KMSKey, nil)
	}
	return nil, nil //nolint:nilnil // the bucket's own
}

// Close closes the connections.
func (s *sink) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Deliver writes the deliveries, those of one key as one object.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, ended(err)
	}
	failed := &naming.Failures{}
	var work errgroup.Group
	work.SetLimit(parallel)
	for _, object := range naming.Groups(ctx, s.turns, "key", s.templates.key, &attempt, failed) {
		work.Go(func() error {
			s.writeAll(ctx, &attempt, object, failed)
			return nil
		})
	}
	_ = work.Wait() // what fails is in failed
	return sinks.Response{}, failed.Settle(len(attempt.Deliveries))
}

// writeAll writes the deliveries that have one key: as one object, or one after
// the other where an object is one delivery.
func (s *sink) writeAll(ctx context.Context, a *sinks.Attempt, indexes []int, failed *naming.Failures) {
	if s.config.Format != Raw {
		failed.Add(s.write(ctx, a, indexes), indexes...)
		return
	}
	for _, i := range indexes {
		failed.Add(s.write(ctx, a, []int{i}), i)
	}
}

// write stores one object. It names itself by the ids of its deliveries: the
// same ones again overwrite it with the same.
func (s *sink) write(ctx context.Context, a *sinks.Attempt, indexes []int) error {
	deliveries := make([]*sinks.Delivery, len(indexes))
	for i, at := range indexes {
		deliveries[i] = &a.Deliveries[at]
	}
	name, err := s.name(ctx, a, deliveries)
	if err != nil {
		return err
	}
	options := s.options(a, deliveries, name.metadata)
	err = s.newUpload(name.key, &options).write(ctx, func(w io.Writer) error { return s.encoder.encode(w, deliveries) })
	if err != nil {
		return s.verdict(ctx, err)
	}
	return nil
}

func (s *sink) options(a *sinks.Attempt, deliveries []*sinks.Delivery, metadata map[string]string) minio.PutObjectOptions {
	metadata[worker.HeaderTrigger] = a.Trigger
	if s.config.Format == Raw {
		metadata[worker.HeaderDelivery] = deliveries[0].ID
		metadata[worker.HeaderAttempt] = strconv.Itoa(deliveries[0].Attempt)
	} else {
		metadata[MetadataEvents] = strconv.Itoa(len(deliveries))
	}
	return minio.PutObjectOptions{
		UserMetadata:         metadata,
		ContentType:          s.encoder.contentType(deliveries),
		ContentEncoding:      s.encoder.contentEncoding(),
		StorageClass:         s.config.StorageClass,
		ServerSideEncryption: s.sse,
		PartSize:             partSize,
		// Signed in chunks, content is said to be encoded as aws-chunked, which not
		// all servers take out of what they store.
		DisableContentSha256: true,
		SendContentMd5:       true,
	}
}

// ended is the error of an attempt whose time is over, or that was stopped.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("not stored within the attempt's time: %w", err)
	}
	return fmt.Errorf("stopped before the server has answered: %w", err)
}
