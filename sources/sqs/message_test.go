package sqs

import (
	"encoding/json"
	"log/slog"
	"testing"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"sluice/connect/awsconn"
	"sluice/event"
	"sluice/sources"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newRun() *run {
	return &run{source: &source{config: *NewConfig(), queue: awsconn.Queue{Name: "orders.fifo"}, env: sources.Env{Logger: slog.New(slog.DiscardHandler)}}}
}

func text(value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
}

func message(body string, attributes map[string]types.MessageAttributeValue) *types.Message {
	return &types.Message{
		MessageId: aws.String("m1"), Body: &body, MessageAttributes: attributes,
		Attributes: map[string]string{"SentTimestamp": "1767225600000", "MessageGroupId": "g"},
	}
}

const structured = `{"specversion":"1.0","id":"o-1","source":"/shop","type":"order.placed","data":{"n":1}}`

func TestCloudEvents(t *testing.T) {
	binary := map[string]types.MessageAttributeValue{
		"ce-specversion": text("1.0"), "ce-id": text("o-1"), "ce-source": text("/shop"), "ce-type": text("order.placed"), "content-type": text("application/json"),
	}
	broken := map[string]types.MessageAttributeValue{"ce-specversion": text("1.0"), "ce-id": text("o-1")}
	envelope := `{"Type":"Notification","MessageId":"n1","TopicArn":"arn:aws:sns:eu-central-1:1:t","Message":"{}","Timestamp":"2026-01-01T00:00:00.000Z",
"MessageAttributes":{"ce-specversion":{"Type":"String","Value":"1.0"},"ce-id":{"Type":"String","Value":"o-1"},"ce-source":{"Type":"String","Value":"/shop"},"ce-type":{"Type":"String","Value":"order.placed"}}}`
	for name, c := range map[string]struct {
		m      *types.Message
		change func(*Config)
		want   string // source, type and id
	}{
		"structured":               {message(structured, map[string]types.MessageAttributeValue{"content-type": text("application/cloudevents+json")}), nil, "/shop order.placed o-1"},
		"binary":                   {message(`{"n":1}`, binary), nil, "/shop order.placed o-1"},
		"binary through a topic":   {message(envelope, nil), nil, "/shop order.placed o-1"},
		"not wanted":               {message(`{"n":1}`, binary), func(c *Config) { c.CloudEvents = false }, "sqs://orders.fifo sqs.message m1"},
		"not valid":                {message(`{"n":1}`, broken), nil, "sqs://orders.fifo sqs.message m1"},
		"none":                     {message(structured, nil), nil, "sqs://orders.fifo sqs.message m1"},
		"a notification":           {message(envelope, nil), func(c *Config) { c.CloudEvents = false }, "sns://t sns.notification n1"},
		"a notification as a body": {message(envelope, nil), func(c *Config) { c.SNS = false }, "sqs://orders.fifo sqs.message m1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRun()
			if c.change != nil {
				c.change(&r.config)
			}
			e := r.event(c.m)
			if got := e.Source + " " + e.Type + " " + e.ID; got != c.want || e.PartitionKey() != "g" {
				t.Errorf("got %s with the key %q, want %s", got, e.PartitionKey(), c.want)
			}
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestAttributes: whatever a sender has put into attributes is in the event as it
// was, in a form that an attribute of an event may have.
func TestAttributes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOf(rapid.StringMatching(`[a-z]{1,8}`), rapid.String()).Draw(t, "values")
		attributes := map[string]types.MessageAttributeValue{}
		for name, value := range values {
			attributes[name] = text(value)
		}
		e := newRun().message(message("x", attributes))
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		if encoded := e.Extension("attributes"); encoded != "" {
			if err := json.Unmarshal([]byte(encoded), &got); err != nil {
				t.Fatalf("%s: %v", encoded, err)
			}
		}
		for name, value := range values {
			if got[name] != value {
				t.Errorf("%q is %q, was %q", name, got[name], value)
			}
		}
	})
}

func FuzzMessage(f *testing.F) {
	f.Add(`{"order": 7}`, "application/json")
	f.Add(structured, "application/cloudevents+json")
	f.Add(`{"Type":"Notification","MessageId":"n1","TopicArn":"arn:aws:sns:eu-central-1:1:t","Message":"m","Timestamp":"2026-01-01T00:00:00.000Z","Subject":"s"}`, "")
	f.Fuzz(func(t *testing.T, body, contentType string) {
		if !utf8.ValidString(body) || !utf8.ValidString(contentType) {
			return // a queue has text only
		}
		e := newRun().event(message(body, map[string]types.MessageAttributeValue{"content-type": text(contentType)}))
		if e.ID == "" || e.Source == "" || e.Type == "" {
			t.Errorf("the event is %+v", e)
		}
		if e.Type == typeMessage && (string(e.Data) != body || e.Validate() != nil) {
			t.Errorf("the body %q has become %q: %v", body, e.Data, e.Validate())
		}
	})
}

func TestMemory(t *testing.T) {
	m := newMemory()
	m.remember([]held{{id: "a"}, {id: "b"}, {id: "a"}})
	m.forget("b")
	if !m.has("a") || m.has("b") {
		t.Error("a was remembered, and b forgotten")
	}
	for i := range remembered {
		m.remember([]held{{id: event.DedupID("", "", string(rune('a'+i%26))+string(rune(i)))}})
	}
	if m.has("a") || len(m.known) > remembered || len(m.order) != remembered {
		t.Errorf("%d are known, in %d places, the oldest one: %v", len(m.known), len(m.order), m.has("a"))
	}
}
