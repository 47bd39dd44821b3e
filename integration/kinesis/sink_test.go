//go:build integration

package kinesis_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kinesis"
	"github.com/aws/aws-sdk-go-v2/service/kinesis/types"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	fixture "sluice/integration/kinesis"
	"sluice/sinks"
	sink "sluice/sinks/kinesis"
	"sluice/sinks/sinktest"
)

func sinkSection(s *fixture.Server) *sink.Config {
	c := sink.NewConfig()
	c.AWS = config.AWS{Endpoint: s.Endpoint(), AccessKey: config.NewSecret(fixture.AccessKey), SecretKey: config.NewSecret(fixture.SecretKey)}
	c.Stream = stream
	return c
}

func buildSink(tb testing.TB, c *sink.Config) sinks.Sink {
	tb.Helper()
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Sink(sinks.Env{Name: "kinesis"})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// records returns everything that is in the stream.
func records(tb testing.TB, c *kinesis.Client) []types.Record {
	tb.Helper()
	shards, err := c.ListShards(tb.Context(), &kinesis.ListShardsInput{StreamName: aws.String(stream)})
	if err != nil {
		tb.Fatal(err)
	}
	var all []types.Record
	for _, shard := range shards.Shards {
		at, err := c.GetShardIterator(tb.Context(), &kinesis.GetShardIteratorInput{
			StreamName: aws.String(stream), ShardId: shard.ShardId, ShardIteratorType: types.ShardIteratorTypeTrimHorizon,
		})
		if err != nil {
			tb.Fatal(err)
		}
		for next := at.ShardIterator; next != nil; {
			page, err := c.GetRecords(tb.Context(), &kinesis.GetRecordsInput{ShardIterator: next})
			if err != nil {
				tb.Fatal(err)
			}
			if len(page.Records) == 0 {
				break
			}
			all, next = append(all, page.Records...), page.NextShardIterator
		}
	}
	return all
}

// received reads a record as a consumer does.
func received(tb testing.TB, r *types.Record) sinktest.Received {
	tb.Helper()
	var e struct {
		ID      string          `json:"sluicedelivery"`
		Attempt int             `json:"sluiceattempt"`
		Key     string          `json:"partitionkey"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(r.Data, &e); err != nil {
		tb.Fatalf("%s: %v", r.Data, err)
	}
	if e.Key != aws.ToString(r.PartitionKey) {
		tb.Errorf("the record of partitionkey %q has the partition key %q", e.Key, aws.ToString(r.PartitionKey))
	}
	return sinktest.Received{ID: e.ID, Attempt: e.Attempt, Data: string(e.Data), Key: e.Key}
}

func store(tb testing.TB) sinktest.Store {
	tb.Helper()
	s := fixture.Start(tb)
	client := s.Client(tb)
	fixture.Create(tb, client, stream, 2)
	wrong := func(change func(*sink.Config)) func(testing.TB) sinks.Sink {
		return func(tb testing.TB) sinks.Sink {
			tb.Helper()
			c := sinkSection(s)
			change(c)
			return buildSink(tb, c)
		}
	}
	return sinktest.Store{
		Sink: wrong(func(*sink.Config) {}),
		Section: fmt.Sprintf("kinesis: {endpoint: %q, access_key: %s, secret_key: %s, stream: %s}",
			s.Endpoint(), fixture.AccessKey, fixture.SecretKey, stream),
		Stored: func(tb testing.TB) []sinktest.Received {
			tb.Helper()
			var all []sinktest.Received
			for _, r := range records(tb, client) {
				all = append(all, received(tb, &r))
			}
			return all
		},
		Restart: s.Restart, Crash: s.Crash,
		Hold: func(tb testing.TB) func() {
			tb.Helper()
			s.Pause(tb)
			return func() { s.Resume(tb) }
		},
		Wrong: []sinktest.Wrong{
			{Name: "no such stream", Sink: wrong(func(c *sink.Config) { c.Stream = "absent" }), Want: `there is no stream "absent"`},
			{Name: "nobody there", Sink: wrong(func(c *sink.Config) { c.Endpoint = "http://127.0.0.1:1" }), Want: "connection refused"},
			{Name: "no key", Sink: wrong(func(c *sink.Config) { c.PartitionKey = "{{ .absent }}" }), Want: "partition_key makes a key of 0 characters", Permanent: true},
			{Name: "no hash", Sink: wrong(func(c *sink.Config) { c.ExplicitHashKey = "{{ .id }}" }), Want: "explicit_hash_key makes", Permanent: true},
		},
		// Of 1 MiB and more, which kinesalite refuses.
		Bad: func(n int) *event.Event {
			return &event.Event{
				ID: "bad", Source: "/test", Type: "test.made", DataContentType: "application/json",
				Data: fmt.Appendf(nil, `{"n":%d,"more":"%s"}`, n, bytes.Repeat([]byte("x"), 1<<20)),
			}
		},
		Batches: true,
	}
}

func TestSink(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{Name: sink.Kind, Start: store, Kill: adapters.KillSink, Without: map[string]string{
		"the same twice": "a stream takes each record",
	}})
}

// TestHashKey chooses the shard by a number of the event.
func TestHashKey(t *testing.T) {
	s := fixture.Start(t)
	client := s.Client(t)
	fixture.Create(t, client, stream, 2)
	c := sinkSection(s)
	c.Mode, c.PartitionKey, c.ExplicitHashKey = sink.Raw, "{{ .type }}", "{{ .data.hash }}"
	out := buildSink(t, c)
	hashes := []string{"0", "340282366920938463463374607431768211455"}
	for i, hash := range hashes {
		e := &event.Event{ID: strconv.Itoa(i), Source: "/test", Type: "t", DataContentType: "application/json", Data: fmt.Appendf(nil, `{"hash":"%s"}`, hash)}
		if _, err := out.Deliver(t.Context(), sinks.Attempt{Deliveries: []sinks.Delivery{{ID: "d", Attempt: 1, Event: e}}}); err != nil {
			t.Fatal(err)
		}
	}
	all := records(t, client) // shard by shard
	if len(all) != 2 || string(all[0].Data) != `{"hash":"0"}` || aws.ToString(all[1].PartitionKey) != "t" {
		t.Errorf("the stream has %+v", all)
	}
	if err := out.(sinks.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func BenchmarkSink(b *testing.B) { adapters.BenchSink(b, "kinesis", store) }
