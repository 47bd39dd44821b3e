package dynamodb

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"
	"pgregory.net/rapid"

	"sluice/event"
	awsform "sluice/event/aws"
)

const (
	someARN   = "arn:aws:dynamodb:eu-central-1:123456789012:table/orders/stream/2026-01-01T00:00:00.000"
	someShard = "2026-01-01T00:00:00.000/shardId-00000001541626099285-f35f62ef"
)

func text(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func change() *types.Record {
	return &types.Record{
		EventID: aws.String("7fbd7b1a0c1d4a2a8ad5d9d8c1a4f9a5"), EventName: types.OperationTypeModify, EventSource: aws.String("aws:dynamodb"), AwsRegion: aws.String("eu-central-1"),
		Dynamodb: &types.StreamRecord{
			ApproximateCreationDateTime: aws.Time(time.UnixMilli(1767225600123)),
			SequenceNumber:              aws.String("4421584500000000017450439091"), SizeBytes: aws.Int64(134), StreamViewType: types.StreamViewTypeNewAndOldImages,
			Keys:     map[string]types.AttributeValue{"id": &types.AttributeValueMemberN{Value: "7"}},
			NewImage: map[string]types.AttributeValue{"id": &types.AttributeValueMemberN{Value: "7"}, "state": text("paid")},
			OldImage: map[string]types.AttributeValue{"id": &types.AttributeValueMemberN{Value: "7"}, "state": text("new")},
		},
	}
}

func made(t *testing.T, r *types.Record) *event.Event {
	t.Helper()
	got, err := record("orders", someARN, someShard, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Events[0].Validate(); err != nil {
		t.Fatal(err)
	}
	return &got.Events[0]
}

func TestRecord(t *testing.T) {
	r := change()
	r.UserIdentity = &types.Identity{PrincipalId: aws.String("dynamodb.amazonaws.com"), Type: aws.String("Service")}
	got := string(made(t, r).AppendJSON(nil))
	const want = `{"specversion":"1.0","id":"7fbd7b1a0c1d4a2a8ad5d9d8c1a4f9a5","source":"dynamodb://orders","type":"dynamodb.modify","time":"2026-01-01T00:00:00.123Z","datacontenttype":"application/json",` +
		`"arn":"` + someARN + `","partitionkey":"7","principalid":"dynamodb.amazonaws.com","sequence":"4421584500000000017450439091","shard":"` + someShard + `",` +
		`"data":{"ApproximateCreationDateTime":1767225600.123,"Keys":{"id":{"N":"7"}},"NewImage":{"id":{"N":"7"},"state":{"S":"paid"}},"OldImage":{"id":{"N":"7"},"state":{"S":"new"}},"SizeBytes":134,"StreamViewType":"NEW_AND_OLD_IMAGES"}}`
	if !sameJSON(t, got, want) {
		t.Errorf("the event is\n%s\nwant\n%s", got, want)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var values [2]string
	for i, text := range []string{a, b} {
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		values[i] = string(sorted)
	}
	return values[0] == values[1]
}

// TestFunctionsAreGivenTheRecord compares with what functions are given of the
// service itself.
func TestFunctionsAreGivenTheRecord(t *testing.T) {
	r := change()
	r.UserIdentity = &types.Identity{PrincipalId: aws.String("dynamodb.amazonaws.com"), Type: aws.String("Service")}
	payload, err := awsform.Encode(awsform.ShapeAWS, []*event.Event{made(t, r)}, awsform.Options{})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"Records":[{"eventID":"7fbd7b1a0c1d4a2a8ad5d9d8c1a4f9a5","eventName":"MODIFY","eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":"eu-central-1",` +
		`"dynamodb":{"ApproximateCreationDateTime":1767225600.123,"Keys":{"id":{"N":"7"}},"NewImage":{"id":{"N":"7"},"state":{"S":"paid"}},"OldImage":{"id":{"N":"7"},"state":{"S":"new"}},` +
		`"SequenceNumber":"4421584500000000017450439091","SizeBytes":134,"StreamViewType":"NEW_AND_OLD_IMAGES"},` +
		`"eventSourceARN":"` + someARN + `","userIdentity":{"type":"Service","principalId":"dynamodb.amazonaws.com"}}]}`
	if !sameJSON(t, string(payload.JSON), want) {
		t.Errorf("a function is given\n%s\nwant\n%s", payload.JSON, want)
	}
}

// TestItem has all types of attributes.
func TestItem(t *testing.T) {
	got, err := appendItem(nil, map[string]types.AttributeValue{
		"z": text("a \"text\"\n<>"), "n": &types.AttributeValueMemberN{Value: "-1.5E3"}, "b": &types.AttributeValueMemberB{Value: []byte{0, 255}},
		"t": &types.AttributeValueMemberBOOL{Value: true}, "0": &types.AttributeValueMemberNULL{Value: true},
		"m":  &types.AttributeValueMemberM{Value: map[string]types.AttributeValue{"y": text(""), "x": &types.AttributeValueMemberM{}}},
		"l":  &types.AttributeValueMemberL{Value: []types.AttributeValue{text("1"), &types.AttributeValueMemberL{}}},
		"ss": &types.AttributeValueMemberSS{Value: []string{"a", "b"}}, "ns": &types.AttributeValueMemberNS{Value: []string{"1"}},
		"bs": &types.AttributeValueMemberBS{Value: [][]byte{{1}, {}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"0":{"NULL":true},"b":{"B":"AP8="},"bs":{"BS":["AQ==",""]},"l":{"L":[{"S":"1"},{"L":[]}]},"m":{"M":{"x":{"M":{}},"y":{"S":""}}},` +
		`"n":{"N":"-1.5E3"},"ns":{"NS":["1"]},"ss":{"SS":["a","b"]},"t":{"BOOL":true},"z":{"S":"a \"text\"\n<>"}}`
	if string(got) != want {
		t.Errorf("the item is\n%s\nwant\n%s", got, want)
	}
}

// valueOf draws an attribute value as the service gives it, and as the official
// library gives it to functions.
func valueOf(t *rapid.T, depth int) (types.AttributeValue, events.DynamoDBAttributeValue) {
	text := rapid.StringMatching(`[ -~üÿ\n\x00]{0,5}`)
	kinds := 8
	if depth > 0 {
		kinds = 10
	}
	switch rapid.IntRange(1, kinds).Draw(t, "kind") {
	case 1:
		v := text.Draw(t, "S")
		return &types.AttributeValueMemberS{Value: v}, events.NewStringAttribute(v)
	case 2:
		v := rapid.SampledFrom([]string{"0", "-1.5", "12345678901234567890123456789012345678", "1E-130"}).Draw(t, "N")
		return &types.AttributeValueMemberN{Value: v}, events.NewNumberAttribute(v)
	case 3:
		v := rapid.SliceOf(rapid.Byte()).Draw(t, "B")
		return &types.AttributeValueMemberB{Value: v}, events.NewBinaryAttribute(v)
	case 4:
		v := rapid.Bool().Draw(t, "BOOL")
		return &types.AttributeValueMemberBOOL{Value: v}, events.NewBooleanAttribute(v)
	case 5:
		return &types.AttributeValueMemberNULL{Value: true}, events.NewNullAttribute()
	case 6:
		v := rapid.SliceOfN(text, 1, 3).Draw(t, "SS")
		return &types.AttributeValueMemberSS{Value: v}, events.NewStringSetAttribute(v)
	case 7:
		v := rapid.SliceOfN(rapid.SampledFrom([]string{"0", "7"}), 1, 3).Draw(t, "NS")
		return &types.AttributeValueMemberNS{Value: v}, events.NewNumberSetAttribute(v)
	case 8:
		v := rapid.SliceOfN(rapid.SliceOf(rapid.Byte()), 1, 3).Draw(t, "BS")
		return &types.AttributeValueMemberBS{Value: v}, events.NewBinarySetAttribute(v)
	case 9:
		ours, theirs := []types.AttributeValue{}, []events.DynamoDBAttributeValue{}
		for range rapid.IntRange(0, 3).Draw(t, "L") {
			a, b := valueOf(t, depth-1)
			ours, theirs = append(ours, a), append(theirs, b)
		}
		return &types.AttributeValueMemberL{Value: ours}, events.NewListAttribute(theirs)
	}
	ours, theirs := itemOf(t, depth-1)
	return &types.AttributeValueMemberM{Value: ours}, events.NewMapAttribute(theirs)
}

func itemOf(t *rapid.T, depth int) (map[string]types.AttributeValue, map[string]events.DynamoDBAttributeValue) {
	ours, theirs := map[string]types.AttributeValue{}, map[string]events.DynamoDBAttributeValue{}
	for _, name := range rapid.SliceOfN(rapid.StringMatching(`[a-z"ü]{1,3}`), 0, 3).Draw(t, "names") {
		ours[name], theirs[name] = valueOf(t, depth)
	}
	return ours, theirs
}

// TestFunctionsReadAllItems: whatever an item is, the official library reads from
// what a function is given what the service gave.
func TestFunctionsReadAllItems(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := change()
		var want map[string]events.DynamoDBAttributeValue
		r.Dynamodb.NewImage, want = itemOf(t, 3)
		got, err := record("orders", someARN, someShard, r)
		if err != nil {
			t.Fatal(err)
		}
		payload, err := awsform.Encode(awsform.ShapeAWS, []*event.Event{&got.Events[0]}, awsform.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var given events.DynamoDBEvent
		if err := json.Unmarshal(payload.JSON, &given); err != nil {
			t.Fatalf("%s: %v", payload.JSON, err)
		}
		if image := given.Records[0].Change.NewImage; !reflect.DeepEqual(image, want) {
			t.Fatalf("%s is read as %+v, want %+v", payload.JSON, image, want)
		}
	})
}

func TestUnknownValues(t *testing.T) {
	r := change()
	r.Dynamodb.NewImage["x"] = &types.AttributeValueMemberL{Value: []types.AttributeValue{&types.UnknownUnionMember{Tag: "Q"}}}
	if _, err := record("orders", someARN, someShard, r); err == nil || !strings.Contains(err.Error(), `attribute "x": a value of the type "Q"`) {
		t.Errorf("got %v", err)
	}
	r.Dynamodb = nil
	if _, err := record("orders", someARN, someShard, r); err == nil {
		t.Error("a record without a change was taken")
	}
}

func TestItemKey(t *testing.T) {
	for want, keys := range map[string]map[string]types.AttributeValue{
		"7":         {"id": &types.AttributeValueMemberN{Value: "7"}},
		"berlin/12": {"city": text("berlin"), "nr": &types.AttributeValueMemberN{Value: "12"}},
		"AP8=":      {"id": &types.AttributeValueMemberB{Value: []byte{0, 255}}},
	} {
		if got := itemKey(keys); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
