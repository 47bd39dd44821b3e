package dynamodb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"sluice/connect/awsconn"
	"sluice/sources/shards"
)

const (
	// retention is how long the service keeps records.
	retention = 24 * time.Hour
	// maxRecords is how many records are asked for with one request: as many as the
	// service gives. It gives no more than 1 MiB.
	maxRecords = 1000
	// perPage is how many streams or shards the service lists with one request.
	perPage = 100
	// maxStreams is how many streams of one table are followed, those included that
	// were disabled and are not yet gone.
	maxStreams = 1000
	// inARN stands between a table's ARN and its stream's label.
	inARN = "/stream/"
)

// A table asks the service about all streams of one table, as if they were one:
// each time that its stream is disabled and enabled, the table gets another one,
// and the one before is kept for a day. Shards are named after their stream's
// label, which is when it was enabled: label/shardId.
type table struct {
	client *dynamodbstreams.Client
	name   string
	arn    atomic.Pointer[string] // of the table
}

func newTable(name string, session *awsconn.Session) *table {
	return &table{client: dynamodbstreams.NewFromConfig(session.Config), name: name}
}

var errNone = errors.New("no stream")

// Describe asks for the shards of all streams of the table.
func (t *table) Describe(ctx context.Context) (shards.Description, error) {
	labels, err := t.streams(ctx)
	if err != nil {
		return shards.Description{}, err
	}
	d := shards.Description{Retention: retention}
	var before []shards.Shard
	for _, label := range labels {
		all, err := t.shards(ctx, label)
		if errors.Is(err, errNone) {
			continue // gone since it was listed
		}
		if err != nil {
			return shards.Description{}, err
		}
		d.ID = *t.arn.Load()
		follow(all, before)
		if len(all) > 0 {
			d.Shards, before = append(d.Shards, all...), all
		}
	}
	if d.ID == "" {
		return d, fmt.Errorf("the table %q has no stream, or is not there (check table, region, endpoint and the account): enable one with `aws dynamodb update-table --table-name %s --stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES`", t.name, t.name)
	}
	return d, nil
}

// streams returns the labels of the table's streams, the oldest first.
func (t *table) streams(ctx context.Context) ([]string, error) {
	var labels []string
	input := &dynamodbstreams.ListStreamsInput{TableName: &t.name, Limit: aws.Int32(perPage)}
	for range maxStreams / perPage {
		answer, err := t.client.ListStreams(ctx, input)
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
			return nil, nil
		}
		if err != nil {
			return nil, t.explain(err)
		}
		for i := range answer.Streams {
			stream := aws.ToString(answer.Streams[i].StreamArn)
			arn, label, ok := cutLast(stream, inARN)
			if !ok || !strings.HasSuffix(arn, "/"+t.name) {
				return nil, fmt.Errorf("the service has listed %q as a stream of the table %q: what answers may be something else", stream, t.name)
			}
			t.arn.Store(&arn)
			labels = append(labels, label)
		}
		if input.ExclusiveStartStreamArn = answer.LastEvaluatedStreamArn; input.ExclusiveStartStreamArn == nil {
			slices.Sort(labels)
			return labels, nil
		}
	}
	return nil, fmt.Errorf("the table %q has more than %d streams", t.name, maxStreams)
}

// cutLast cuts around the last separator: a table may be called "stream" itself.
func cutLast(s, separator string) (before, after string, found bool) {
	i := strings.LastIndex(s, separator)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(separator):], true
}

// shards returns the shards of one stream, or errNone.
func (t *table) shards(ctx context.Context, label string) ([]shards.Shard, error) {
	var all []shards.Shard
	input := &dynamodbstreams.DescribeStreamInput{StreamArn: t.stream(label), Limit: aws.Int32(perPage)}
	for range shards.MaxShards/perPage + 1 {
		answer, err := t.client.DescribeStream(ctx, input)
		if _, ok := errors.AsType[*types.ResourceNotFoundException](err); ok {
			return nil, errNone
		}
		if err != nil {
			return nil, t.explain(err)
		}
		if answer.StreamDescription == nil {
			return nil, errors.New("the service has answered without a description: what answers may be something else")
		}
		for i := range answer.StreamDescription.Shards {
			all = append(all, shard(label, &answer.StreamDescription.Shards[i]))
		}
		if input.ExclusiveStartShardId = answer.StreamDescription.LastEvaluatedShardId; input.ExclusiveStartShardId == nil {
			return all, nil
		}
	}
	return nil, fmt.Errorf("the stream %s of the table %q has more than %d shards", label, t.name, shards.MaxShards)
}

func shard(label string, from *types.Shard) shards.Shard {
	s := shards.Shard{ID: label + "/" + aws.ToString(from.ShardId)}
	if from.ParentShardId != nil {
		s.Parents = []string{label + "/" + *from.ParentShardId}
	}
	s.Closed = from.SequenceNumberRange != nil && from.SequenceNumberRange.EndingSequenceNumber != nil
	return s
}

// follow lets the first shards of a stream follow the last of the stream before,
// so that they are read after them: first is what has no parent that is there.
func follow(all, before []shards.Shard) {
	there := map[string]bool{}
	for i := range all {
		there[all[i].ID] = true
	}
	last := leaves(before)
	for i := range all {
		if !slices.ContainsFunc(all[i].Parents, func(id string) bool { return there[id] }) {
			all[i].Parents = append(all[i].Parents, last...)
		}
	}
}

// leaves returns the shards that are no other's parent.
func leaves(all []shards.Shard) []string {
	parents := map[string]bool{}
	for i := range all {
		for _, id := range all[i].Parents {
			parents[id] = true
		}
	}
	var ids []string
	for i := range all {
		if !parents[all[i].ID] {
			ids = append(ids, all[i].ID)
		}
	}
	return ids
}

// stream returns the ARN of the stream with a label.
func (t *table) stream(label string) *string {
	return aws.String(aws.ToString(t.arn.Load()) + inARN + label)
}

// Iterator asks where to read a shard from.
func (t *table) Iterator(ctx context.Context, shard string, at shards.Position) (string, error) {
	label, id, _ := strings.Cut(shard, "/")
	input := &dynamodbstreams.GetShardIteratorInput{StreamArn: t.stream(label), ShardId: &id}
	switch at.From {
	case shards.Horizon:
		input.ShardIteratorType = types.ShardIteratorTypeTrimHorizon
	case shards.Latest:
		input.ShardIteratorType = types.ShardIteratorTypeLatest
	case shards.Timestamp:
		input.ShardIteratorType, input.Timestamp = types.ShardIteratorTypeAtTimestamp, &at.Time
	case shards.At:
		input.ShardIteratorType, input.SequenceNumber = types.ShardIteratorTypeAtSequenceNumber, &at.Sequence
	case shards.After:
		input.ShardIteratorType, input.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &at.Sequence
	}
	answer, err := t.client.GetShardIterator(ctx, input)
	switch {
	case invalid(err) && at.Sequence != "":
		return "", fmt.Errorf("%w: %w", shards.ErrTrimmed, awsconn.Explain(err))
	case invalid(err) && at.From == shards.Timestamp:
		return "", fmt.Errorf("the service does not begin at %s: it is a time to come, or the server does not know AT_TIMESTAMP; write %s or %s as start: %w",
			at.Time.UTC().Format(time.RFC3339), shards.StartLatest, shards.StartHorizon, awsconn.Explain(err))
	case err != nil:
		return "", t.explain(err)
	case aws.ToString(answer.ShardIterator) == "":
		return "", errors.New("the service has answered without an iterator: what answers may be something else")
	}
	return *answer.ShardIterator, nil
}

// invalid tells whether a request was refused for what stands in it.
func invalid(err error) bool { return awsconn.Code(err) == "ValidationException" }

// Read reads the next records of a shard.
func (t *table) Read(ctx context.Context, shard, iterator string) (shards.Page, error) {
	answer, err := t.client.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &iterator, Limit: aws.Int32(maxRecords)})
	if invalid(err) {
		return shards.Page{}, fmt.Errorf("%w: %w", shards.ErrExpired, awsconn.Explain(err))
	}
	if err != nil {
		return shards.Page{}, t.explain(err)
	}
	label, _, _ := strings.Cut(shard, "/")
	page := shards.Page{Next: aws.ToString(answer.NextShardIterator), Behind: -1, Records: make([]shards.Record, len(answer.Records))}
	for i := range answer.Records {
		if page.Records[i], err = record(t.name, *t.stream(label), shard, &answer.Records[i]); err != nil {
			return shards.Page{}, err
		}
	}
	return page, nil
}

// explain says what an error means for who follows the table.
func (t *table) explain(err error) error {
	explained := awsconn.Explain(err)
	_, expired := errors.AsType[*types.ExpiredIteratorException](err)
	_, trimmed := errors.AsType[*types.TrimmedDataAccessException](err)
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	kind := cmp.Or(
		when(awsconn.Throttled(err), shards.ErrThrottled), when(expired, shards.ErrExpired),
		when(trimmed, shards.ErrTrimmed), when(missing, shards.ErrNoShard))
	if kind == nil {
		return explained
	}
	return fmt.Errorf("%w: %w", kind, explained)
}

func when(is bool, err error) error {
	if is {
		return err
	}
	return nil
}
