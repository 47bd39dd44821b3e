package mqtt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"strconv"
	"strings"
	"time"

	"sluice/connect/mqttconn"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/internal/link"
	"sluice/worker"
)

// binding is that of MQTT 5: user properties are named as the attributes are
// (section 3.1.3.1).
var binding = event.Binding{Prefixes: []string{""}}

// A sink publishes deliveries to one topic, or to those that a template makes.
type sink struct {
	config Config
	topic  *transform.Template // nil when it is always the same
	alone  bool                // the template is one expression and nothing else
	turns  *transform.Turns
	link   *link.Link[*mqttconn.Conn]
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	l, err := newLink(c, env)
	if err != nil {
		return nil, err
	}
	s := &sink{config: *c, turns: env.Turns, link: l}
	if s.topic, err = newTopic(c.Topic); err != nil {
		return nil, err
	}
	if s.topic != nil {
		parts := 0
		s.topic.Parts(func(string) { parts++ }, func(*transform.Expression) { parts++ })
		s.alone = parts == 1
	}
	return s, nil
}

// Close ends the connection.
func (s *sink) Close() error {
	s.link.Close()
	return nil
}

// Deliver publishes each delivery as one message, one after the other.
func (s *sink) Deliver(ctx context.Context, attempt sinks.Attempt) (sinks.Response, error) {
	return sinks.OneByOne(&attempt, func(d *sinks.Delivery) (sinks.Response, error) {
		return sinks.Response{}, s.deliver(ctx, &attempt, d)
	})
}

func (s *sink) deliver(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	topic, err := s.fill(ctx, d.Event)
	if err != nil {
		return err
	}
	conn, err := s.link.Get(ctx)
	if err == nil {
		err = conn.Publish(ctx, s.message(topic, a, d))
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return fmt.Errorf("not acknowledged within the attempt's time: %w", err)
	}
	return judge(err)
}

// judge says what becomes of a delivery.
func judge(err error) error {
	var connecting *connectingError
	switch {
	case err == nil || errors.As(err, &connecting):
		return err
	case mqttconn.HasReason(err, mqttconn.QuotaExceeded, mqttconn.MessageRateTooHigh, mqttconn.ServerBusy):
		return &sinks.ThrottledError{Err: refused(err)}
	case mqttconn.HasReason(err, mqttconn.NotAuthorized, mqttconn.TopicNameInvalid, mqttconn.PacketTooLarge, mqttconn.PayloadFormatInvalid) && !mqttconn.Ended(err):
		return sinks.Permanent(refused(err))
	}
	return err
}

func refused(err error) error { return fmt.Errorf("the server refuses the message: %w", err) }

// fill returns the topic for an event.
func (s *sink) fill(ctx context.Context, e *event.Event) (string, error) {
	if s.topic == nil {
		return s.config.Topic, nil
	}
	topic := ""
	err := sinks.Fill(ctx, s.turns, e, func(ctx context.Context, in *transform.Input) (err error) {
		if topic, err = s.topic.Text(ctx, in, s.checkLevel); err == nil {
			err = mqttconn.CheckTopic(topic)
		}
		if err != nil {
			return fmt.Errorf("topic: %w", err)
		}
		return nil
	})
	return topic, err
}

// checkLevel refuses what would lead to another topic than the file says.
func (s *sink) checkLevel(value string) (string, error) {
	switch {
	case s.alone:
		return value, nil
	case value == "":
		return "", errors.New(`it yields an empty text, which would make another topic of it; write what stands there then, as in .subject // "none"`)
	case strings.ContainsAny(value, "/+#"):
		return "", fmt.Errorf("it yields %q, and / + and # would make another topic of it; replace them, as by gsub(\"[/+#]\"; \"_\")", value)
	}
	return value, nil
}

// message returns the message of a delivery.
func (s *sink) message(topic string, a *sinks.Attempt, d *sinks.Delivery) *mqttconn.Message {
	m := &mqttconn.Message{Topic: topic, QoS: byte(s.config.QoS), Retain: s.config.Retain, Payload: d.Event.Data}
	mode := s.config.mode()
	if s.config.Version == mqttconn.V311 {
		if mode == Structured {
			m.Payload = marked(d).AppendJSON(nil)
		}
		return m
	}
	if mode == Structured {
		m.Payload = d.Event.AppendJSON(nil)
	}
	p := &m.Properties
	p.Expiry = uint32(time.Duration(s.config.Expiry) / time.Second)
	p.ContentType = d.Event.DataContentType
	set := func(name, value string) { p.User = append(p.User, mqttconn.Property{Name: name, Value: value}) }
	switch mode {
	case Structured:
		p.ContentType = event.MediaTypeJSON
	case Binary:
		for name, value := range binding.Properties(d.Event) {
			set(name, value)
		}
	default:
		for _, name := range [...]string{"traceparent", "tracestate"} {
			if value := d.Event.Extension(name); value != "" {
				set(name, value)
			}
		}
	}
	set(worker.HeaderDelivery, d.ID)
	set(worker.HeaderAttempt, strconv.Itoa(d.Attempt))
	set(worker.HeaderTrigger, a.Trigger)
	set(worker.HeaderClaim, strconv.FormatUint(a.Claim, 10))
	return m
}

// marked returns the event of a delivery with the delivery's id and the number of
// the attempt, which have no other place in version 3.1.1.
func marked(d *sinks.Delivery) *event.Event {
	e := *d.Event
	e.Extensions = maps.Clone(e.Extensions)
	if e.Extensions == nil {
		e.Extensions = map[string]any{}
	}
	e.Extensions["sluicedelivery"] = d.ID
	e.Extensions["sluiceattempt"] = int32(min(d.Attempt, math.MaxInt32))
	return &e
}
