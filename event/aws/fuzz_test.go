package aws_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"
	"pgregory.net/rapid"

	"sluice/event"
	"sluice/event/aws"
)

// official returns what the payload of a type is decoded into; nil where any
// JSON is right.
func official(kind string) any {
	switch kind {
	case "s3.object.created.put", "s3.object.removed.delete":
		return &events.S3Event{}
	case "sqs.message":
		return &events.SQSEvent{}
	case "sns.notification":
		return &events.SNSEvent{}
	case "kinesis.record":
		return &events.KinesisEvent{}
	case "dynamodb.insert":
		return &events.DynamoDBEvent{}
	case "kafka.record":
		return &events.KafkaEvent{}
	case "amqp.message":
		return &events.RabbitMQEvent{}
	case "activemq.message":
		return &events.ActiveMQEvent{}
	case "order.placed", "cron.tick":
		return &events.EventBridgeEvent{}
	}
	return nil
}

func types() []string {
	return []string{
		"s3.object.created.put", "s3.object.removed.delete", "sqs.message", "sns.notification", "kinesis.record", "dynamodb.insert", "kafka.record",
		"amqp.message", "activemq.message", "order.placed", "cron.tick", "mqtt.message", "sluice.invocation",
	}
}

// check encodes an event in every shape. Where that succeeds it is valid JSON in
// UTF-8, and the official type takes it.
func check(t interface{ Errorf(string, ...any) }, e *event.Event) {
	for _, shape := range aws.Shapes() {
		p, err := aws.Encode(shape, []*event.Event{e}, aws.Options{})
		if err != nil {
			var problem *aws.EventError
			if shape != aws.ShapeAWS || !errors.As(err, &problem) {
				t.Errorf("%s: %v", shape, err)
			}
			continue
		}
		if !json.Valid(p.JSON) || !utf8.Valid(p.JSON) {
			t.Errorf("%s: not JSON: %q", shape, p.JSON)
		}
		into := official(e.Type)
		if shape != aws.ShapeAWS || into == nil {
			continue
		}
		decoder := json.NewDecoder(bytes.NewReader(p.JSON))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(into); err != nil {
			t.Errorf("%s: %v: %q", e.Type, err, p.JSON)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for i, c := range comparisons() {
		var extensions [2]string
		if value := c.event.Extension("attributes"); value != "" {
			extensions = [2]string{"attributes", value}
		} else if value := c.event.Extension("headers"); value != "" {
			extensions = [2]string{"headers", value}
		}
		f.Add(uint8(i), c.event.ID, c.event.Source, c.event.Subject, c.event.DataContentType, c.event.Data, extensions[0], extensions[1], "12", int64(i)*1e9)
	}
	f.Add(uint8(5), "1", "/x", "", "application/json", []byte(`{"Keys":{"a":{"L":[{"M":{"b":{"NULL":true}}}]}}}`), "shard", "x", "7", int64(0))
	f.Fuzz(func(t *testing.T, kind uint8, id, source, subject, contentType string, data []byte, extension, value, sequence string, seconds int64) {
		e := &event.Event{
			ID: id, Source: source, Type: types()[int(kind)%len(types())], Subject: subject, DataContentType: contentType, Data: data,
			Time: time.Unix(seconds, 0),
		}
		_ = e.SetExtension("sequence", sequence)
		_ = e.SetExtension(extension, value)
		if e.Validate() != nil {
			return
		}
		check(t, e)
	})
}

// Events with what their types demand are encoded, whatever else is in them.
func TestEveryValidEventIsEncoded(t *testing.T) {
	text := rapid.StringMatching(`[ -~äö☃]{0,12}`)
	data := rapid.OneOf(
		rapid.SliceOfN(rapid.Byte(), 0, 30),
		rapid.SampledFrom([][]byte{nil, []byte(`{"a":[1,null]}`), []byte("text"), []byte("\xff")}),
	)
	rapid.Check(t, func(r *rapid.T) {
		e := &event.Event{
			ID: "1" + text.Draw(r, "id"), Source: "urn:x:y/queue", Type: rapid.SampledFrom(types()).Draw(r, "type"),
			Subject: text.Draw(r, "subject"), Data: data.Draw(r, "data"),
			DataContentType: rapid.SampledFrom([]string{"", "application/json", "text/plain", "image/png"}).Draw(r, "content type"),
			Extensions:      map[string]any{"sequence": "7", "partitionkey": text.Draw(r, "key")},
		}
		if rapid.Bool().Draw(r, "timed") {
			e.Time = time.UnixMilli(rapid.Int64Range(0, 1e13).Draw(r, "time"))
		}
		switch e.Type {
		case "dynamodb.insert":
			e.DataContentType, e.Data = "application/json", []byte(`{"Keys":{"id":{"N":"1"}},"OldImage":null}`)
		case "s3.object.created.put", "s3.object.removed.delete":
			key, _ := json.Marshal("k" + text.Draw(r, "key"))
			e.Data = []byte(`{"bucket":"b","size":3,"key":` + string(key) + `}`)
		}
		check(r, e)
		if _, err := aws.Encode(aws.ShapeAWS, []*event.Event{e, e, e}, aws.Options{Batch: true}); err != nil {
			r.Errorf("%v", err)
		}
	})
}
