//go:build integration

package moto_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/config"
	"sluice/event"
	"sluice/integration/adapters"
	"sluice/integration/moto"
	"sluice/sources"
	"sluice/sources/sourcetest"
	sourcesqs "sluice/sources/sqs"
)

// visibility is that of the sources: the least one.
const visibility = 2 * time.Second

// keys is how many groups there are.
const keys = 4

// number makes names that no other test has.
var number atomic.Int64

// A queue is one at the server.
type queue struct {
	api       *sqs.Client
	name, url string
	arn       string
}

func (b *bench) newQueue(tb testing.TB, suffix string, attributes map[string]string) *queue {
	tb.Helper()
	q := &queue{api: sqs.NewFromConfig(b.session(tb)), name: fmt.Sprintf("q%d%s", number.Add(1), suffix)}
	if attributes == nil {
		attributes = map[string]string{}
	}
	if suffix != "" {
		attributes["FifoQueue"] = "true"
	}
	made, err := q.api.CreateQueue(tb.Context(), &sqs.CreateQueueInput{QueueName: &q.name, Attributes: attributes})
	if err != nil {
		tb.Fatal(err)
	}
	q.url = *made.QueueUrl
	q.arn = q.attribute(tb, types.QueueAttributeNameQueueArn)
	return q
}

func (q *queue) attribute(tb testing.TB, name types.QueueAttributeName) string {
	tb.Helper()
	has, err := q.api.GetQueueAttributes(context.Background(), &sqs.GetQueueAttributesInput{QueueUrl: &q.url, AttributeNames: []types.QueueAttributeName{name}})
	if err != nil {
		tb.Error(err)
		return ""
	}
	return has.Attributes[string(name)]
}

// left returns how many messages were not deleted.
func (q *queue) left(tb testing.TB) int {
	tb.Helper()
	all := 0
	for _, name := range []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible} {
		n, err := strconv.Atoi(q.attribute(tb, name))
		if err != nil {
			tb.Error(err)
		}
		all += n
	}
	return all
}

func source(tb testing.TB, endpoint string, key moto.Key, queue string, env sources.Env, change ...func(*sourcesqs.Config)) sources.Source {
	tb.Helper()
	c := sourcesqs.NewConfig()
	c.AWS, c.Queue = section(endpoint, key), queue
	c.Visibility, c.Wait = config.Duration(visibility), config.Duration(time.Second)
	for _, f := range change {
		f(c)
	}
	if err := c.Validate(); err != nil {
		tb.Fatal(err)
	}
	s, err := c.Source(env)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func body(n int64) string { return fmt.Sprintf(`{"n":%d}`, n) }

func numberOf(e *event.Event) int {
	var data struct{ N int }
	if json.Unmarshal(e.Data, &data) != nil {
		return -1
	}
	return data.N
}

// upstream is a queue behind a relay, to which send sends a thing.
func (b *bench) upstream(tb testing.TB, suffix string, send sent) sourcetest.Upstream {
	tb.Helper()
	q := b.newQueue(tb, suffix, nil)
	relay := moto.StartRelay(tb, b.server.Endpoint)
	receivers := sourcesqs.DefaultReceivers
	if suffix != "" {
		receivers = 1 // Moto gives messages of one group to several that wait at the same time
	}
	var next, arrived atomic.Int64
	u := sourcetest.Upstream{
		Source: func(tb testing.TB) sources.Source {
			tb.Helper()
			return source(tb, relay.Endpoint, b.all, q.name, sourcetest.Env("orders", nil), func(c *sourcesqs.Config) { c.Receivers = receivers })
		},
		Section: fmt.Sprintf("sqs: {endpoint: %q, access_key: %s, secret_key: %s, queue: %s, visibility: 2s, wait: 1s, receivers: %d}", relay.Endpoint, b.all.ID, b.all.Secret, q.name, receivers),
		Send: func(ctx context.Context, n int) error {
			for range n {
				if err := send(ctx, q, next.Add(1)-1); err != nil {
					return err
				}
				arrived.Add(1)
			}
			return nil
		},
		Acked:   func() int { return max(0, int(arrived.Load())-q.left(tb)) },
		Keeps:   true,
		Restart: func(tb testing.TB) { tb.Helper(); relay.Restart(tb) },
		Fill:    func(ctx context.Context, n, size int) error { return fill(ctx, q, n, size) },
	}
	if suffix != "" {
		u.Number = numberOf
	}
	u.Wrong = b.wrongSources(suffix)
	return u
}

func (b *bench) wrongSources(suffix string) []sourcetest.Wrong {
	with := func(key moto.Key) func(tb testing.TB, env sources.Env) sources.Source {
		return func(tb testing.TB, env sources.Env) sources.Source {
			tb.Helper()
			b.server.Strict(tb)
			return source(tb, b.server.Endpoint, key, "missing"+suffix, env)
		}
	}
	return []sourcetest.Wrong{
		{Name: "a queue that is not there", Source: with(b.all), Want: `there is no queue "missing`},
		{Name: "an unknown key", Source: with(moto.Key{ID: "AKIDUNKNOWN", Secret: "secret"}), Want: "the credentials are not accepted"},
		{Name: "a wrong secret", Source: with(moto.Key{ID: b.all.ID, Secret: "wrong"}), Want: "the credentials are not accepted"},
		{Name: "a key that may do nothing", Source: with(b.nothing), Want: "the credentials are not accepted, or do not allow it"},
	}
}

// fill sends as fast as it goes.
func fill(ctx context.Context, q *queue, n, size int) error {
	text := strings.Repeat("x", size)
	for first := 0; first < n; first += 10 {
		var entries []types.SendMessageBatchRequestEntry
		for i := first; i < min(first+10, n); i++ {
			e := types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &text}
			entries = append(entries, e)
		}
		if _, err := q.api.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries}); err != nil {
			return err
		}
	}
	return nil
}

// sent is how a thing is sent to a queue.
type sent func(ctx context.Context, q *queue, n int64) error

func testSource(t *testing.T, b *bench) {
	t.Helper()
	exercise := func(name, suffix string, without map[string]string, send func(tb testing.TB) sent) {
		t.Run(name, func(t *testing.T) {
			without["I5: same id twice"] = "what was deleted is never shown again"
			sourcetest.Exercise(t, sourcetest.Fixture{
				Name: name,
				Kill: adapters.KillSource,
				Start: func(tb testing.TB) sourcetest.Upstream {
					tb.Helper()
					return b.upstream(tb, suffix, send(tb))
				},
				Without: without,
			})
		})
	}
	noOrder := map[string]string{"order per key": "a standard queue keeps no order"}
	exercise("sqs", "", maps.Clone(noOrder), func(testing.TB) sent { return message })
	exercise("sqs (FIFO)", ".fifo", map[string]string{}, func(testing.TB) sent { return ordered })
	exercise("sqs (SNS)", "", maps.Clone(noOrder), func(tb testing.TB) sent { tb.Helper(); return b.notified(tb) })
}

func message(ctx context.Context, q *queue, n int64) error {
	_, err := q.api.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(body(n))})
	return err
}

func ordered(ctx context.Context, q *queue, n int64) error {
	_, err := q.api.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String(body(n)),
		MessageGroupId: aws.String(fmt.Sprintf("g%d", n%keys)), MessageDeduplicationId: aws.String(strconv.FormatInt(n, 10)),
	})
	return err
}

// notified sends by a topic.
func (b *bench) notified(tb testing.TB) sent {
	tb.Helper()
	var api *sns.Client
	var topic string
	return func(ctx context.Context, q *queue, n int64) error {
		if api == nil {
			api, topic = b.newTopic(tb, q, nil) //nolint:contextcheck // it is made once, for the whole test
		}
		_, err := api.Publish(ctx, &sns.PublishInput{TopicArn: &topic, Message: aws.String(body(n)), Subject: aws.String("An order")})
		return err
	}
}

// newTopic returns the sender of a topic that passes on to a queue.
func (b *bench) newTopic(tb testing.TB, q *queue, attributes map[string]string) (*sns.Client, string) {
	tb.Helper()
	api := sns.NewFromConfig(b.session(tb))
	topic, err := api.CreateTopic(tb.Context(), &sns.CreateTopicInput{Name: aws.String(fmt.Sprintf("t%d", number.Add(1)))})
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := api.Subscribe(tb.Context(), &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: &q.arn, Attributes: attributes}); err != nil {
		tb.Fatal(err)
	}
	return api, *topic.TopicArn
}

// received runs a source until an event is durable.
func received(t *testing.T, s sources.Source) event.Event {
	t.Helper()
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, s, out)
	events := out.Wait(t, 1)
	stop()
	return events[0]
}

func testWhatAMessageBecomes(t *testing.T, b *bench) {
	t.Helper()
	q := b.newQueue(t, ".fifo", nil)
	if _, err := q.api.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &q.url, MessageBody: aws.String(`{"order": 7}`), MessageGroupId: aws.String("customer-3"), MessageDeduplicationId: aws.String("d1"),
		MessageAttributes: map[string]types.MessageAttributeValue{
			"trace": {DataType: aws.String("String"), StringValue: aws.String("on\u0085")},
			"n":     {DataType: aws.String("Number.int"), StringValue: aws.String("1.50")},
			"b":     {DataType: aws.String("Binary"), BinaryValue: []byte{0, 255}},
		},
	}); err != nil {
		t.Fatal(err)
	}
	e := received(t, source(t, b.server.Endpoint, b.all, q.url, sourcetest.Env("orders", nil)))
	if e.Type != "sqs.message" || e.Source != "sqs://"+q.name || string(e.Data) != `{"order": 7}` || e.DataContentType != "application/json" || e.PartitionKey() != "customer-3" {
		t.Errorf("the event is %+v", e)
	}
	for name, want := range map[string]string{
		"arn": q.arn, "receivecount": "1", "deduplicationid": "d1",
		"attributes": `{"b":{"dataType":"Binary","binaryValue":"AP8="},"n":{"dataType":"Number.int","stringValue":"1.50"},"trace":"on\u0085"}`,
	} {
		if got := e.Extension(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"receipthandle", "firstreceived", "senderid", "sequence"} {
		if e.Extension(name) == "" {
			t.Errorf("there is no %s in %+v", name, e.Extensions)
		}
	}
	if time.Since(e.Time).Abs() > time.Minute {
		t.Errorf("its time is %v", e.Time)
	}
}

func testWhatANotificationBecomes(t *testing.T, b *bench) {
	t.Helper()
	q := b.newQueue(t, "", nil)
	api, topic := b.newTopic(t, q, nil)
	published, err := api.Publish(t.Context(), &sns.PublishInput{
		TopicArn: &topic, Message: aws.String("text"), Subject: aws.String("An order"),
		MessageAttributes: map[string]snstypes.MessageAttributeValue{"trace": {DataType: aws.String("String"), StringValue: aws.String("on")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	e := received(t, source(t, b.server.Endpoint, b.all, q.arn, sourcetest.Env("orders", nil)))
	if e.ID != *published.MessageId || e.Type != "sns.notification" || string(e.Data) != "text" || e.Subject != "An order" ||
		e.Extension("arn") != topic || e.Extension("attributes") != `{"trace":"on"}` || e.DataContentType != "text/plain; charset=utf-8" {
		t.Errorf("the event is %+v", e)
	}

	raw := b.newQueue(t, "", nil)
	api, topic = b.newTopic(t, raw, map[string]string{"RawMessageDelivery": "true"})
	if _, err := api.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: aws.String("text")}); err != nil {
		t.Fatal(err)
	}
	e = received(t, source(t, b.server.Endpoint, b.all, raw.name, sourcetest.Env("orders", nil)))
	if e.Type != "sqs.message" || string(e.Data) != "text" {
		t.Errorf("the event of raw delivery is %+v", e)
	}
}

// bounded looks at the size of events, as the bus does.
type bounded struct{ *sourcetest.Out }

func (b bounded) Publish(ctx context.Context, events ...event.Event) error {
	for i := range events {
		if err := event.CheckSize(&events[i], event.DefaultMaxSize); err != nil {
			return err
		}
	}
	return b.Out.Publish(ctx, events...)
}

// testTooLarge: what the bus does not take stays in the queue, and goes the
// queue's own way of dead letters; the others arrive.
func testTooLarge(t *testing.T, b *bench) {
	t.Helper()
	dead := b.newQueue(t, "", nil)
	q := b.newQueue(t, "", map[string]string{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":1}`, dead.arn)})
	large := strings.Repeat("x", 20<<10)
	for i, attribute := range []string{"a", large, "b"} {
		if _, err := q.api.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: &q.url, MessageBody: aws.String(body(int64(i))),
			MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String"), StringValue: &attribute}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	env := sourcetest.Env("orders", nil)
	reported := make(chan error, 100)
	env.Report = func(err error) { reported <- err }
	out := sourcetest.NewOut()
	stop := sourcetest.Run(t, source(t, b.server.Endpoint, b.all, q.name, env), bounded{out})
	out.Wait(t, 2)
	sourcetest.Eventually(t, "the large one is dead-lettered", func() bool { return dead.left(t) == 1 })
	sourcetest.Eventually(t, "the others are deleted", func() bool { return q.left(t) == 0 })
	stop()
	if len(out.Events()) != 2 {
		t.Errorf("%d events", len(out.Events()))
	}
	if err := <-reported; err == nil {
		t.Error("nothing was reported")
	}
}

// testHeldWhilePublishFails: a message that cannot be published is held for longer
// than its visibility, so that nobody else gets it, and is given back at the end.
func testHeldWhilePublishFails(t *testing.T, b *bench) {
	t.Helper()
	q := b.newQueue(t, "", nil)
	if _, err := q.api.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String("held")}); err != nil {
		t.Fatal(err)
	}
	out := sourcetest.NewOut()
	out.FailWith(event.ErrFull)
	stop := sourcetest.Run(t, source(t, b.server.Endpoint, b.all, q.name, sourcetest.Env("orders", nil)), out)
	out.WaitFailed(t, 1)
	other, err := q.api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.url, WaitTimeSeconds: int32(visibility/time.Second) + 1})
	if err != nil || len(other.Messages) != 0 {
		t.Errorf("another one has received %+v, %v while it was held", other, err)
	}
	stop()
	other, err = q.api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &q.url})
	if err != nil || len(other.Messages) != 1 {
		t.Errorf("after the end another one has received %+v, %v", other, err)
	}
}
