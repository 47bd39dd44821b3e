package samples

import (
	"crypto/md5" //nolint:gosec // it is what buckets have
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"

	"sluice/event"
	"sluice/event/aws"
)

const (
	mediaJSON = "application/json"
	mediaText = "text/plain"
)

// mediaType returns the content type of text that somebody has typed.
func mediaType(text string) string {
	if json.Valid([]byte(text)) {
		return mediaJSON
	}
	return mediaText
}

// message makes an event whose data is what somebody has typed. Extensions
// without a value are left out.
func (o *options) message(kind, source, body string, extensions map[string]string) event.Event {
	e := event.Event{
		ID: o.id, Source: source, Type: kind, Time: o.Time.UTC(), DataContentType: mediaType(body), Data: []byte(body),
	}
	if body == "" {
		e.DataContentType = ""
	}
	for name, value := range extensions {
		if value != "" {
			if e.Extensions == nil {
				e.Extensions = map[string]any{}
			}
			e.Extensions[name] = value
		}
	}
	return e
}

// object makes the data of an object: JSON without the members that are empty.
func object(members ...any) string {
	var parts []string
	for i := 0; i < len(members); i += 2 {
		if text, isText := members[i+1].(string); isText && text == "" {
			continue
		}
		var b strings.Builder
		encoder := json.NewEncoder(&b)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(members[i+1]); err == nil {
			parts = append(parts, strconv.Quote(members[i].(string))+":"+strings.TrimSpace(b.String()))
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func bucketSamples() []Sample {
	bucket := Option{"bucket", "the `BUCKET`", "photos"}
	key := Option{"key", "the `KEY` of the object", "in/cat.jpg"}
	version := Option{"version-id", "the `ID` of the version, in a bucket that has versions", ""}
	return []Sample{
		{"s3", "put", "an object was created", []Option{
			bucket, key, {"size", "how many `BYTES` it has", "1024"}, {"etag", "its `ETAG` (default: the MD5 of the key)", ""}, version,
		}, func(o *options) (event.Event, error) { return o.s3("s3.object.created.put", ""), nil }},
		{"s3", "delete", "an object was removed", []Option{bucket, key, version}, func(o *options) (event.Event, error) {
			return o.s3("s3.object.removed.delete", "/removed"), nil
		}},
	}
}

// s3 makes what the source s3 makes of an object.
func (o *options) s3(kind, suffix string) event.Event {
	bucket, key, etag := o.value("bucket"), o.value("key"), o.value("etag")
	if o.number > 0 {
		key += "-" + strconv.Itoa(o.number+1)
	}
	if etag == "" {
		sum := md5.Sum([]byte(key)) //nolint:gosec // it is what buckets have
		etag = hex.EncodeToString(sum[:])
	}
	modified := o.Time.UTC()
	members := []any{"bucket", bucket, "key", key}
	if size, err := strconv.ParseInt(o.value("size"), 10, 64); err == nil {
		members = append(members, "size", size)
	}
	members = append(members, "etag", etag, "version_id", o.value("version-id"), "last_modified", modified.Format("2006-01-02T15:04:05.000Z07:00"))
	state := o.value("version-id")
	if state == "" {
		state = etag + "-" + strconv.FormatInt(modified.UnixMilli(), 10)
	}
	e := o.message(kind, "s3://"+bucket, object(members...), map[string]string{"partitionkey": key})
	e.Subject = key
	if o.ID == "" {
		e.ID = bucket + "/" + key + "/" + state + suffix
	}
	return e
}

func queueSamples() []Sample {
	return []Sample{{"sqs", "receive-message", "a message was received from a queue", []Option{
		{"queue", "the queue's `NAME`", "orders"},
		{"body", "the message's `TEXT`", `{"order": 7}`},
		{"attributes", "its attributes, `JSON` such as '{\"trace\": \"on\"}'", ""},
		{"group", "the `GROUP` of a message of a FIFO queue", ""},
	}, func(o *options) (event.Event, error) {
		extensions := map[string]string{"attributes": o.value("attributes"), "partitionkey": o.value("group")}
		if o.value("group") != "" {
			extensions["sequence"] = increment("18849496460467696128", o.number)
		}
		return o.message(aws.TypeSQS, "sqs://"+o.value("queue"), o.value("body"), extensions), nil
	}}}
}

func topicSamples() []Sample {
	return []Sample{{"sns", "notification", "a topic has sent a message", []Option{
		{"topic", "the topic's `NAME`", "orders"},
		{"subject", "the message's `SUBJECT`", "An order"},
		{"message", "the message's `TEXT`", `{"order": 7}`},
		{"attributes", "its attributes, `JSON` such as '{\"trace\": \"on\"}'", ""},
	}, func(o *options) (event.Event, error) {
		e := o.message(aws.TypeSNS, "sns://"+o.value("topic"), o.value("message"), map[string]string{"attributes": o.value("attributes")})
		e.Subject = o.value("subject")
		return e, nil
	}}}
}

func kinesisSamples() []Sample {
	return []Sample{{"kinesis", "get-records", "a record of a stream", []Option{
		{"stream", "the stream's `NAME`", "orders"},
		{"data", "the record's `TEXT`", `{"order": 7}`},
		{"partition-key", "its partition `KEY`", "customer-3"},
		{"shard", "the `ID` of its shard", "shardId-000000000000"},
		{"sequence", "its sequence `NUMBER`", "49545115243490985018280067714973144582180062593244200961"},
	}, func(o *options) (event.Event, error) {
		return o.message(aws.TypeKinesis, "kinesis://"+o.value("stream"), o.value("data"), map[string]string{
			"partitionkey": o.value("partition-key"), "shard": o.value("shard"), "sequence": o.place("sequence"),
		}), nil
	}}}
}

func tableSamples() []Sample {
	table := []Option{
		{"table", "the table's `NAME`", "orders"},
		{"keys", "the item's keys, `JSON` of attribute values", `{"id": {"N": "7"}}`},
		{"sequence", "the place of the change, a `NUMBER`", "4421584500000000017450439091"},
	}
	after := Option{"new-image", "the item afterwards, `JSON` of attribute values", `{"id": {"N": "7"}, "state": {"S": "paid"}}`}
	before := Option{"old-image", "the item before, `JSON` of attribute values", `{"id": {"N": "7"}, "state": {"S": "new"}}`}
	sample := func(name, short, kind string, images ...Option) Sample {
		return Sample{"dynamodb", name, short, append(append([]Option(nil), table...), images...), func(o *options) (event.Event, error) {
			data := []string{`"Keys":` + o.value("keys")}
			for _, image := range []struct{ member, option string }{{"NewImage", "new-image"}, {"OldImage", "old-image"}} {
				if value := o.value(image.option); value != "" {
					data = append(data, `"`+image.member+`":`+value)
				}
			}
			e := o.message(kind, "dynamodb://"+o.value("table"), "{"+strings.Join(data, ",")+"}", map[string]string{"sequence": o.place("sequence")})
			e.DataContentType = mediaJSON
			return e, nil
		}}
	}
	return []Sample{
		sample("insert", "an item was added to a table", aws.TypeDynamoDBInsert, after),
		sample("remove", "an item was removed from a table", aws.TypeDynamoDBRemove, before),
		sample("update", "an item of a table was changed", aws.TypeDynamoDBModify, after, before),
	}
}

func kafkaSamples() []Sample {
	record := []Option{
		{"topic", "the `TOPIC`", "orders"},
		{"partition", "the `NUMBER` of the partition", "0"},
		{"offset", "the record's `OFFSET`", "15"},
		{"key", "the record's `KEY`", "customer-3"},
		{"value", "the record's `TEXT`", `{"order": 7}`},
		{"headers", "its headers, `JSON` such as '[{\"trace\": \"on\"}]'", ""},
		{"servers", "the cluster's `HOSTS`", "127.0.0.1:9092"},
	}
	sample := func(name, short string, cluster string) Sample {
		return Sample{"kafka", name, short, record, func(o *options) (event.Event, error) {
			extensions := map[string]string{
				"topic": o.value("topic"), "partitionkey": o.value("key"), "shard": o.value("partition"), "sequence": o.place("offset"),
				"headers": o.value("headers"), "bootstrapservers": o.value("servers"),
			}
			if cluster != "" {
				extensions["arn"] = "arn:aws:kafka:" + o.Region + ":" + o.Account + ":cluster/" + cluster
			}
			return o.message(aws.TypeKafka, "kafka://"+o.value("topic"), o.value("value"), extensions), nil
		}}
	}
	return []Sample{
		sample("msk", "a record of a cluster of MSK", "orders/00000000-0000-0000-0000-000000000000-1"),
		sample("self-managed", "a record of any other cluster", ""),
	}
}

func brokerSamples() []Sample {
	message := []Option{{"queue", "the queue's `NAME`", "orders"}, {"data", "the message's `TEXT`", `{"order": 7}`}}
	headers := Option{"headers", "its headers, `JSON` such as '{\"trace\": \"on\"}'", ""}
	return []Sample{
		{"mq", "activemq", "a message of ActiveMQ", append(append([]Option(nil), message...), headers), func(o *options) (event.Event, error) {
			return o.message(aws.TypeActiveMQ, "activemq://"+o.value("queue"), o.value("data"), map[string]string{"headers": o.value("headers")}), nil
		}},
		{"mq", "rabbitmq", "a message of RabbitMQ", append(append([]Option(nil), message...), headers, Option{"vhost", "the virtual `HOST`", "/"}), func(o *options) (event.Event, error) {
			return o.message(aws.TypeAMQP, "amqp://"+o.value("queue"), o.value("data"), map[string]string{
				"headers": o.value("headers"), "vhost": o.value("vhost"), "deliverymode": "2",
			}), nil
		}},
	}
}

func iotSamples() []Sample {
	return []Sample{{"iot", "message", "a message of a device, by MQTT", []Option{
		{"topic", "the `TOPIC`", "plant/7/temperature"}, {"payload", "the message's `TEXT`", `{"celsius": 21.5}`},
	}, func(o *options) (event.Event, error) {
		e := o.message(aws.TypeMQTT, "mqtt://broker", o.value("payload"), map[string]string{"topic": o.value("topic")})
		e.Subject = o.value("topic")
		return e, nil
	}}}
}

func bridgeSamples() []Sample {
	tick := []Option{{"rule", "the schedule's `NAME`", "nightly"}, {"detail", "the schedule's data, `JSON`", "{}"}}
	scheduled := func(o *options) (event.Event, error) {
		rule := o.value("rule")
		e := o.message(aws.TypeTick, "cron://"+rule, o.value("detail"), map[string]string{"partitionkey": rule})
		e.Subject = rule
		if o.ID == "" && o.number == 0 {
			e.ID = rule + "/" + o.Time.UTC().Format("2006-01-02T15:04:05Z")
		}
		return e, nil
	}
	return []Sample{
		{"cloudwatch", "scheduled-event", "a schedule has ticked", tick, scheduled},
		{"eventbridge", "put-events", "any other event", []Option{
			{"source", "the event's `SOURCE`, a URI reference", "/shop"},
			{"detail-type", "the event's `TYPE`", "order.placed"},
			{"resource", "the event's subject, a `TEXT`", "order/7"},
			{"detail", "the event's data, `JSON` or text", `{"total": 12.5}`},
		}, func(o *options) (event.Event, error) {
			e := o.message(o.value("detail-type"), o.value("source"), o.value("detail"), nil)
			e.Subject = o.value("resource")
			return e, nil
		}},
		{"eventbridge", "scheduled-event", "a schedule has ticked", tick, scheduled},
	}
}

func resultSamples() []Sample {
	sample := func(name, short, condition, failure, response string) Sample {
		return Sample{"lambda", name, short, []Option{
			{"function", "the function's `NAME`", "thumbnail"},
			{"request", "what the function was given, `JSON`", `{"order": 7}`},
			{"response", "what it has answered, `JSON`", response},
		}, func(o *options) (event.Event, error) {
			return aws.Record(aws.RecordInput{
				Function: o.value("function"), ARN: "arn:aws:lambda:" + o.Region + ":" + o.Account + ":function:" + o.value("function"),
				RequestID: o.id, Condition: condition, Time: o.Time, Attempts: 1,
				Request: []byte(o.value("request")), Response: []byte(o.value("response")), Status: 200, FunctionError: failure,
			})
		}}
	}
	return []Sample{
		sample("on-failure", "the record of an invocation that has failed", aws.ConditionExhausted, "Unhandled", `{"errorType":"Error","errorMessage":"no such order"}`),
		sample("on-success", "the record of an invocation that has succeeded", aws.ConditionSuccess, "", `{"ok":true}`),
	}
}
