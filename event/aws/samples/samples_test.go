package samples_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"sluice/event"
	"sluice/event/aws"
	"sluice/event/aws/samples"
)

// generate makes the payload of a sample.
func generate(tb testing.TB, service, name string, count int, values map[string]string) []byte {
	tb.Helper()
	for _, s := range samples.All() {
		if s.Service != service || s.Name != name {
			continue
		}
		made, err := s.Events(samples.Request{Values: values, Count: count, Region: "us-east-1", Account: "000000000000"})
		if err != nil {
			tb.Fatal(err)
		}
		p, err := aws.Encode(aws.ShapeAWS, made, aws.Options{Batch: count > 1})
		if err != nil {
			tb.Fatal(err)
		}
		return p.JSON
	}
	tb.Fatalf("there is no %s %s", service, name)
	return nil
}

// Every sample is read by the official type, with unknown members refused.
func TestOfficialTypes(t *testing.T) {
	types := map[string]func() any{
		"apigateway aws-proxy":        func() any { return &events.APIGatewayProxyRequest{} },
		"apigateway http-api-proxy":   func() any { return &events.APIGatewayV2HTTPRequest{} },
		"cloudwatch scheduled-event":  func() any { return &events.CloudWatchEvent{} },
		"dynamodb insert":             func() any { return &events.DynamoDBEvent{} },
		"dynamodb remove":             func() any { return &events.DynamoDBEvent{} },
		"dynamodb update":             func() any { return &events.DynamoDBEvent{} },
		"eventbridge put-events":      func() any { return &events.EventBridgeEvent{} },
		"eventbridge scheduled-event": func() any { return &events.EventBridgeEvent{} },
		"iot message":                 func() any { return &map[string]any{} },
		"kafka msk":                   func() any { return &events.KafkaEvent{} },
		"kafka self-managed":          func() any { return &events.KafkaEvent{} },
		"kinesis get-records":         func() any { return &events.KinesisEvent{} },
		"lambda on-failure":           func() any { return &map[string]any{} },
		"lambda on-success":           func() any { return &map[string]any{} },
		"mq activemq":                 func() any { return &events.ActiveMQEvent{} },
		"mq rabbitmq":                 func() any { return &events.RabbitMQEvent{} },
		"s3 delete":                   func() any { return &events.S3Event{} },
		"s3 put":                      func() any { return &events.S3Event{} },
		"sns notification":            func() any { return &events.SNSEvent{} },
		"sqs receive-message":         func() any { return &events.SQSEvent{} },
	}
	var names []string
	for _, s := range samples.All() {
		name := s.Service + " " + s.Name
		names = append(names, name)
		into, found := types[name]
		if !found {
			t.Errorf("%s has no official type here", name)
			continue
		}
		payload := generate(t, s.Service, s.Name, 1, nil)
		decoder := json.NewDecoder(bytes.NewReader(payload))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(into()); err != nil {
			t.Errorf("%s: %v: %s", name, err, payload)
		}
		for _, o := range s.Options {
			if o.Name == "" || strings.Count(o.Usage, "`") != 2 {
				t.Errorf("%s: the option %q says %q", name, o.Name, o.Usage)
			}
		}
	}
	if !slices.IsSorted(names) || len(names) != len(types) {
		t.Errorf("the samples are %q", names)
	}
}

// The requests of an API have the members of the published samples, but for
// what their authorizers and certificates add.
func TestPublishedRequests(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		t.Fatalf("where the official library is: %v", err)
	}
	for _, c := range []struct {
		name, file     string
		extra, missing []string
	}{
		{
			"http-api-proxy", "apigw-v2-request-no-authorizer.json",
			[]string{"body", "headers.content-type", "queryStringParameters"},
			[]string{"headers.content-length", "headers.x-amzn-trace-id", "requestContext.authentication"},
		},
		{
			"aws-proxy", "apigw-request.json",
			[]string{"isBase64Encoded"},
			[]string{
				"headers", "multiValueHeaders", "stageVariables.", "requestContext.authorizer", "requestContext.identity.clientCert",
				"requestContext.identity.apiKey", "requestContext.identity.apiKeyId",
			},
		},
	} {
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), "events", "testdata", c.file))
		if err != nil {
			t.Fatal(err)
		}
		got, want := members(t, generate(t, "apigateway", c.name, 1, map[string]string{"query": "name=me"})), members(t, text)
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if !got[name] && !startsWith(name, c.missing) {
				t.Errorf("%s: %s is missing", c.name, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if !want[name] && !startsWith(name, c.extra) && !startsWith(name, c.missing) {
				t.Errorf("%s: %s is not in the published sample", c.name, name)
			}
		}
	}
}

// members returns the paths of all members.
func members(tb testing.TB, text []byte) map[string]bool {
	tb.Helper()
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		tb.Fatal(err)
	}
	found := map[string]bool{}
	var walk func(prefix string, object map[string]any)
	walk = func(prefix string, object map[string]any) {
		for name, value := range object {
			found[prefix+name] = true
			if inner, ok := value.(map[string]any); ok {
				walk(prefix+name+".", inner)
			}
		}
	}
	walk("", document)
	return found
}

func startsWith(name string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// Several events differ in what identifies them, and in their places.
func TestSeveral(t *testing.T) {
	var stream events.KinesisEvent
	payload := generate(t, "kinesis", "get-records", 3, map[string]string{"sequence": "999999999999999999999998"})
	if err := json.Unmarshal(payload, &stream); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range stream.Records {
		got = append(got, r.Kinesis.SequenceNumber)
	}
	if want := []string{"999999999999999999999998", "999999999999999999999999", "1000000000000000000000000"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, s := range samples.All() {
		made, err := s.Events(samples.Request{Count: 12, Region: "us-east-1", Account: "000000000000"})
		if err != nil {
			t.Fatal(err)
		}
		seen := map[string]bool{}
		for _, e := range made {
			seen[e.ID] = true
		}
		if len(seen) != 12 {
			t.Errorf("%s %s: ids %v", s.Service, s.Name, slices.Sorted(maps.Keys(seen)))
		}
	}
}

func TestValues(t *testing.T) {
	var object events.S3Event
	payload := generate(t, "s3", "put", 1, map[string]string{"bucket": "b", "key": "a b@c.jpg", "size": "0", "etag": "e", "version-id": "v"})
	if err := json.Unmarshal(payload, &object); err != nil {
		t.Fatal(err)
	}
	s3 := object.Records[0].S3
	if s3.Bucket.Name != "b" || s3.Object.Key != "a+b%40c.jpg" || s3.Object.URLDecodedKey != "a b@c.jpg" || s3.Object.ETag != "e" || s3.Object.VersionID != "v" {
		t.Errorf("%+v", s3)
	}
	for _, c := range []struct {
		service, name string
		values        map[string]string
		want          string
	}{
		{"s3", "put", map[string]string{"colour": "red"}, `a put of s3 has no option "colour"`},
		{"eventbridge", "put-events", map[string]string{"source": "my shop"}, `the values make no event: source: "my shop" is not a URI reference`},
		{"apigateway", "aws-proxy", map[string]string{"path": "orders"}, `the path "orders" does not begin with a slash`},
		{"apigateway", "http-api-proxy", map[string]string{"query": "%"}, `the query "%": invalid URL escape "%"`},
		{"lambda", "on-success", map[string]string{"response": "x"}, "the response payload of the invocation"},
	} {
		for _, s := range samples.All() {
			if s.Service != c.service || s.Name != c.name {
				continue
			}
			if _, err := s.Events(samples.Request{Values: c.values, Count: 1}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s %s %v: %v, want %s", c.service, c.name, c.values, err, c.want)
			}
		}
	}
}

// A sample of a bucket is what the source s3 publishes, as its page shows it.
func TestBucketSampleIsThatOfTheSource(t *testing.T) {
	page, err := os.ReadFile(filepath.FromSlash("../../../docs/sources.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "\n## s3\n")
	_, rest, _ = strings.Cut(rest, "```json\n")
	text, _, _ := strings.Cut(rest, "```")
	want, err := event.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for _, s := range samples.All() {
		if s.Service != "s3" || s.Name != "put" {
			continue
		}
		made, err := s.Events(samples.Request{Count: 1, Time: want.Time, Values: map[string]string{
			"bucket": "photos", "key": "cat.jpg", "size": "3", "etag": "d077f244def8a70e5ea758bd8352fcd8",
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := made[0]
		var data bytes.Buffer
		if err := json.Compact(&data, want.Data); err != nil {
			t.Fatal(err)
		}
		want.Data = data.Bytes()
		if string(got.AppendJSON(nil)) != string(want.AppendJSON(nil)) {
			t.Errorf("%s\nwant %s", got.AppendJSON(nil), want.AppendJSON(nil))
		}
	}
}

func ExampleSample_Events() {
	for _, s := range samples.All() {
		if s.Service == "iot" {
			made, err := s.Events(samples.Request{Count: 1})
			fmt.Println(string(made[0].Data), err)
		}
	}
	// Output: {"celsius": 21.5} <nil>
}
