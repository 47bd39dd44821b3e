package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/connect/awsconn"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

const (
	// maxRecords is how many records one request has.
	maxRecords = 500
	// maxRequest is how many bytes the records of one request have, unless one
	// alone is larger. The service takes 10 MiB by now; not all that speak its
	// protocol do.
	maxRequest = 5 << 20
	// maxRecord is the largest record that a stream can be told to take, in bytes
	// with its partition key. Most take 1 MiB, and say so.
	maxRecord = 10 << 20
)

// A sink puts records into one stream.
type sink struct {
	client  *kinesis.Client
	session *awsconn.Session
	stream  string
	// byName and byARN say which stream is meant; one of them is nil.
	byName, byARN *string
	batch         awssink.Batch[types.PutRecordsRequestEntry]
}

var _ sinks.Closer = (*sink)(nil)

func newSink(c *Config, env sinks.Env) (*sink, error) {
	k, err := newKeys(c)
	if err != nil {
		return nil, err
	}
	section := c.section()
	session, err := section.Session(env)
	if err != nil {
		return nil, err
	}
	s := &sink{client: kinesis.NewFromConfig(session.Config), session: session, stream: c.Stream}
	if strings.HasPrefix(c.Stream, "arn:") {
		s.byARN = aws.String(c.Stream)
	} else {
		s.byName = aws.String(c.Stream)
	}
	m := &maker{mode: c.Mode, keys: k, turns: env.Turns}
	s.batch = awssink.Batch[types.PutRecordsRequestEntry]{
		Limits: awssink.Limits{Count: maxRecords, Bytes: maxRequest}, Most: maxRecord,
		Make: m.entry, Send: s.send, Refused: refused,
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

// send makes one request.
func (s *sink) send(ctx context.Context, entries []awssink.Entry[types.PutRecordsRequestEntry]) (map[int]error, error) {
	in := &kinesis.PutRecordsInput{StreamName: s.byName, StreamARN: s.byARN, Records: make([]types.PutRecordsRequestEntry, len(entries))}
	for i := range entries {
		in.Records[i] = entries[i].Value
	}
	answer, err := s.client.PutRecords(ctx, in)
	switch {
	case err != nil:
		return nil, s.explain(err)
	case len(answer.Records) != len(entries):
		return nil, fmt.Errorf("the service has answered for %d records of %d: what answers may be something else", len(answer.Records), len(entries))
	}
	failed := map[int]error{}
	for i := range answer.Records {
		if err := settle(&answer.Records[i]); err != nil {
			failed[i] = err
		}
	}
	return failed, nil
}

// settle returns what has become of one record.
func settle(r *types.PutRecordsResultEntry) error {
	switch code := aws.ToString(r.ErrorCode); {
	case code != "":
		return awssink.EntryError(code, aws.ToString(r.ErrorMessage))
	case aws.ToString(r.SequenceNumber) == "":
		return errors.New("the service has given the record no sequence number: what answers may be something else")
	}
	return nil
}

// refused tells whether a request was refused for what stands in it: one record
// is enough, and then none of them was put.
func refused(err error) bool {
	switch awsconn.Code(err) {
	case "ValidationException", "InvalidArgumentException", "SerializationException":
		return true
	}
	return false
}

// explain says what to do about a stream that is not there.
func (s *sink) explain(err error) error {
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return fmt.Errorf("there is no stream %q (check stream, region, endpoint and the account): %w", s.stream, awsconn.Explain(err))
	}
	return err
}
