//go:build integration

package moto_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventbridgetypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/moto"
	"sluice/sinks"
	sinkeventbridge "sluice/sinks/eventbridge"
	sinkhttp "sluice/sinks/http"
	"sluice/sinks/sinktest"
	sinksns "sluice/sinks/sns"
	sinksqs "sluice/sinks/sqs"
	"sluice/worker"
)

// A kept queue takes everything out of a queue, in its order.
type kept struct {
	*queue

	read func(m *types.Message) sinktest.Received
	mu   sync.Mutex
	all  []sinktest.Received
}

// stored returns all that was ever in the queue.
func (k *kept) stored(tb testing.TB) []sinktest.Received {
	tb.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		got, err := k.api.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{
			QueueUrl: &k.url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
		})
		if err != nil {
			tb.Error(err)
			return k.all
		}
		if len(got.Messages) == 0 {
			return append([]sinktest.Received(nil), k.all...)
		}
		done := &sqs.DeleteMessageBatchInput{QueueUrl: &k.url}
		for i, m := range got.Messages {
			k.all = append(k.all, k.read(&m))
			done.Entries = append(done.Entries, types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle})
		}
		if gone, err := k.api.DeleteMessageBatch(context.Background(), done); err != nil || len(gone.Failed) > 0 {
			tb.Errorf("%+v: %v", gone, err)
		}
	}
}

// raw reads a message whose body is the data, and whose group is the key.
func raw(m *types.Message) sinktest.Received {
	return received1(m, *m.Body, m.Attributes["MessageGroupId"])
}

func received1(m *types.Message, data, key string) sinktest.Received {
	attempt, _ := strconv.Atoi(aws.ToString(m.MessageAttributes[worker.HeaderAttempt].StringValue))
	return sinktest.Received{ID: aws.ToString(m.MessageAttributes[worker.HeaderDelivery].StringValue), Attempt: attempt, Data: data, Key: key}
}

// structured reads a message that is a whole event.
func structured(m *types.Message) sinktest.Received {
	e, err := event.DecodeJSON([]byte(*m.Body))
	if err != nil {
		return sinktest.Received{Data: err.Error()}
	}
	return received1(m, string(e.Data), e.PartitionKey())
}

// put reads a message that EventBridge has sent.
func put(m *types.Message) sinktest.Received {
	var envelope struct {
		Detail json.RawMessage `json:"detail"`
	}
	err := json.Unmarshal([]byte(*m.Body), &envelope)
	if err != nil {
		return sinktest.Received{Data: err.Error()}
	}
	e, err := event.DecodeJSON(envelope.Detail)
	if err != nil {
		return sinktest.Received{Data: err.Error()}
	}
	attempt, _ := strconv.Atoi(e.Extension(sinks.AttributeAttempt))
	// Moto has taken the JSON apart, and put it together with spaces.
	return sinktest.Received{ID: e.Extension(sinks.AttributeDelivery), Attempt: attempt, Data: strings.ReplaceAll(string(e.Data), " ", ""), Key: e.PartitionKey()}
}

// A made sink is one whose section a test fills.
type made struct {
	config sinks.Config
	aws    *config.AWS
	egress *sinkhttp.Egress
}

func (m made) sink(tb testing.TB, endpoint string, key moto.Key) sinks.Sink {
	tb.Helper()
	*m.aws = section(endpoint, key)
	if err := m.config.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := m.config.Sink(sinks.Env{Name: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// large is refused for ever: no service takes so much.
func large(n int) *event.Event {
	return &event.Event{
		ID: fmt.Sprintf("e%d", n), Source: "/test", Type: "test.made", DataContentType: "application/json",
		Data: fmt.Appendf(nil, `{"n":%d,"x":%q}`, n, strings.Repeat("x", 1<<20)), Extensions: map[string]any{"partitionkey": fmt.Sprintf("k%d", n%keys)},
	}
}

// store is what is behind a sink; build makes one for what is there, or for what
// is not.
func (b *bench) store(tb testing.TB, kind, keysOf string, k *kept, build func(there bool) made, missing string) sinktest.Store {
	tb.Helper()
	relay := moto.StartRelay(tb, b.server.Endpoint)
	wrong := func(name, want string, permanent bool, make func(tb testing.TB) sinks.Sink) sinktest.Wrong {
		return sinktest.Wrong{Name: name, Sink: make, Want: want, Permanent: permanent}
	}
	return sinktest.Store{
		Sink:    func(tb testing.TB) sinks.Sink { tb.Helper(); return build(true).sink(tb, relay.Endpoint, b.all) },
		Section: fmt.Sprintf("%s: {endpoint: %q, access_key: %s, secret_key: %s, %s}", kind, relay.Endpoint, b.all.ID, b.all.Secret, keysOf),
		Stored:  k.stored,
		Restart: func(tb testing.TB) { tb.Helper(); relay.Restart(tb) },
		Hold: func(tb testing.TB) func() {
			tb.Helper()
			b.server.Pause(tb)
			return func() { b.server.Resume(tb) }
		},
		Wrong: []sinktest.Wrong{
			wrong("a missing one", missing, false, func(tb testing.TB) sinks.Sink { tb.Helper(); return build(false).sink(tb, relay.Endpoint, b.all) }),
			wrong("a wrong secret", "the credentials are not accepted", false, func(tb testing.TB) sinks.Sink {
				tb.Helper()
				b.server.Strict(tb)
				return build(true).sink(tb, relay.Endpoint, moto.Key{ID: b.all.ID, Secret: "wrong"})
			}),
			wrong("a key that may do nothing", "or do not allow it", false, func(tb testing.TB) sinks.Sink {
				tb.Helper()
				b.server.Strict(tb)
				return build(true).sink(tb, relay.Endpoint, b.nothing)
			}),
			wrong("an address that the guard refuses", "refused to connect", true, func(tb testing.TB) sinks.Sink {
				tb.Helper()
				m := build(true)
				*m.egress = sinkhttp.EgressPublic
				return m.sink(tb, relay.Endpoint, b.all)
			}),
		},
		Bad:     large,
		Batches: true,
	}
}

func (b *bench) sqsStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	k := &kept{queue: b.newQueue(tb, "", nil), read: structured}
	s := b.store(tb, "sqs", "queue: "+k.name+", mode: structured", k, sqsSink(k.name, "missing", true), "there is no queue")
	s.Unordered = true
	return s
}

func (b *bench) fifoStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	k := &kept{queue: b.newQueue(tb, ".fifo", nil), read: raw}
	s := b.store(tb, "sqs", "queue: "+k.name, k, sqsSink(k.name, "missing.fifo", false), "there is no queue")
	s.Once = true
	return s
}

func sqsSink(name, missing string, structured bool) func(there bool) made {
	return func(there bool) made {
		c := sinksqs.NewConfig()
		c.Queue = name
		if structured {
			c.Mode = "structured"
		}
		if !there {
			c.Queue = missing
		}
		return made{c, &c.AWS, &c.Egress}
	}
}

func (b *bench) snsStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	k := &kept{queue: b.newQueue(tb, "", nil), read: structured}
	_, topic := b.newTopic(tb, k.queue, map[string]string{"RawMessageDelivery": "true"})
	s := b.store(tb, "sns", fmt.Sprintf("topic: %q, mode: structured, subject: \"{{ .subject }}\"", topic), k, func(there bool) made {
		c := sinksns.NewConfig()
		c.Topic, c.Mode, c.Subject = topic, "structured", "{{ .subject }}"
		if !there {
			c.Topic += "-missing"
		}
		return made{c, &c.AWS, &c.Egress}
	}, "there is no topic")
	s.Unordered = true
	return s
}

func (b *bench) eventbridgeStore(tb testing.TB) sinktest.Store {
	tb.Helper()
	k := &kept{queue: b.newQueue(tb, "", nil), read: put}
	bus := b.newBus(tb, k.queue)
	s := b.store(tb, "eventbridge", "bus: "+bus+", detail: cloudevent", k, func(there bool) made {
		c := sinkeventbridge.NewConfig()
		c.Bus, c.Detail = bus, sinkeventbridge.DetailCloudEvent
		if !there {
			c.Bus = "missing"
		}
		return made{c, &c.AWS, &c.Egress}
	}, "there is no event bus")
	s.Unordered = true
	return s
}

// newBus returns the name of a bus all of whose events go to a queue.
func (b *bench) newBus(tb testing.TB, q *queue) string {
	tb.Helper()
	api := eventbridge.NewFromConfig(b.session(tb))
	name := aws.String(fmt.Sprintf("b%d", number.Add(1)))
	_, err := api.CreateEventBus(tb.Context(), &eventbridge.CreateEventBusInput{Name: name})
	if err == nil {
		_, err = api.PutRule(tb.Context(), &eventbridge.PutRuleInput{Name: aws.String("all"), EventBusName: name, EventPattern: aws.String(`{"source":[{"prefix":""}]}`)})
	}
	if err == nil {
		_, err = api.PutTargets(tb.Context(), &eventbridge.PutTargetsInput{
			Rule: aws.String("all"), EventBusName: name, Targets: []eventbridgetypes.Target{{Id: aws.String("q"), Arn: &q.arn}},
		})
	}
	if err != nil {
		tb.Fatal(err)
	}
	return *name
}

func testSinks(t *testing.T, b *bench) {
	t.Helper()
	const (
		inMemory  = "Moto keeps everything in memory; a relay before it goes away in the other cases"
		unordered = "the service keeps no order"
		slow      = "Moto takes a third of a second for each event; how requests are made is shared with the sink sqs"
		again     = "the service has no de-duplication"
	)
	exercise := func(name string, start func(tb testing.TB) sinktest.Store, without map[string]string) {
		t.Run(name, func(t *testing.T) {
			without["done is durable"] = inMemory
			sinktest.ExerciseStore(t, sinktest.StoreFixture{Name: name, Start: start, Kill: adapters.KillSink, Without: without})
		})
	}
	exercise("sqs", b.sqsStore, map[string]string{"order per key": unordered, "the same twice": again})
	exercise("sqs (FIFO)", b.fifoStore, map[string]string{})
	exercise("sns", b.snsStore, map[string]string{"order per key": unordered, "the same twice": again})
	exercise("eventbridge", b.eventbridgeStore, map[string]string{
		"order per key": unordered, "the same twice": again,
		"many at once": slow, "server restart": slow, "kill -9": slow,
	})
}

// testBetween sends an event by the sink and receives it by the source: the same
// one, whatever its data is.
func testBetween(t *testing.T, b *bench) {
	t.Helper()
	q := b.newQueue(t, "", nil)
	sent := &event.Event{
		ID: "e1", Source: "/shop", Type: "order.placed", Subject: "order/7", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		DataContentType: "image/png", Data: []byte{0, 1, 255}, Extensions: map[string]any{"partitionkey": "k", "n": int32(7)},
	}
	s := sqsSink(q.name, "", true)(true).sink(t, b.server.Endpoint, b.all)
	if _, err := s.Deliver(t.Context(), sinks.Attempt{Trigger: "t", Deliveries: []sinks.Delivery{{ID: "inc.1.t", Attempt: 2, Event: sent}}}); err != nil {
		t.Fatal(err)
	}
	if err := s.(sinks.Closer).Close(); err != nil {
		t.Error(err)
	}
	got := received(t, b.source(t, q.name))
	if got.ID != "e1" || got.Type != "order.placed" || string(got.Data) != string(sent.Data) || got.DataContentType != "image/png" ||
		got.Extension("n") != "7" || got.Extension(sinks.AttributeDelivery) != "inc.1.t" || !got.Time.Equal(sent.Time) {
		t.Errorf("the event came as %+v", got)
	}
}
