package sns

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"sluice/connect/awsconn"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

const (
	maxEntries = 10
	// maxBytes is what a request is filled up to. The service says what it takes.
	maxBytes = 256 << 10
	maxEntry = 1 << 20
	// maxSubject is how long a subject is at most.
	maxSubject = 100
)

// A sink publishes to one topic.
type sink struct {
	topic   string
	session *awsconn.Session
	api     *sns.Client
	maker   *awssink.Maker
	batch   awssink.Batch[awssink.Message]
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	section := c.section()
	session, err := section.Session(env)
	if err != nil {
		return nil, err
	}
	subject, err := awssink.NewText("subject", c.Subject)
	if err != nil {
		return nil, err
	}
	maker, err := awssink.NewMaker(&c.Messages, c.fifo(), env.Turns, subject)
	if err != nil {
		return nil, err
	}
	s := &sink{topic: c.Topic, session: session, api: sns.NewFromConfig(session.Config), maker: maker}
	s.batch = awssink.Batch[awssink.Message]{
		Limits: awssink.Limits{Count: maxEntries, Bytes: maxBytes}, Most: maxEntry, Make: s.entry, Send: s.send,
	}
	return s, nil
}

// Close closes the connections.
func (s *sink) Close() error {
	s.session.Close()
	return nil
}

// Deliver publishes the deliveries of an attempt.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	return s.batch.Deliver(ctx, a)
}

func (s *sink) entry(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (awssink.Entry[awssink.Message], error) {
	m, err := s.maker.Make(ctx, a, d)
	return awssink.Entry[awssink.Message]{Value: m, Size: m.Size(), Group: m.Group}, err
}

// send makes one request.
func (s *sink) send(ctx context.Context, entries []awssink.Entry[awssink.Message]) (map[int]error, error) {
	in := &sns.PublishBatchInput{TopicArn: &s.topic, PublishBatchRequestEntries: make([]types.PublishBatchRequestEntry, len(entries))}
	for i := range entries {
		in.PublishBatchRequestEntries[i] = requestEntry(i, &entries[i].Value)
	}
	answer, err := s.api.PublishBatch(ctx, in)
	if _, missing := errors.AsType[*types.NotFoundException](err); missing {
		return nil, fmt.Errorf("there is no topic %q: create it, or mend topic and endpoint: %w", s.topic, awsconn.Explain(err))
	}
	if err != nil {
		return nil, err
	}
	failed := map[int]error{}
	for _, f := range answer.Failed {
		if i, err := strconv.Atoi(aws.ToString(f.Id)); err == nil && i >= 0 && i < len(entries) {
			failed[i] = awssink.EntryError(aws.ToString(f.Code), aws.ToString(f.Message), "InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid")
		}
	}
	return failed, nil
}

func requestEntry(i int, m *awssink.Message) types.PublishBatchRequestEntry {
	e := types.PublishBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), Message: &m.Body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	for name, value := range m.Attributes {
		e.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
	}
	if subject := cleanSubject(m.Extra[0]); subject != "" {
		e.Subject = &subject
	}
	if m.Group != "" {
		e.MessageGroupId, e.MessageDeduplicationId = &m.Group, &m.Deduplication
	}
	return e
}

// cleanSubject makes a text one that the service takes: up to 100 characters of
// ASCII without line ends, that begin with no space.
func cleanSubject(text string) string {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r < ' ' || r == 0x7f:
			return ' '
		case r > 0x7f:
			return '?'
		}
		return r
	}, text))
	return strings.TrimSpace(text[:min(len(text), maxSubject)])
}
