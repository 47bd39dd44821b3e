package aws_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"sluice/event"
	"sluice/event/aws"
)

// published returns the folder of the samples that the official library ships.
func published(tb testing.TB) *os.Root {
	tb.Helper()
	out, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		tb.Fatalf("where the official library is: %v", err)
	}
	root, err := os.OpenRoot(filepath.Join(strings.TrimSpace(string(out)), "events", "testdata"))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = root.Close() })
	return root
}

func read(tb testing.TB, root *os.Root, name string) []byte {
	tb.Helper()
	text, err := root.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// A comparison is of one kind of event with the published sample.
type comparison struct {
	name   string
	event  *event.Event
	sample string
	// missing is what the sample has and the event has not.
	missing []string
	// into is the official type.
	into any
	// same are the paths at which the values are the sample's.
	same []string
}

var at = time.Date(2020, 7, 18, 1, 29, 9, 700e6, time.UTC)

func made(kind, source string, extensions map[string]any, contentType, data string) *event.Event {
	return &event.Event{
		ID: "3f4e3b0a-1e3d-4a52-8b0a-0a52c3b6a1aa", Source: source, Type: kind, Time: at,
		Extensions: extensions, DataContentType: contentType, Data: []byte(data),
	}
}

func comparisons() []comparison {
	const shard = "49568167373333333333333333333333333333333333333333333333"
	return []comparison{
		{
			name: "s3", sample: "s3-event.json", into: &events.S3Event{},
			event: made("s3.object.created.put", "s3://sourcebucket", nil, "application/json",
				`{"bucket":"sourcebucket","key":"Happy Face.jpg","size":1024,"etag":"d41d8cd98f00b204e9800998ecf8427e","version_id":"version"}`),
			same: []string{
				".Records[0].eventName", ".Records[0].eventSource", ".Records[0].awsRegion", ".Records[0].s3.s3SchemaVersion",
				".Records[0].s3.bucket.name", ".Records[0].s3.object.size", ".Records[0].s3.object.eTag", ".Records[0].s3.object.versionId",
			},
		},
		{
			name: "sqs", sample: "sqs-event.json", into: &events.SQSEvent{},
			event: made("sqs.message", "sqs://SQSQueue", map[string]any{
				"arn":          "arn:aws:sqs:us-west-2:123456789012:SQSQueue",
				"receivecount": int32(2), "senderid": "AROAIWPX5BD2BHG722MW4:sender", "firstreceived": "1520621634884",
				"attributes": `{"Attribute1":"AttributeValue1","Attribute2":123,"Attribute3":{"dataType":"Binary","binaryValue":"MTEwMA=="}}`,
			}, "text/plain", "Message Body"),
			// Lists are not implemented by the service: they are always empty.
			missing: []string{
				".Records[0].messageAttributes.Attribute2.binaryListValues[0]", ".Records[0].messageAttributes.Attribute2.binaryListValues[1]",
				".Records[0].messageAttributes.Attribute3.binaryListValues[0]", ".Records[0].messageAttributes.Attribute3.binaryListValues[1]",
				".Records[0].messageAttributes.Attribute3.binaryListValues[2]", ".Records[0].messageAttributes.Attribute3.stringListValues[0]",
				".Records[0].messageAttributes.Attribute3.stringListValues[1]",
			},
			same: []string{
				".Records[0].eventSourceARN", ".Records[0].awsRegion", ".Records[0].body", ".Records[0].eventSource",
				".Records[0].attributes.ApproximateReceiveCount", ".Records[0].attributes.SenderId",
				".Records[0].attributes.ApproximateFirstReceiveTimestamp", ".Records[0].messageAttributes.Attribute1.stringValue",
				".Records[0].messageAttributes.Attribute1.dataType", ".Records[0].messageAttributes.Attribute2.stringValue",
				".Records[0].messageAttributes.Attribute2.dataType", ".Records[0].messageAttributes.Attribute3.binaryValue",
			},
		},
		{
			name: "sns", sample: "sns-event.json", into: &events.SNSEvent{},
			event: func() *event.Event {
				e := made("sns.notification", "sns://news", map[string]any{
					"attributes": `{"Test":"TestString","TestBinary":{"dataType":"Binary","binaryValue":"VGVzdA=="}}`,
				}, "text/plain", "Hello from SNS!")
				e.Subject = "TestInvoke"
				return e
			}(),
			same: []string{
				".Records[0].EventVersion", ".Records[0].EventSource", ".Records[0].Sns.Message", ".Records[0].Sns.Subject", ".Records[0].Sns.Type",
				".Records[0].Sns.MessageAttributes.Test.Value", ".Records[0].Sns.MessageAttributes.Test.Type", ".Records[0].Sns.SignatureVersion",
			},
		},
		{
			name: "kinesis", sample: "kinesis-event.json", into: &events.KinesisEvent{},
			event: made("kinesis.record", "arn:aws:kinesis:us-east-1:123456789012:stream/simple-stream",
				map[string]any{"partitionkey": "s1", "sequence": shard}, "text/plain", "Hello World"),
			missing: []string{".Records[1]"}, // the sample has two records alike
			same: []string{
				".Records[0].kinesis.kinesisSchemaVersion", ".Records[0].kinesis.partitionKey", ".Records[0].kinesis.sequenceNumber",
				".Records[0].kinesis.data", ".Records[0].eventID", ".Records[0].eventName", ".Records[0].eventVersion",
				".Records[0].eventSource", ".Records[0].awsRegion", ".Records[0].eventSourceARN",
			},
		},
		{
			name: "dynamodb", sample: "dynamodb-event.json", into: &events.DynamoDBEvent{},
			event: made("dynamodb.insert", "arn:aws:dynamodb:us-east-1:123456789012:table/Example-Table/stream/2016-12-01T00:00:00.000",
				map[string]any{"sequence": "1405400000000002063282832", "principalid": "dynamodb.amazonaws.com"}, "application/json",
				`{"Keys":{"val":{"S":"data"},"key":{"S":"binary"}},"StreamViewType":"NEW_AND_OLD_IMAGES",
				"NewImage":{"val":{"S":"data"},"asdf1":{"B":"AAEqQQ=="},"asdf2":{"BS":["AAEqQQ==","QSoBAA=="]},"key":{"S":"binary"}}}`),
			missing: []string{".Records[1]"},
			same: []string{
				".Records[0].eventName", ".Records[0].eventVersion", ".Records[0].eventSource", ".Records[0].awsRegion", ".Records[0].eventSourceARN",
				".Records[0].userIdentity.type", ".Records[0].userIdentity.principalId", ".Records[0].dynamodb.SequenceNumber",
				".Records[0].dynamodb.StreamViewType", ".Records[0].dynamodb.Keys.val.S", ".Records[0].dynamodb.NewImage.asdf2.BS[1]",
			},
		},
		{
			name: "msk", sample: "kafka-event.json", into: &events.KafkaEvent{},
			event: made("kafka.record", "kafka://broker/AWSKafkaTopic", map[string]any{
				"arn":              "arn:aws:kafka:us-west-2:012345678901:cluster/ExampleMSKCluster/e9f754c6-d29a-4430-a7db-958a19fd2c54-4",
				"bootstrapservers": "b-2.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092,b-1.demo-cluster-1.a1bcde.c1.kafka.us-east-1.amazonaws.com:9092",
				"partitionkey":     "8d5596b4-1813-4238-b24b-6dad8e3d1c0c", "sequence": "0", "shard": int32(0),
				"headers": `[{"headerKey":[118,-36,0,127,-128]}]`,
			}, "text/plain", "8d5596b4-1813-4238-b24b-6dad8e3d1c0c"),
			same: []string{
				".eventSource", ".eventSourceArn", ".bootstrapServers", ".records.AWSKafkaTopic-0[0].topic", ".records.AWSKafkaTopic-0[0].partition",
				".records.AWSKafkaTopic-0[0].offset", ".records.AWSKafkaTopic-0[0].timestampType", ".records.AWSKafkaTopic-0[0].key",
				".records.AWSKafkaTopic-0[0].value", ".records.AWSKafkaTopic-0[0].headers[0].headerKey[1]", ".records.AWSKafkaTopic-0[0].timestamp",
			},
		},
		{
			name: "rabbitmq", sample: "rabbitmq-event.json", into: &events.RabbitMQEvent{},
			event: func() *event.Event {
				e := made("amqp.message", "amqp://broker/test", map[string]any{
					"arn":     "arn:aws:mq:us-west-2:112556298976:broker:test:b-9bcfa592-423a-4942-879d-eb284b418fc8",
					"headers": `{"header1":"value1","header2":"value2","numberInHeader":10}`, "deliverymode": int32(1), "priority": int32(34),
					"expiration": "60000", "userid": "AIDACKCEVSQ6C2EXAMPLE",
				}, "text/plain", `{"timeout":0,"data":"CZrmf0Gw8Ov4bqLQxD4E"}`)
				e.Time = time.Date(1970, 1, 1, 0, 33, 41, 0, time.UTC)
				return e
			}(),
			same: []string{
				".eventSource", ".eventSourceArn", ".rmqMessagesByQueue.test::/[0].basicProperties.contentType",
				".rmqMessagesByQueue.test::/[0].basicProperties.headers.header1.bytes[0]", ".rmqMessagesByQueue.test::/[0].basicProperties.timestamp",
				".rmqMessagesByQueue.test::/[0].basicProperties.headers.numberInHeader", ".rmqMessagesByQueue.test::/[0].basicProperties.deliveryMode",
				".rmqMessagesByQueue.test::/[0].basicProperties.priority", ".rmqMessagesByQueue.test::/[0].basicProperties.expiration",
				".rmqMessagesByQueue.test::/[0].basicProperties.userId", ".rmqMessagesByQueue.test::/[0].redelivered", ".rmqMessagesByQueue.test::/[0].data",
			},
		},
		{
			name: "activemq", sample: "activemq-event.json", into: &events.ActiveMQEvent{},
			event: made("activemq.message", "activemq://broker/testQueue", map[string]any{
				"arn":     "arn:aws:mq:us-west-2:533019413397:broker:shask-test:b-0f5b7522-2b41-4f85-a615-735a4e6d96b5",
				"headers": `{"testKey":"testValue"}`,
			}, "text/plain", "Enter some text here for the message body..."),
			same: []string{
				".eventSource", ".eventSourceArn", ".messages[0].messageType", ".messages[0].deliveryMode", ".messages[0].replyTo",
				".messages[0].destination.physicalName", ".messages[0].redelivered", ".messages[0].expiration", ".messages[0].priority",
				".messages[0].data", ".messages[0].properties.testKey",
			},
		},
		{
			name: "eventbridge", sample: "autoscaling-event-launch-successful.json", into: &events.EventBridgeEvent{},
			event: func() *event.Event {
				e := made("EC2 Instance Launch Successful", "aws.autoscaling", nil, "application/json", `{"StatusCode": "InProgress"}`)
				e.Subject = "auto-scaling-group-arn"
				return e
			}(),
			missing: []string{
				".resources[1]", ".detail.Description", ".detail.AutoScalingGroupName", ".detail.ActivityId", ".detail.Details", ".detail.RequestId",
				".detail.StatusMessage", ".detail.EndTime", ".detail.EC2InstanceId", ".detail.StartTime", ".detail.Cause",
			},
			same: []string{".version", ".detail-type", ".source", ".resources[0]", ".detail.StatusCode"},
		},
	}
}

// What functions get agrees with the published samples in every member and its
// type, and with their values where the event tells them.
func TestPublishedSamples(t *testing.T) {
	samples := published(t)
	for _, c := range comparisons() {
		t.Run(c.name, func(t *testing.T) {
			got := paths(t, encode(t, aws.ShapeAWS, aws.Options{}, c.event).JSON)
			want := paths(t, read(t, samples, c.sample))
			maps.DeleteFunc(want, func(path string, _ any) bool { return within(path, c.missing) })
			for _, path := range slices.Sorted(maps.Keys(want)) {
				if g, found := got[path]; !found {
					t.Errorf("%s is missing", path)
				} else if kindOf(g) != kindOf(want[path]) {
					t.Errorf("%s is %s, want %s", path, kindOf(g), kindOf(want[path]))
				}
			}
			for _, path := range slices.Sorted(maps.Keys(got)) {
				if _, found := want[path]; !found {
					t.Errorf("%s is not in the sample", path)
				}
			}
			for _, path := range c.same {
				if want[path] == nil || got[path] != want[path] {
					t.Errorf("%s is %v, want %v", path, got[path], want[path])
				}
			}
		})
	}
}

// paths returns the leaves of a document, and lists and objects that are empty,
// by their paths.
func paths(tb testing.TB, document []byte) map[string]any {
	tb.Helper()
	var value any
	if err := json.Unmarshal(document, &value); err != nil {
		tb.Fatalf("%v: %s", err, document)
	}
	found := map[string]any{}
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for name, member := range v {
				walk(path+"."+name, member)
			}
		case []any:
			for i, element := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), element)
			}
		default:
			found[path] = value
		}
	}
	walk("", value)
	return found
}

func within(path string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) })
}

func kindOf(value any) string { return fmt.Sprintf("%T", value) }

// The official types take every payload with unknown members refused, and give
// back what it says.
func TestOfficialTypes(t *testing.T) {
	for _, c := range comparisons() {
		t.Run(c.name, func(t *testing.T) {
			payload := encode(t, aws.ShapeAWS, aws.Options{}, c.event).JSON
			decoder := json.NewDecoder(bytes.NewReader(payload))
			decoder.DisallowUnknownFields()
			if err := decoder.Decode(c.into); err != nil {
				t.Fatalf("%v: %s", err, payload)
			}
			again, err := json.Marshal(c.into)
			if err != nil {
				t.Fatal(err)
			}
			got, want := paths(t, again), paths(t, payload)
			for path, value := range want {
				if got[path] != value && !sameTime(got[path], value) {
					t.Errorf("%s is %v, and came back as %v", path, value, got[path])
				}
			}
		})
	}
}

// sameTime tells whether two strings are one time: the library writes it with
// fewer digits.
func sameTime(a, b any) bool {
	x, xIs := a.(string)
	y, yIs := b.(string)
	if !xIs || !yIs {
		return false
	}
	xTime, xErr := time.Parse(time.RFC3339, x)
	yTime, yErr := time.Parse(time.RFC3339, y)
	return xErr == nil && yErr == nil && xTime.Equal(yTime)
}

// The formats of values, in what functions get and in the published samples
// alike.
func TestFormats(t *testing.T) {
	formats := map[string]*regexp.Regexp{
		`(?i)arn$`:                      regexp.MustCompile(`^arn:aws:[a-z0-9]+:[a-z0-9-]*:[0-9]*:.+$`),
		`\.eventTime$|\.Timestamp$`:     regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`),
		`^\.time$`:                      regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$`),
		`md5Of`:                         regexp.MustCompile(`^[0-9a-f]{32}$`),
		`kinesis\.data$|\.data$|\.key$`: regexp.MustCompile(`^[A-Za-z0-9+/%.]*=*$`),
		`awsRegion$|\.region$`:          regexp.MustCompile(`^[a-z]{2}-[a-z]+-\d$`),
		`\.account$`:                    regexp.MustCompile(`^\d{12}$`),
		`Timestamp$`:                    regexp.MustCompile(`^(\d{13}|\d{10}(\.\d{1,3})?|\d{4}-.*|1\.\d+e\+09)$`),
		`eventID$`:                      regexp.MustCompile(`^(shardId-\d{12}:\d+|[0-9a-f-]{32,36})$`),
		`x-amz-request-id$`:             regexp.MustCompile(`^[0-9A-F]{16}$`),
		`basicProperties\.timestamp$`:   regexp.MustCompile(`^[A-Z][a-z]{2} \d{1,2}, \d{4}, \d{1,2}:\d\d:\d\d [AP]M$`),
	}
	samples := published(t)
	for _, c := range comparisons() {
		for from, document := range map[string][]byte{
			"payload": encode(t, aws.ShapeAWS, aws.Options{}, c.event).JSON, "sample": read(t, samples, c.sample),
		} {
			for path, value := range paths(t, document) {
				for where, format := range formats {
					text := fmt.Sprint(value)
					if regexp.MustCompile(where).MatchString(path) && !format.MatchString(text) && text != "arn:aws:sns:EXAMPLE" {
						t.Errorf("%s %s: %s is %q, want %s", c.name, from, path, text, format)
					}
				}
			}
		}
	}
}

// Every kind of attribute value of the published sample goes through as it is.
func TestAttributeValues(t *testing.T) {
	var sample struct {
		Records []struct {
			DynamoDB map[string]json.RawMessage `json:"dynamodb"`
		}
	}
	if err := json.Unmarshal(read(t, published(t), "dynamodb-event.json"), &sample); err != nil {
		t.Fatal(err)
	}
	for i, record := range sample.Records {
		data, err := json.Marshal(record.DynamoDB)
		if err != nil {
			t.Fatal(err)
		}
		e := made("dynamodb.insert", "dynamodb://Example-Table", map[string]any{"sequence": "1405400000000002063282832"}, "application/json", string(data))
		var got struct {
			Records []struct {
				DynamoDB json.RawMessage `json:"dynamodb"`
			}
		}
		if err := json.Unmarshal(encode(t, aws.ShapeAWS, aws.Options{}, e).JSON, &got); err != nil {
			t.Fatal(err)
		}
		if g, w := paths(t, got.Records[0].DynamoDB), paths(t, data); !maps.Equal(g, w) {
			t.Errorf("record %d: %v\nwant %v", i, g, w)
		}
	}
}
