package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"sluice/event"
	"sluice/sinks"
	"sluice/sinks/internal/link"
	"sluice/worker"
)

// A sink sends deliveries to one subject.
type sink struct {
	config Config
	link   *link.Link[*wire]
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	l, err := newLink(c, env)
	if err != nil {
		return nil, err
	}
	return &sink{config: *c, link: l}, nil
}

// Close closes the connection.
func (s *sink) Close() error {
	s.link.Close()
	return nil
}

// Deliver sends each delivery as one message, one after the other.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	return sinks.OneByOne(&attempt, func(d *sinks.Delivery) (sinks.Response, error) {
		response, err := s.deliver(ctx, &attempt, d)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = ended(err)
		}
		return response, err
	})
}

// ended is the error of an attempt whose time is over, or that was stopped.
func ended(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer within the attempt's time: %w", err)
	}
	return fmt.Errorf("stopped before an answer came: %w", err)
}

func (s *sink) deliver(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (sinks.Response, error) {
	if err := ctx.Err(); err != nil {
		return sinks.Response{}, err
	}
	w, err := s.link.Get(ctx)
	if err == nil {
		err = w.ready()
	}
	if err != nil {
		return sinks.Response{}, err
	}
	m := s.message(ctx, a, d)
	if s.config.Confirm == ByStream {
		return sinks.Response{}, s.store(ctx, w, m, d)
	}
	answer, err := w.request(ctx, m, time.Duration(s.config.AckWait))
	if err != nil {
		return sinks.Response{}, err
	}
	return settle(answer)
}

var errBroken = errors.New("the connection has broken before the stream has acknowledged")

// store publishes to JetStream, and returns when the message is stored. The id
// of the delivery is that of the message: within the stream's window a repeat
// is not stored again, so that nothing is waited for when the connection breaks.
func (s *sink) store(attempt context.Context, w *wire, m *nats.Msg, d *sinks.Delivery) error {
	ctx, cancel := context.WithCancelCause(attempt)
	defer cancel(nil)
	defer w.onBreak(func() { cancel(errBroken) })()
	if err := w.ready(); err != nil {
		return err
	}
	options := []jetstream.PublishOpt{jetstream.WithMsgID(d.ID), jetstream.WithRetryAttempts(0)}
	if s.config.Stream != "" {
		options = append(options, jetstream.WithExpectStream(s.config.Stream))
	}
	_, err := w.js.PublishMsg(ctx, m, options...)
	var api *jetstream.APIError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream stores the subject %q, or it has no leader: create one, or mend its subjects", s.config.Subject)
	case errors.As(err, &api) && api.ErrorCode == codeTooLarge:
		return sinks.Permanent(fmt.Errorf("the stream takes no message of this size (max_msg_size): %w", api))
	case errors.As(err, &api):
		return fmt.Errorf("not stored: %w", api)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return w.sendError(err)
}

// codeTooLarge is JetStream's error for a message over the stream's limit.
const codeTooLarge = 10054

// message returns the message of a delivery.
func (s *sink) message(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) *nats.Msg {
	m := nats.NewMsg(s.config.Subject)
	set := func(name, value string) { m.Header[name] = []string{value} }
	s.encode(m, d.Event, set)
	set(worker.HeaderDelivery, d.ID)
	set(worker.HeaderAttempt, strconv.Itoa(d.Attempt))
	set(worker.HeaderTrigger, a.Trigger)
	set(worker.HeaderClaim, strconv.FormatUint(a.Claim, 10))
	if s.config.Confirm == ByWorker {
		set(worker.HeaderAckWait, milliseconds(time.Duration(s.config.AckWait)))
		if deadline, bounded := ctx.Deadline(); bounded {
			set(worker.HeaderTimeout, milliseconds(time.Until(deadline)))
		}
	}
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value := d.Event.Extension(name); value != "" {
			set(name, value)
		}
	}
	return m
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(d.Milliseconds(), 1), 10) }

// encode makes the event a message. The content type of the data is an attribute
// among others: content-type is that of a whole event (NATS binding, sections
// 3.1.3 and 3.2.1).
func (s *sink) encode(m *nats.Msg, e *event.Event, set func(name, value string)) {
	switch s.config.Mode {
	case Structured:
		set("content-type", event.MediaTypeJSON)
		m.Data = e.AppendJSON(nil)
	case Raw:
		m.Data = e.Data
		if e.DataContentType != "" {
			set("content-type", e.DataContentType)
		}
	default:
		m.Data = e.Data
		e.HTTPHeaders(func(name, value string) {
			if name == "Content-Type" {
				name = "ce-datacontenttype"
			}
			set(name, value)
		})
	}
}
