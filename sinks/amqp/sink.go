package amqp

import (
	"context"
	"fmt"
	"sync/atomic"

	"sluice/sinks"
	"sluice/sinks/internal/link"
)

// A sink publishes to one exchange.
type sink struct {
	writer *writer
	link   *link.Link[*wire]
	limit  *atomic.Int64 // the most bytes of a message, where the broker has told; else 0
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	w, err := newWriter(c, env.Turns)
	if err != nil {
		return nil, err
	}
	s := &sink{writer: w, limit: &atomic.Int64{}}
	if s.link, err = newLink(c, env, s.limit); err != nil {
		return nil, err
	}
	return s, nil
}

// Close closes the connection.
func (s *sink) Close() error {
	s.link.Close()
	return nil
}

// Deliver publishes all deliveries of an attempt, and waits for the confirm of
// each.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	w, err := s.link.Get(ctx)
	if err != nil {
		return sinks.Response{}, err
	}
	failed := map[int]error{}
	under := make(map[int]*outgoing, len(attempt.Deliveries))
	for i := range attempt.Deliveries {
		o, err := s.message(ctx, w, &attempt, i)
		if err == nil {
			err = w.offer(ctx, o)
		}
		if under[i] = o; err != nil {
			failed[i] = err
			delete(under, i)
		}
	}
	for i, o := range under {
		if err := w.await(ctx, o); err != nil {
			failed[i] = err
		}
	}
	switch {
	case len(failed) == 0:
		return sinks.Response{}, nil
	case len(attempt.Deliveries) == 1:
		return sinks.Response{}, failed[0]
	}
	return sinks.Response{}, &sinks.PartialError{Failed: failed}
}

// message makes the message of a delivery, if the broker can take it.
func (s *sink) message(ctx context.Context, w *wire, a *sinks.Attempt, i int) (*outgoing, error) {
	key, m, err := s.writer.write(ctx, a, &a.Deliveries[i])
	if err != nil {
		return nil, err
	}
	size, limit := int64(len(m.Body)), s.limit.Load()
	if limit > 0 && size > limit {
		return nil, overLimit(size, limit)
	}
	if took, most := frame(&m), w.connection.Config.FrameSize; most > 0 && took > most {
		return nil, sinks.Permanent(fmt.Errorf("attributes and headers take %d bytes, and the broker takes %d (frame_max)", took, most))
	}
	return newOutgoing(key, m), nil
}
