package aws_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"sluice/event"
	"sluice/event/aws"
)

// in returns what stands at a path of a payload, written as paths does.
func in(tb testing.TB, p aws.Payload, path string) any {
	tb.Helper()
	return paths(tb, p.JSON)[path]
}

func s3Event(kind, data string) *event.Event {
	return &event.Event{ID: "b/k/1", Source: "s3://b", Type: kind, Time: at, DataContentType: "application/json", Data: []byte(data)}
}

func TestS3Names(t *testing.T) {
	for kind, want := range map[string]string{
		"s3.object.created.put":                       "ObjectCreated:Put",
		"s3.object.created.complete-multipart-upload": "ObjectCreated:CompleteMultipartUpload",
		"s3.object.removed.delete":                    "ObjectRemoved:Delete",
		"s3.object.removed.delete-marker-created":     "ObjectRemoved:DeleteMarkerCreated",
	} {
		p := encode(t, aws.ShapeAWS, aws.Options{}, s3Event(kind, `{"bucket":"b","key":"k"}`))
		if got := in(t, p, ".Records[0].eventName"); got != want {
			t.Errorf("%s: %v, want %s", kind, got, want)
		}
	}
}

// A key is encoded as in a form, and the official library reads it back.
func TestS3Keys(t *testing.T) {
	for key, want := range map[string]string{
		"in/a@b.jpg":    "in/a%40b.jpg",
		"a b+c.jpg":     "a+b%2Bc.jpg",
		"test (1).pdf":  "test+%281%29.pdf",
		"Bücher/ä&=%25": "B%C3%BCcher/%C3%A4%26%3D%2525",
		"a\nb":          "a%0Ab",
	} {
		data, err := json.Marshal(map[string]any{"bucket": "b", "key": key, "size": 0})
		if err != nil {
			t.Fatal(err)
		}
		p := encode(t, aws.ShapeAWS, aws.Options{}, s3Event("s3.object.created.put", string(data)))
		if got := in(t, p, ".Records[0].s3.object.key"); got != want {
			t.Errorf("%q: %v, want %s", key, got, want)
		}
		var read events.S3Event
		if err := json.Unmarshal(p.JSON, &read); err != nil || read.Records[0].S3.Object.URLDecodedKey != key {
			t.Errorf("%q came back as %q, %v", key, read.Records[0].S3.Object.URLDecodedKey, err)
		}
	}
}

// Size and eTag stand on creations only; a size of 0 does. What is later has a
// higher sequencer.
func TestS3Object(t *testing.T) {
	const data = `{"bucket":"b","key":"k","size":0,"etag":"e","version_id":"v"}`
	created := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, s3Event("s3.object.created.put", data)).JSON)
	if created[".Records[0].s3.object.size"] != 0.0 || created[".Records[0].s3.object.eTag"] != "e" {
		t.Errorf("created: %v", created)
	}
	later := s3Event("s3.object.removed.delete", data)
	later.Time = at.Add(time.Millisecond)
	removed := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, later).JSON)
	for _, path := range []string{".Records[0].s3.object.size", ".Records[0].s3.object.eTag"} {
		if removed[path] != nil {
			t.Errorf("removed: %s is %v", path, removed[path])
		}
	}
	if removed[".Records[0].s3.object.versionId"] != "v" {
		t.Errorf("removed: %v", removed)
	}
	first, second := fmt.Sprint(created[".Records[0].s3.object.sequencer"]), fmt.Sprint(removed[".Records[0].s3.object.sequencer"])
	if first >= second || len(first) != len(second) {
		t.Errorf("the sequencer %s is followed by %s", first, second)
	}
}

func TestScheduledEvent(t *testing.T) {
	e := &event.Event{
		ID: "nightly/2026-11-24T02:00:00Z", Source: "cron://nightly", Type: "cron.tick", Subject: "nightly",
		Time: time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC), DataContentType: "application/json", Data: []byte(`{}`),
	}
	const want = `{"version":"0","id":"nightly/2026-11-24T02:00:00Z","detail-type":"Scheduled Event","source":"aws.events",` +
		`"account":"123456789012","time":"2026-11-24T02:00:00Z","region":"eu-central-1",` +
		`"resources":["arn:aws:events:eu-central-1:123456789012:rule/nightly"],"detail":{}}`
	if got := encode(t, aws.ShapeAWS, aws.Options{Region: "eu-central-1", Account: "123456789012"}, e).JSON; string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	e.Data = []byte(`{"job":"report"}`)
	if got := in(t, encode(t, aws.ShapeAWS, aws.Options{}, e), ".detail.job"); got != "report" {
		t.Errorf("the detail is %v", got)
	}
}

func TestPlainPayloads(t *testing.T) {
	for _, c := range []struct {
		kind, contentType, data string
		batch                   bool
		want                    string
	}{
		{"mqtt.message", "application/json", `{"temperature": 21.5}`, false, `{"temperature": 21.5}`},
		{"mqtt.message", "", "\x01\x02", false, `{"data":"AQI="}`},
		{"mqtt.message", "text/plain", "on", false, `{"data":"b24="}`},
		{"mqtt.message", "application/json", `1`, true, `[1]`},
		{"sluice.invocation", "application/json", ` {"a":1} `, false, ` {"a":1} `},
		{"sluice.function.success", "application/json", `{"version":"1.0"}`, false, `{"version":"1.0"}`},
	} {
		p := encode(t, aws.ShapeAWS, aws.Options{Batch: c.batch}, made(c.kind, "/x", nil, c.contentType, c.data))
		if string(p.JSON) != c.want {
			t.Errorf("%s %q: %s, want %s", c.kind, c.data, p.JSON, c.want)
		}
	}
}

// A queue takes text only; what is none is given in base64. FIFO queues name
// the group.
func TestSQSMessage(t *testing.T) {
	binary := encode(t, aws.ShapeAWS, aws.Options{}, made("sqs.message", "sqs://jobs", nil, "image/png", "\x89P"))
	if got := in(t, binary, ".Records[0].body"); got != "iVA=" {
		t.Errorf("the body is %v", got)
	}
	if got := in(t, binary, ".Records[0].eventSourceARN"); got != "arn:aws:sqs:us-east-1:000000000000:jobs" {
		t.Errorf("the ARN is %v", got)
	}
	fifo := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, made("sqs.message", "sqs://jobs.fifo",
		map[string]any{"sequence": "18849496460467696128", "partitionkey": "g", "deduplicationid": "d"}, "", "{}")).JSON)
	for name, want := range map[string]any{
		"SequenceNumber": "18849496460467696128", "MessageGroupId": "g", "MessageDeduplicationId": "d",
		"SentTimestamp": "1595035749700", "ApproximateFirstReceiveTimestamp": "1595035749700", "ApproximateReceiveCount": "1",
	} {
		if got := fifo[".Records[0].attributes."+name]; got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

// The digests are those that the service gives, as others have recorded them.
func TestSQSDigests(t *testing.T) {
	for value, want := range map[string]string{
		"1493147359900": "235c5c510d26fb653d073faed50ae77c",
		"1493147359901": "994258b45346a2cc3f9cbb611aa7af30",
	} {
		p := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, made("sqs.message", "sqs://q",
			map[string]any{"attributes": `{"timestamp":` + value + `}`}, "", "derp")).JSON)
		if got := p[".Records[0].md5OfMessageAttributes"]; got != want {
			t.Errorf("%s: %v, want %s", value, got, want)
		}
		if got := p[".Records[0].md5OfBody"]; got != "58fd9edd83341c29f1aebba81c31e257" {
			t.Errorf("the body's is %v", got)
		}
	}
}

// A change is named by its sequence, whatever its data says, and an item that
// is null is none.
func TestDynamoDBChange(t *testing.T) {
	p := encode(t, aws.ShapeAWS, aws.Options{}, made("dynamodb.remove", "dynamodb://orders", map[string]any{"sequence": "42"}, "application/json",
		`{"Keys":{"id":{"S":"1"}},"NewImage":null,"OldImage":{"id":{"S":"1"}},"SequenceNumber":"41","SizeBytes":7,"ApproximateCreationDateTime":1.5}`))
	const want = `"dynamodb":{"ApproximateCreationDateTime":1.5,"Keys":{"id":{"S":"1"}},"OldImage":{"id":{"S":"1"}},` +
		`"SequenceNumber":"42","SizeBytes":7,"StreamViewType":"OLD_IMAGE"}`
	if !strings.Contains(string(p.JSON), want) || p.Identifiers[0] != "42" || in(t, p, ".Records[0].eventName") != "REMOVE" {
		t.Errorf("%s", p.JSON)
	}
}

func TestSelfManagedKafka(t *testing.T) {
	e := made("kafka.record", "kafka://broker/orders", map[string]any{
		"sequence": "15", "shard": int32(2), "keybase64": "/w==", "headers": `[{"b":"x"},{"a":[200]},{"b":"y"}]`, "timestamptype": "LOG_APPEND_TIME",
	}, "", "")
	const want = `{"eventSource":"SelfManagedKafka","bootstrapServers":"127.0.0.1:9092","records":{"orders-2":[` +
		`{"topic":"orders","partition":2,"offset":15,"timestamp":1595035749700,"timestampType":"LOG_APPEND_TIME","key":"/w==",` +
		`"headers":[{"b":[120]},{"a":[-56]},{"b":[121]}]}]}}`
	if got := encode(t, aws.ShapeAWS, aws.Options{}, e).JSON; string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// A message without properties has nulls, as from the service.
func TestRabbitMQWithoutProperties(t *testing.T) {
	e := made("amqp.message", "amqp://broker/jobs", map[string]any{"vhost": "prod", "redelivered": true}, "", "x")
	e.Time = time.Time{}
	got := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, e).JSON)
	const message = ".rmqMessagesByQueue.jobs::prod[0]."
	for _, name := range []string{
		"contentType", "contentEncoding", "headers", "deliveryMode", "priority", "correlationId", "replyTo", "expiration",
		"messageId", "timestamp", "type", "userId", "appId", "clusterId",
	} {
		if value, found := got[message+"basicProperties."+name]; !found || value != nil {
			t.Errorf("%s is %v, want null", name, value)
		}
	}
	if got[message+"redelivered"] != true || got[".eventSourceArn"] != "arn:aws:mq:us-east-1:000000000000:broker:jobs:b-00000000-0000-0000-0000-000000000000" {
		t.Errorf("%v", got)
	}
}

// Tables and lists among the headers of a message are kept; strings are bytes
// wherever they stand.
func TestRabbitMQHeaders(t *testing.T) {
	p := encode(t, aws.ShapeAWS, aws.Options{}, made("amqp.message", "amqp://broker/jobs", map[string]any{
		"headers": `{"x-death":[{"count":2,"queue":"a"}],"on":true,"none":null,"n":1.50}`,
	}, "", "x"))
	const want = `"headers":{"n":1.50,"none":null,"on":true,"x-death":[{"count":2,"queue":{"bytes":[97]}}]}`
	if !strings.Contains(string(p.JSON), want) {
		t.Errorf("%s\nwant %s", p.JSON, want)
	}
}

func TestBatches(t *testing.T) {
	a, b := made("kafka.record", "kafka://k/orders", map[string]any{"sequence": "1", "shard": int32(0)}, "", "a"),
		made("kafka.record", "kafka://k/orders", map[string]any{"sequence": "2", "shard": int32(1)}, "", "b")
	p := encode(t, aws.ShapeAWS, aws.Options{Batch: true}, a, b, a)
	if got := in(t, p, ".records.orders-0[1].offset"); got != 1.0 {
		t.Errorf("%s", p.JSON)
	}
	if want := []string{"orders-0-1", "orders-1-2", "orders-0-1"}; !slices.Equal(p.Identifiers, want) {
		t.Errorf("the identifiers are %q, want %q", p.Identifiers, want)
	}
	p = encode(t, aws.ShapeAWS, aws.Options{Batch: true}, sample(), made("cron.tick", "cron://nightly", nil, "", ""))
	if got := in(t, p, "[1].source"); got != "aws.events" {
		t.Errorf("%s", p.JSON)
	}
}

func TestEncodeErrors(t *testing.T) {
	change := func(data string) *event.Event {
		return made("dynamodb.insert", "dynamodb://orders", map[string]any{"sequence": "1"}, "application/json", data)
	}
	kafka := func(name string, value any) *event.Event {
		e := made("kafka.record", "kafka://k/orders", map[string]any{"sequence": "1"}, "", "a")
		e.Extensions[name] = value
		return e
	}
	for _, c := range []struct {
		event *event.Event
		want  string
	}{
		{s3Event("s3.object.created.put", `{"key":"k"}`), `want the members bucket and key`},
		{s3Event("s3.object.created.put", `[]`), `its data is not that of an object in a bucket`},
		{made("kinesis.record", "kinesis://s", nil, "", "a"), `its extension sequence is "": want the place in the stream in decimal digits`},
		{made("kinesis.record", "kinesis://s", map[string]any{"sequence": "-1"}, "", "a"), `its extension sequence is "-1"`},
		{change(`text`), `its data is not JSON`},
		{change(`{"Keys":{"a":{"S":"x"}},"New":{}}`), `unknown field "New"`},
		{change(`{"NewImage":{"a":{"S":"x"}}}`), `its data has no Keys`},
		{change(`{"Keys":{"a":{"S":1}}}`), `its data's Keys.a is {"S":1}: want one attribute value such as {"S": …}`},
		{change(`{"Keys":{"a":{"S":"x","N":"1"}}}`), `its data's Keys.a is {"S":"x","N":"1"}: want one attribute value`},
		{change(`{"Keys":{"a":{"X":"x"}}}`), `its data's Keys.a is {"X":"x"}`},
		{change(`{"Keys":{"a":{"S":"x"}},"NewImage":{"l":{"L":[{"B":"AA=="},{"B":"?"}]}}}`), `its data's NewImage.l[1] is {"B":"?"}`},
		{change(`{"Keys":{"a":{"S":"x"}},"OldImage":` + strings.Repeat(`{"m":{"M":`, 40) + `{}` + strings.Repeat(`}}`, 40) + `}`), `nests deeper than 32`},
		{made("sqs.message", "sqs://q", map[string]any{"attributes": `{"a":true}`}, "", "x"), `its extension attributes: "a" is true: want a string, a number, or {"dataType": …, "stringValue" or "binaryValue": …}`},
		{made("sns.notification", "sns://t", map[string]any{"attributes": `[]`}, "", "x"), `its extension attributes is no JSON object`},
		{kafka("sequence", "99999999999999999999"), `want an offset of at most 9223372036854775807`},
		{kafka("shard", "x"), `its extension shard is "x": want the number of a partition`},
		{kafka("keybase64", "?"), `its extension keybase64 is not base64`},
		{kafka("headers", `{}`), `its extension headers is not a JSON list such as [{"trace": "on"}]`},
		{kafka("headers", `[{"a":[256]}]`), `256 is no byte`},
		{made("amqp.message", "amqp://b/q", map[string]any{"priority": int32(256)}, "", "x"), `its extension priority is "256": want a number from 0 to 255`},
		{made("amqp.message", "amqp://b/q", map[string]any{"headers": `[]`}, "", "x"), `its extension headers is "[]": want a JSON object`},
		{made("activemq.message", "activemq://b/q", map[string]any{"headers": `{"a":1}`}, "", "x"), `its extension headers is no JSON object of strings`},
		{made("activemq.message", "activemq://b/q", map[string]any{"expiration": "soon"}, "", "x"), `its extension expiration is "soon": want a whole number`},
	} {
		var problem *aws.EventError
		_, err := aws.Encode(aws.ShapeAWS, []*event.Event{c.event}, aws.Options{})
		if !errors.As(err, &problem) || !strings.Contains(err.Error(), c.want) || problem.ID != c.event.ID {
			t.Errorf("%s %s: %v, want %s", c.event.Type, c.event.Data, err, c.want)
		}
		for _, shape := range []aws.Shape{aws.ShapeCloudEvent, aws.ShapeData} {
			encode(t, shape, aws.Options{}, c.event)
		}
	}
	if _, err := aws.Encode("lambda", []*event.Event{sample()}, aws.Options{}); err == nil || err.Error() != `there is no shape "lambda": there are ["aws" "cloudevent" "data"]` {
		t.Errorf("%v", err)
	}
	if _, err := aws.Encode(aws.ShapeAWS, nil, aws.Options{Batch: true}); err == nil {
		t.Error("no events were encoded")
	}
	if _, err := aws.Encode(aws.ShapeAWS, []*event.Event{sample(), sample()}, aws.Options{}); err == nil {
		t.Error("two events were encoded as one")
	}
}

func TestTooLarge(t *testing.T) {
	e := made("sqs.message", "sqs://q", nil, "", strings.Repeat("x", 6<<20))
	var large *aws.TooLargeError
	_, err := aws.Encode(aws.ShapeAWS, []*event.Event{e}, aws.Options{})
	if !errors.As(err, &large) || large.Max != 6291556 || large.Size < 6<<20 || !strings.HasPrefix(err.Error(), "the event makes a payload of 62") {
		t.Errorf("%v", err)
	}
	_, err = aws.Encode(aws.ShapeData, []*event.Event{sample(), sample()}, aws.Options{Batch: true, MaxPayload: 20})
	if !errors.As(err, &large) || err.Error() != "2 events make a payload of 35 bytes, and a function takes at most 20" {
		t.Errorf("%v", err)
	}
	if _, err := aws.Encode(aws.ShapeAWS, []*event.Event{e}, aws.Options{MaxPayload: 7 << 20}); err != nil {
		t.Error(err)
	}
	fits := made("sluice.invocation", "/x", nil, "application/json", `"`+strings.Repeat("x", aws.MaxPayload-2)+`"`)
	if _, err := aws.Encode(aws.ShapeAWS, []*event.Event{fits}, aws.Options{}); err != nil {
		t.Error(err)
	}
}

// Parts split what does not go together, and what is too large, and miss no
// event.
func TestParts(t *testing.T) {
	message := func(size int) *event.Event {
		return made("sqs.message", "sqs://q", nil, "", strings.Repeat("x", size))
	}
	all := []*event.Event{
		message(10), sample(), message(3000), message(3000), s3Event("s3.object.created.put", `{}`),
		message(9000), sample(), made("mqtt.message", "mqtt://b/t", nil, "", "{}"), message(3000),
	}
	parts := aws.Parts(aws.ShapeAWS, all, aws.Options{Batch: true, MaxPayload: 8000})
	var got []string
	for _, part := range parts {
		text := fmt.Sprint(part.Indexes)
		var large *aws.TooLargeError
		var bad *aws.EventError
		switch {
		case errors.As(part.Err, &large):
			text += " too large"
		case errors.As(part.Err, &bad):
			text += " bad"
		case part.Err != nil || !json.Valid(part.Payload.JSON) || len(part.Payload.JSON) > 8000 || len(part.Payload.Identifiers) != len(part.Indexes):
			t.Errorf("%v: %v, %s", part.Indexes, part.Err, part.Payload.JSON)
		}
		got = append(got, text)
	}
	want := []string{"[0 2 3]", "[5] too large", "[8]", "[1 6]", "[4] bad", "[7]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if parts := aws.Parts(aws.ShapeCloudEvent, all, aws.Options{Batch: true}); len(parts) != 1 || len(parts[0].Indexes) != len(all) {
		t.Errorf("%d parts of CloudEvents", len(parts))
	}
	_, err := aws.Encode(aws.ShapeAWS, all, aws.Options{Batch: true})
	var mixed *aws.MixedError
	if !errors.As(err, &mixed) || err.Error() != `events of the types "sqs.message" and "order.placed" do not go into one payload` {
		t.Errorf("%v", err)
	}
}
