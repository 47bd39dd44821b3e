package kinesis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/connect/awsconn"
	"sluice/sources/shards"
)

// maxRecords is how many records are asked for with one request: as many as the
// service gives. It gives no more than 10 MiB.
const maxRecords = 10000

// maxPages bounds the requests for the shards of one stream.
const maxPages = shards.MaxShards/1000 + 1

// A stream asks the service about one stream.
type stream struct {
	client *kinesis.Client
	name   string
	// byName and byARN say which stream is meant; one of them is nil.
	byName, byARN *string
	maker         maker
	arn           atomic.Pointer[string]
}

func newStream(c *Config, session *awsconn.Session) *stream {
	s := &stream{client: kinesis.NewFromConfig(session.Config), name: c.name()}
	s.maker = maker{source: "kinesis://" + s.name, deaggregate: c.Deaggregate}
	if s.name == c.Stream {
		s.byName = aws.String(c.Stream)
	} else {
		s.byARN = aws.String(c.Stream)
	}
	return s
}

// Describe asks for the stream and all its shards.
func (s *stream) Describe(ctx context.Context) (shards.Description, error) {
	answer, err := s.client.DescribeStreamSummary(ctx, &kinesis.DescribeStreamSummaryInput{StreamName: s.byName, StreamARN: s.byARN})
	if err != nil {
		return shards.Description{}, s.explain(err)
	}
	summary := answer.StreamDescriptionSummary
	if summary == nil || summary.StreamARN == nil || summary.StreamCreationTimestamp == nil {
		return shards.Description{}, errors.New("the service has described the stream without its ARN or its time of creation: what answers may be something else")
	}
	if status := summary.StreamStatus; status == types.StreamStatusCreating || status == types.StreamStatusDeleting {
		return shards.Description{}, fmt.Errorf("the stream %q is not active: it is %s", s.name, status)
	}
	s.arn.Store(summary.StreamARN)
	all, err := s.list(ctx)
	return shards.Description{
		ID:        *summary.StreamARN + "@" + strconv.FormatInt(summary.StreamCreationTimestamp.Unix(), 10),
		Retention: time.Duration(aws.ToInt32(summary.RetentionPeriodHours)) * time.Hour,
		Shards:    all,
	}, err
}

func (s *stream) list(ctx context.Context) ([]shards.Shard, error) {
	input := &kinesis.ListShardsInput{StreamName: s.byName, StreamARN: s.byARN}
	var all []shards.Shard
	for range maxPages {
		answer, err := s.client.ListShards(ctx, input)
		if err != nil {
			return nil, s.explain(err)
		}
		for i := range answer.Shards {
			all = append(all, shard(&answer.Shards[i]))
		}
		if answer.NextToken == nil {
			return all, nil
		}
		input = &kinesis.ListShardsInput{NextToken: answer.NextToken}
	}
	return nil, fmt.Errorf("the stream %q has more than %d shards", s.name, shards.MaxShards)
}

func shard(from *types.Shard) shards.Shard {
	s := shards.Shard{ID: aws.ToString(from.ShardId)}
	for _, parent := range []*string{from.ParentShardId, from.AdjacentParentShardId} {
		if parent != nil {
			s.Parents = append(s.Parents, *parent)
		}
	}
	s.Closed = from.SequenceNumberRange != nil && from.SequenceNumberRange.EndingSequenceNumber != nil
	return s
}

// Iterator asks where to read a shard from.
func (s *stream) Iterator(ctx context.Context, shard string, at shards.Position) (string, error) {
	input := &kinesis.GetShardIteratorInput{StreamName: s.byName, StreamARN: s.byARN, ShardId: &shard}
	switch at.From {
	case shards.Horizon:
		input.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case shards.Latest:
		input.ShardIteratorType = types.ShardIteratorTypeLatest
	case shards.Timestamp:
		input.ShardIteratorType, input.Timestamp = types.ShardIteratorTypeAtTimestamp, &at.Time
	case shards.At:
		input.ShardIteratorType, input.StartingSequenceNumber = types.ShardIteratorTypeAtSequenceNumber, &at.Sequence
	case shards.After:
		input.ShardIteratorType, input.StartingSequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &at.Sequence
	}
	answer, err := s.client.GetShardIterator(ctx, input)
	_, invalid := errors.AsType[*types.InvalidArgumentException](err)
	switch {
	case invalid && at.Sequence != "":
		return "", fmt.Errorf("%w: %w", shards.ErrTrimmed, awsconn.Explain(err))
	case err != nil:
		return "", s.explain(err)
	case aws.ToString(answer.ShardIterator) == "":
		return "", errors.New("the service has answered without an iterator: what answers may be something else")
	}
	return *answer.ShardIterator, nil
}

// Read reads the next records of a shard.
func (s *stream) Read(ctx context.Context, shard, iterator string) (shards.Page, error) {
	answer, err := s.client.GetRecords(ctx, &kinesis.GetRecordsInput{ShardIterator: &iterator, StreamARN: s.byARN, Limit: aws.Int32(maxRecords)})
	if _, invalid := errors.AsType[*types.InvalidArgumentException](err); invalid {
		return shards.Page{}, fmt.Errorf("%w: %w", shards.ErrExpired, awsconn.Explain(err))
	}
	if err != nil {
		return shards.Page{}, s.explain(err)
	}
	page := shards.Page{Next: aws.ToString(answer.NextShardIterator), Behind: -1}
	if answer.MillisBehindLatest != nil {
		page.Behind = time.Duration(*answer.MillisBehindLatest) * time.Millisecond
	}
	page.Records = make([]shards.Record, len(answer.Records))
	for i := range answer.Records {
		page.Records[i] = s.maker.record(shard, aws.ToString(s.arn.Load()), &answer.Records[i])
	}
	return page, nil
}

// explain says what an error means for who follows the stream.
func (s *stream) explain(err error) error {
	explained := awsconn.Explain(err)
	if awsconn.Throttled(err) {
		return fmt.Errorf("%w: %w", shards.ErrThrottled, explained)
	}
	if _, ok := errors.AsType[*types.ExpiredIteratorException](err); ok {
		return fmt.Errorf("%w: %w", shards.ErrExpired, explained)
	}
	if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
		return fmt.Errorf("there is no stream %q, or no such shard of it (check stream, region, endpoint and the account): %w: %w", s.name, shards.ErrNoShard, explained)
	}
	return explained
}
