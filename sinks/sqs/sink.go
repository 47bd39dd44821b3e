package sqs

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/connect/awsconn"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

const (
	maxEntries = 10
	// maxBytes is the most that a message, and all of a request, may have. A queue
	// may have a lower limit of its own.
	maxBytes = 1 << 20
)

// A sink sends to one queue.
type sink struct {
	queue   awsconn.Queue
	session *awsconn.Session
	api     *sqs.Client
	maker   *awssink.Maker
	batch   awssink.Batch[awssink.Message]
	url     atomic.Pointer[string] // nil until it is known
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	q, err := awsconn.ParseQueue(c.Queue)
	if err != nil {
		return nil, err
	}
	section := c.section(q)
	session, err := section.Session(env)
	if err != nil {
		return nil, err
	}
	maker, err := awssink.NewMaker(&c.Messages, q.FIFO(), env.Turns)
	if err != nil {
		return nil, err
	}
	s := &sink{queue: q, session: session, api: sqs.NewFromConfig(session.Config), maker: maker}
	if q.URL != "" {
		s.url.Store(&q.URL)
	}
	s.batch = awssink.Batch[awssink.Message]{
		Limits: awssink.Limits{Count: maxEntries, Bytes: maxBytes}, Most: maxBytes, Make: s.entry, Send: s.send,
	}
	return s, nil
}

// Close closes the connections.
func (s *sink) Close() error {
	s.session.Close()
	return nil
}

// Deliver sends the deliveries of an attempt.
func (s *sink) Deliver(ctx context.Context, a sinks.Attempt) (sinks.Response, error) {
	return s.batch.Deliver(ctx, a)
}

func (s *sink) entry(ctx context.Context, a *sinks.Attempt, d *sinks.Delivery) (awssink.Entry[awssink.Message], error) {
	m, err := s.maker.Make(ctx, a, d)
	return awssink.Entry[awssink.Message]{Value: m, Size: m.Size(), Group: m.Group}, err
}

// send makes one request.
func (s *sink) send(ctx context.Context, entries []awssink.Entry[awssink.Message]) (map[int]error, error) {
	url, err := s.find(ctx)
	if err != nil {
		return nil, s.explain(err)
	}
	in := &sqs.SendMessageBatchInput{QueueUrl: url, Entries: make([]types.SendMessageBatchRequestEntry, len(entries))}
	for i := range entries {
		in.Entries[i] = requestEntry(i, &entries[i].Value)
	}
	answer, err := s.api.SendMessageBatch(ctx, in)
	if err != nil {
		return nil, s.explain(err)
	}
	failed := map[int]error{}
	for _, f := range answer.Failed {
		if i, err := strconv.Atoi(aws.ToString(f.Id)); err == nil && i >= 0 && i < len(entries) {
			failed[i] = awssink.EntryError(aws.ToString(f.Code), aws.ToString(f.Message),
				"InvalidMessageContents", "InvalidParameterValue", "InvalidAttributeValue")
		}
	}
	return failed, nil
}

func requestEntry(i int, m *awssink.Message) types.SendMessageBatchRequestEntry {
	e := types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &m.Body, MessageAttributes: map[string]types.MessageAttributeValue{}}
	for name, value := range m.Attributes {
		e.MessageAttributes[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
	}
	if m.Group != "" {
		e.MessageGroupId, e.MessageDeduplicationId = &m.Group, &m.Deduplication
	}
	return e
}

// find returns the queue's URL, which is asked for once.
func (s *sink) find(ctx context.Context) (*string, error) {
	if url := s.url.Load(); url != nil {
		return url, nil
	}
	in := &sqs.GetQueueUrlInput{QueueName: &s.queue.Name}
	if s.queue.Account != "" {
		in.QueueOwnerAWSAccountId = &s.queue.Account
	}
	found, err := s.api.GetQueueUrl(ctx, in)
	if err != nil {
		return nil, err
	}
	s.url.Store(found.QueueUrl)
	return found.QueueUrl, nil
}

// explain says what to do about a queue that is not there.
func (s *sink) explain(err error) error {
	if _, ok := errors.AsType[*types.QueueDoesNotExist](err); ok {
		return fmt.Errorf("there is no queue %q, or sluice may not see it: create it, or mend queue and region: %w", s.queue.Name, awsconn.Explain(err))
	}
	return err
}
