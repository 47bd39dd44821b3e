package eventbridge

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"sluice/connect/awsconn"
	"sluice/event"
	"sluice/event/transform"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

const (
	maxEntries = 10
	// maxBytes is what a request is filled up to, and the largest entry. The service
	// says what it takes.
	maxBytes = 1 << 20
	// maxSource and maxDetailType are how long a source and a detail type are at most.
	maxSource, maxDetailType = 256, 128
	// timeBytes is what the time of an entry counts.
	timeBytes = 14
	// reserved is how the sources of AWS's own events begin.
	reserved = "aws."
)

// A sink puts events onto one bus.
type sink struct {
	bus     string
	detail  Detail
	session *awsconn.Session
	api     *eventbridge.Client
	turns   *transform.Turns
	source  awssink.Text
	kind    awssink.Text
	batch   awssink.Batch[types.PutEventsRequestEntry]
	there   atomic.Bool // the bus was seen
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	section := c.section()
	session, err := section.Session(env)
	if err != nil {
		return nil, err
	}
	source, sourceErr := awssink.NewText("source", c.Source)
	kind, kindErr := awssink.NewText("detail_type", c.DetailType)
	if err := errors.Join(sourceErr, kindErr); err != nil {
		return nil, err
	}
	s := &sink{
		bus: c.Bus, detail: c.Detail, session: session, api: eventbridge.NewFromConfig(session.Config),
		turns: env.Turns, source: source, kind: kind,
	}
	s.batch = awssink.Batch[types.PutEventsRequestEntry]{
		Limits: awssink.Limits{Count: maxEntries, Bytes: maxBytes}, Most: maxBytes, Make: s.entry, Send: s.send,
	}
	return s, nil
}

// Close closes the connections.
func (s *sink) Close() error {
	s.session.Close()
	return nil
}

// Deliver puts the deliveries of an attempt.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	return s.batch.Deliver(ctx, a)
}

// entry makes a delivery an entry.
func (s *sink) entry(ctx context.Context, _ *sinks.Attempt, d *sinks.Delivery) (awssink.Entry[types.PutEventsRequestEntry], error) {
	var made awssink.Entry[types.PutEventsRequestEntry]
	detail, err := s.detailOf(d)
	if err != nil {
		return made, sinks.Permanent(err)
	}
	source, kind, err := s.names(ctx, d.Event)
	if err != nil {
		return made, err
	}
	made.Value = types.PutEventsRequestEntry{EventBusName: &s.bus, Source: &source, DetailType: &kind, Detail: &detail}
	made.Size = len(source) + len(kind) + len(detail)
	if !d.Event.Time.IsZero() {
		made.Value.Time = aws.Time(d.Event.Time)
		made.Size += timeBytes
	}
	if d.Event.Subject != "" {
		made.Value.Resources = []string{d.Event.Subject}
		made.Size += len(d.Event.Subject)
	}
	return made, nil
}

// names returns the source and the detail type.
func (s *sink) names(ctx context.Context, e *event.Event) (source, kind string, err error) {
	if s.source.IsTemplate() || s.kind.IsTemplate() {
		err = sinks.Fill(ctx, s.turns, e, func(ctx context.Context, in *transform.Input) (err error) {
			if source, err = s.source.Fill(ctx, in); err == nil {
				kind, err = s.kind.Fill(ctx, in)
			}
			return err
		})
	} else {
		source, kind = s.source.String(), s.kind.String()
	}
	if err != nil {
		return "", "", err
	}
	source, kind = cmp.Or(source, e.Source), cmp.Or(kind, e.Type)
	return source, kind, checkNames(source, kind)
}

// detailOf returns the detail, which is an object of JSON.
func (s *sink) detailOf(d *sinks.Delivery) (string, error) {
	if s.detail == DetailCloudEvent {
		return string(sinks.Named(d).AppendJSON(nil)), nil
	}
	data := bytes.TrimSpace(d.Event.Data)
	switch {
	case len(data) == 0:
		return "{}", nil
	case data[0] != '{' || !json.Valid(data):
		return "", fmt.Errorf("its data is no object of JSON, as the detail of an entry is: write detail: cloudevent, or make one by transform: %s", sinks.Excerpt(data))
	}
	return string(data), nil
}

// checkNames refuses what the service never takes.
func checkNames(source, kind string) error {
	switch {
	case source == "" || len(source) > maxSource:
		return sinks.Permanent(fmt.Errorf("its source has %d characters, and an entry's has 1 to %d", len(source), maxSource))
	case strings.HasPrefix(source, reserved):
		return sinks.Permanent(fmt.Errorf("its source %q begins with %s, which is for AWS's own: write another one in source", source, reserved))
	case kind == "" || len(kind) > maxDetailType:
		return sinks.Permanent(fmt.Errorf("its detail type has %d characters, and an entry's has 1 to %d", len(kind), maxDetailType))
	}
	return nil
}

// send makes one request.
func (s *sink) send(ctx context.Context, entries []awssink.Entry[types.PutEventsRequestEntry]) (map[int]error, error) {
	if err := s.look(ctx); err != nil {
		return nil, err
	}
	in := &eventbridge.PutEventsInput{Entries: make([]types.PutEventsRequestEntry, len(entries))}
	for i := range entries {
		in.Entries[i] = entries[i].Value
	}
	answer, err := s.api.PutEvents(ctx, in)
	if err != nil {
		return nil, err
	}
	if len(answer.Entries) != len(entries) {
		return nil, fmt.Errorf("the service has answered for %d entries of %d", len(answer.Entries), len(entries))
	}
	failed := map[int]error{}
	for i, e := range answer.Entries {
		if code := aws.ToString(e.ErrorCode); code != "" {
			failed[i] = awssink.EntryError(code, aws.ToString(e.ErrorMessage), "MalformedDetail", "InvalidArgument")
		}
	}
	return failed, nil
}

// lookTimeout bounds the look at the bus, so that it is no reason for an attempt
// to fail.
const lookTimeout = 5 * time.Second

// look asks once whether the bus is there: the service takes what is put onto a
// bus that is not, and drops it. Without permission to ask it is taken for there.
func (s *sink) look(ctx context.Context) error {
	if s.there.Load() {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	_, err := s.api.DescribeEventBus(within, &eventbridge.DescribeEventBusInput{Name: &s.bus})
	if _, missing := errors.AsType[*types.ResourceNotFoundException](err); missing {
		return fmt.Errorf("there is no event bus %q: create it, or mend bus and region: %w", s.bus, awsconn.Explain(err))
	}
	if code := awsconn.Code(err); err == nil || code == "AccessDeniedException" || code == "AccessDenied" {
		s.there.Store(true)
		return nil
	}
	return err
}
