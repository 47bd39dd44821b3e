package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/connect/kafkaconn"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

const (
	// maxBuffered bounds the records that wait to be sent, in bytes, and maxRecords
	// how many they are.
	maxBuffered = 64 << 20
	maxRecords  = 20_000
	// metadataAge is when the library asks again for the partitions of topics.
	metadataAge = time.Minute
	// unreachable is how long no connection is of use before a delivery fails: the
	// library itself tries for as long as the attempt may take.
	unreachable = 2 * time.Second
	// askAgain is the least time between two such questions.
	askAgain = 250 * time.Millisecond
)

// A sink produces deliveries by one client, which is made with the first one.
type sink struct {
	config  Config
	env     sinks.Env
	maker   *maker
	cluster *kafkaconn.Cluster
	dialer  *guarded

	mu     sync.Mutex
	client *kgo.Client
	closed bool
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	m, err := newMaker(c, env.Turns)
	if err != nil {
		return nil, err
	}
	guard := c.Egress.Guard(env.Egress)
	return &sink{
		config: *c, env: env, maker: m, cluster: c.cluster(),
		dialer: &guarded{dialer: guard.Dialer(0), refused: make(chan struct{})},
	}, nil
}

// guarded dials through the egress guard, and tells those that wait when it has
// refused: the library would try for ever.
type guarded struct {
	dialer *net.Dialer

	mu      sync.Mutex
	last    *sinkhttp.RefusedError
	refused chan struct{} // closed with each refusal, and replaced
}

func (g *guarded) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := g.dialer.DialContext(ctx, network, address)
	if refusal, is := errors.AsType[*sinkhttp.RefusedError](err); is {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.last = refusal
		close(g.refused)
		g.refused = make(chan struct{})
	}
	return conn, err
}

func (g *guarded) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.refused
}

func (g *guarded) refusal() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last
}

// producer returns the client, and makes it first when there is none.
func (s *sink) producer() (*kgo.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.client != nil {
		if s.closed {
			return nil, sinks.ErrClosed
		}
		return s.client, nil
	}
	logger := s.env.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	options, err := s.cluster.Options(s.env.Name, s.dialer, logger)
	if err != nil {
		return nil, err
	}
	size := int32(s.config.MaxMessage)
	options = append(options,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.ProducerBatchCompression(codecs()[s.config.Compression]),
		kgo.ProducerBatchMaxBytes(size), kgo.BrokerMaxWriteBytes(max(size*2, 32<<20)),
		kgo.MaxBufferedBytes(maxBuffered), kgo.MaxBufferedRecords(maxRecords),
		kgo.ProducerLinger(0),
		kgo.MetadataMaxAge(metadataAge), kgo.MetadataMinAge(askAgain),
	)
	if s.client, err = kgo.NewClient(options...); err != nil {
		return nil, fmt.Errorf("the client: %w", err)
	}
	return s.client, nil
}

// Close closes the client.
func (s *sink) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
	}
	return nil
}

// Deliver produces each delivery as a record, in their order, and waits until
// all are stored or have failed.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	client, err := s.producer() //nolint:contextcheck // tokens outlive ctx
	if err != nil {
		return sinks.Response{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // takes back what is still to be sent
	failed := s.produce(ctx, client, &attempt)
	switch {
	case len(failed) == 0:
		return sinks.Response{}, nil
	case len(attempt.Deliveries) == 1:
		return sinks.Response{}, failed[0]
	}
	return sinks.Response{}, &sinks.PartialError{Failed: failed}
}

// A promise is what becomes of one delivery.
type promise struct {
	index int
	err   error
}

// produce returns the errors of the deliveries that have failed, by their index.
func (s *sink) produce(ctx context.Context, client *kgo.Client, a *sinks.Attempt) map[int]error {
	failed := map[int]error{}
	refused := s.dialer.next()
	promises := make(chan promise, len(a.Deliveries))
	waiting := map[int]*kgo.Record{}
	for i := range a.Deliveries {
		r, err := s.maker.record(ctx, a, &a.Deliveries[i])
		if err != nil {
			failed[i] = err
			continue
		}
		waiting[i] = r
		client.Produce(ctx, r, func(_ *kgo.Record, err error) { promises <- promise{i, err} })
	}
	tick, useless := time.NewTicker(unreachable/2), 0
	defer tick.Stop()
	for len(waiting) > 0 {
		select {
		case <-tick.C:
			failure := s.cluster.Failure()
			if useless++; failure == nil {
				useless = 0
			}
			if useless < 2 {
				continue
			}
			giveUp(failed, waiting, failure)
		case p := <-promises:
			if takenBack(p.err) && ctx.Err() == nil {
				client.Produce(ctx, waiting[p.index], func(_ *kgo.Record, err error) { promises <- promise{p.index, err} })
				continue
			}
			if p.err != nil {
				failed[p.index] = s.judge(client, waiting[p.index], p.err)
			}
			delete(waiting, p.index)
			continue
		case <-refused:
			giveUp(failed, waiting, sinks.Permanent(s.dialer.refusal()))
		case <-ctx.Done():
			giveUp(failed, waiting, s.ended(ctx.Err()))
		}
		break
	}
	return failed
}

// takenBack tells whether a record was not stored because a delivery has ended: its
// own, or one whose record was before it in the partition. Then it is produced
// again, in the same order.
func takenBack(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func giveUp(failed map[int]error, waiting map[int]*kgo.Record, err error) {
	for i := range waiting {
		failed[i] = err
	}
}

// ended is the error of a delivery whose time is over, or that was stopped.
func (s *sink) ended(err error) error {
	switch failure := s.cluster.Failure(); {
	case failure != nil:
		return fmt.Errorf("%w: %w", failure, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("not stored by all in-sync replicas within the attempt's time: %w", err)
	}
	return fmt.Errorf("stopped before the record was stored: %w", err)
}

// final are the refusals that another attempt would meet again.
func final() []error {
	return []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord, kerr.InvalidTopicException, kerr.UnsupportedForMessageFormat}
}

// judge says what becomes of a delivery whose record was not stored.
func (s *sink) judge(client *kgo.Client, r *kgo.Record, err error) error {
	for _, refusal := range final() {
		if errors.Is(err, refusal) {
			return sinks.Permanent(fmt.Errorf("the topic %q refuses the record: %w", r.Topic, err))
		}
	}
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		if s.maker.topics != nil { // others may follow that are never heard of again
			client.PurgeTopicsFromProducing(r.Topic)
		}
		return fmt.Errorf("the topic %q does not exist: create it, or mend topic: %w", r.Topic, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return s.ended(err)
	}
	return fmt.Errorf("not stored in the topic %q: %w", r.Topic, s.cluster.Explain(err))
}
