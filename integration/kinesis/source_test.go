//go:build integration

package kinesis_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	fixture "sluice/integration/kinesis"
	"sluice/sources"
	source "sluice/sources/kinesis"
	"sluice/sources/shards"
	"sluice/sources/sourcetest"
)

const stream = "orders"

// keys is over how many partition keys things are spread.
const keys = 8

// section returns the section of a source that reads the stream from its
// beginning.
func section(s *fixture.Server) *source.Config {
	c := source.NewConfig()
	c.AWS = config.AWS{Endpoint: s.Endpoint(), AccessKey: config.NewSecret(fixture.AccessKey), SecretKey: config.NewSecret(fixture.SecretKey)}
	c.Stream, c.Start, c.Poll = stream, "trim_horizon", config.Duration(shards.MinPoll)
	return c
}

func build(tb testing.TB, c *source.Config, env sources.Env) sources.Source {
	tb.Helper()
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// A producer puts numbered records.
type producer struct {
	client *kinesis.Client
	sent   atomic.Int64
}

func (p *producer) send(ctx context.Context, n int) error { return p.fill(ctx, n, 0) }

// fill puts records of at least size bytes.
func (p *producer) fill(ctx context.Context, n, size int) error {
	var entries []types.PutRecordsRequestEntry
	for range n {
		number := int(p.sent.Add(1)) - 1
		data := fmt.Appendf(nil, `{"n":%d}`, number)
		entries = append(entries, types.PutRecordsRequestEntry{
			PartitionKey: aws.String("key-" + strconv.Itoa(number%keys)), Data: append(data, bytes.Repeat([]byte(" "), max(size-len(data), 0))...),
		})
	}
	for len(entries) > 0 {
		some := entries[:min(len(entries), 500)]
		answer, err := p.client.PutRecords(ctx, &kinesis.PutRecordsInput{StreamName: aws.String(stream), Records: some})
		if err != nil {
			return err
		}
		if aws.ToInt32(answer.FailedRecordCount) > 0 {
			return fmt.Errorf("%d records failed", *answer.FailedRecordCount)
		}
		entries = entries[len(some):]
	}
	return nil
}

// number returns the number of the thing that an event was made of.
func number(e *event.Event) int {
	var data struct{ N int }
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return -1
	}
	return data.N
}

func upstream(tb testing.TB) sourcetest.Upstream {
	tb.Helper()
	s := fixture.Start(tb)
	client := s.Client(tb)
	fixture.Create(tb, client, stream, 2)
	p := &producer{client: client}
	wrong := func(change func(*source.Config)) func(testing.TB, sources.Env) sources.Source {
		return func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			c := section(s)
			change(c)
			return build(tb, c, env)
		}
	}
	return sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			return build(tb, section(s), sourcetest.Env("kinesis", nil))
		},
		Section: fmt.Sprintf("kinesis: {endpoint: %q, access_key: %s, secret_key: %s, stream: %s, start: trim_horizon, poll: 200ms}",
			s.Endpoint(), fixture.AccessKey, fixture.SecretKey, stream),
		Send: p.send, Fill: p.fill,
		Keeps: true, Exact: true, Number: number,
		Restart: s.Restart,
		Wrong: []sourcetest.Wrong{
			{Name: "no such stream", Source: wrong(func(c *source.Config) { c.Stream = "absent" }), Want: `there is no stream "absent"`},
			{Name: "nobody there", Source: wrong(func(c *source.Config) { c.Endpoint = "http://127.0.0.1:1" }), Want: "connection refused"},
		},
	}
}

func TestSource(t *testing.T) {
	sourcetest.Exercise(t, sourcetest.Fixture{Name: source.Kind, Start: upstream, Kill: adapters.KillSource, Without: map[string]string{
		"I5: same id twice": "a stream shows each record once to who reads on from where he was",
	}})
}

// TestSplitAndMerge splits and merges shards while records come: each is an event
// once, in the order of its key.
func TestSplitAndMerge(t *testing.T) {
	s := fixture.Start(t)
	client := s.Client(t)
	fixture.Create(t, client, stream, 2)
	p := &producer{client: client}
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, build(t, section(s), sourcetest.Env("kinesis", nil)), out)
	const each = 40
	put := func() {
		t.Helper()
		if err := p.send(t.Context(), each); err != nil {
			t.Fatal(err)
		}
	}
	put()
	_, err := client.SplitShard(t.Context(), &kinesis.SplitShardInput{
		StreamName: aws.String(stream), ShardToSplit: aws.String("shardId-000000000000"), NewStartingHashKey: aws.String("85070591730234615865843651857942052864"),
	})
	if err != nil {
		t.Fatal(err)
	}
	fixture.Await(t, client, stream)
	put()
	_, err = client.MergeShards(t.Context(), &kinesis.MergeShardsInput{
		StreamName: aws.String(stream), ShardToMerge: aws.String("shardId-000000000003"), AdjacentShardToMerge: aws.String("shardId-000000000001"),
	})
	if err != nil {
		t.Fatal(err)
	}
	fixture.Await(t, client, stream)
	put()
	events := out.Wait(t, 3*each)
	stop()
	last, from := map[string]int{}, map[string]bool{}
	for i := range events {
		n := number(&events[i])
		if before, any := last[events[i].PartitionKey()]; any && before >= n {
			t.Errorf("key %s: %d came after %d", events[i].PartitionKey(), n, before)
		}
		last[events[i].PartitionKey()] = n
		from[events[i].Extension("shard")] = true
	}
	if len(out.Events()) != 3*each || len(last) != keys || len(from) < 4 {
		t.Errorf("%d events of %d keys and %d shards", len(out.Events()), len(last), len(from))
	}
}

func BenchmarkSource(b *testing.B) { adapters.BenchSource(b, "kinesis", upstream) }
