//go:build integration

package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/config"
	"sluice/connect/kafkaconn"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/kafka"
	"sluice/sinks"
	sink "sluice/sinks/kafka"
	"sluice/sinks/sinktest"
	"sluice/worker"
)

func TestSink(t *testing.T) {
	sinktest.ExerciseStore(t, sinktest.StoreFixture{
		Name: "kafka", Start: store, Kill: adapters.KillSink,
		Without: map[string]string{"the same twice": "Kafka knows a producer's own repeats only: a delivery that is attempted again is another record"},
	})
}

func BenchmarkSink(b *testing.B) {
	adapters.BenchSink(b, "kafka", store)
}

func store(tb testing.TB) sinktest.Store {
	tb.Helper()
	broker := kafka.Start(tb, kafka.Options{Password: password})
	client := broker.Client(tb)
	broker.CreateTopic(tb, client, topic, partitions)
	build := func(change func(*sink.Config)) func(tb testing.TB) sinks.Sink {
		return func(tb testing.TB) sinks.Sink {
			tb.Helper()
			c := sink.NewConfig()
			c.Brokers, c.Topic = []string{broker.Address}, topic
			c.SASL = &kafkaconn.SASL{Mechanism: kafkaconn.ScramSHA256, User: kafka.User, Password: config.NewSecret(password)}
			change(c)
			s, err := c.Sink(sinks.Env{Name: "out"})
			if err != nil {
				tb.Fatal(err)
			}
			return s
		}
	}
	return sinktest.Store{
		Sink: build(func(*sink.Config) {}),
		Section: fmt.Sprintf("kafka: {brokers: [%q], topic: %s, sasl: {mechanism: scram-sha-256, user: %s, password: %s}}",
			broker.Address, topic, kafka.User, password),
		Stored:  func(tb testing.TB) []sinktest.Received { tb.Helper(); return stored(tb, broker) },
		Restart: broker.Restart,
		Crash:   broker.Crash,
		Hold: func(tb testing.TB) func() {
			tb.Helper()
			broker.Pause(tb)
			return func() { broker.Resume(tb) }
		},
		Wrong: []sinktest.Wrong{
			{Name: "wrong password", Want: "sasl", Sink: build(func(c *sink.Config) { c.SASL.Password = config.NewSecret("wrong") })},
			{Name: "no such topic", Want: `the topic "missing" does not exist`, Sink: build(func(c *sink.Config) { c.Topic = "missing" })},
			{Name: "nobody there", Want: "connection refused", Sink: build(func(c *sink.Config) { c.Brokers = []string{"127.0.0.1:1"} })},
			{Name: "not public", Want: "egress is public", Permanent: true, Sink: build(func(c *sink.Config) { c.Egress = "public" })},
		},
		Bad: func(n int) *event.Event {
			return &event.Event{
				ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "test", DataContentType: "application/json",
				Data: fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, n, strings.Repeat("x", sink.DefaultMaxMessage)),
			}
		},
		Batches: true,
	}
}

// stored reads the whole topic, each partition in its order.
func stored(tb testing.TB, broker *kafka.Broker) []sinktest.Received {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), time.Minute)
	defer cancel()
	all := map[int32]kgo.Offset{}
	for number := range int32(partitions) {
		all[number] = kgo.NewOffset().AtStart()
	}
	client := broker.Client(tb, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: all}), kgo.FetchMaxWait(10*time.Millisecond))
	defer client.Close()
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		tb.Fatal(err)
	}
	left := map[int32]int64{}
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			left[o.Partition] = o.Offset
		}
	})
	var received []sinktest.Received
	for len(left) > 0 && ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			if r.Offset < left[r.Partition] {
				received = append(received, receivedOf(r))
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	if ctx.Err() != nil {
		tb.Fatal("the topic cannot be read to its end")
	}
	return received
}

func receivedOf(r *kgo.Record) sinktest.Received {
	received := sinktest.Received{Data: string(r.Value), Key: string(r.Key)}
	for _, h := range r.Headers {
		switch h.Key {
		case worker.HeaderDelivery:
			received.ID = string(h.Value)
		case worker.HeaderAttempt:
			_, _ = fmt.Sscan(string(h.Value), &received.Attempt)
		}
	}
	return received
}
