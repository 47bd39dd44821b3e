package dynamodb

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"sluice/event"
	"sluice/sources/shards"
)

// typePrefix begins the type of all events of the source; insert, modify or remove
// follow.
const typePrefix = "dynamodb."

// record returns a record of a table's stream with its event: the service's own
// stream record, as docs/function-events.md has it.
func record(table, arn, shard string, from *types.Record) (shards.Record, error) {
	change := from.Dynamodb
	if change == nil || aws.ToString(change.SequenceNumber) == "" || aws.ToString(from.EventID) == "" || from.EventName == "" {
		return shards.Record{}, fmt.Errorf("the service has given a record without what each has (eventID %q, eventName %q): what answers may be something else", aws.ToString(from.EventID), from.EventName)
	}
	r := shards.Record{Sequence: *change.SequenceNumber, Time: aws.ToTime(change.ApproximateCreationDateTime)}
	data, err := appendChange(nil, change)
	if err != nil {
		return r, fmt.Errorf("record %s: %w", r.Sequence, err)
	}
	e := event.Event{
		ID: *from.EventID, Source: "dynamodb://" + table, Type: typePrefix + strings.ToLower(string(from.EventName)),
		Time: r.Time.UTC().Truncate(time.Millisecond), DataContentType: "application/json", Data: data,
		Extensions: map[string]any{"arn": arn, "shard": shard, "sequence": r.Sequence},
	}
	if key := itemKey(change.Keys); key != "" {
		e.Extensions["partitionkey"] = shards.Key(key)
	}
	if from.UserIdentity != nil && aws.ToString(from.UserIdentity.PrincipalId) != "" {
		e.Extensions["principalid"] = *from.UserIdentity.PrincipalId
	}
	r.Events = []event.Event{e}
	return r, nil
}

// itemKey returns the values of an item's key, in the order of the attributes'
// names: keys are texts, numbers or bytes.
func itemKey(keys map[string]types.AttributeValue) string {
	var values []string
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		switch v := keys[name].(type) {
		case *types.AttributeValueMemberS:
			values = append(values, v.Value)
		case *types.AttributeValueMemberN:
			values = append(values, v.Value)
		case *types.AttributeValueMemberB:
			values = append(values, base64.StdEncoding.EncodeToString(v.Value))
		}
	}
	return strings.Join(values, "/")
}

// appendChange appends a stream record in the service's JSON, without its sequence
// number, which the event has beside.
func appendChange(dst []byte, c *types.StreamRecord) ([]byte, error) {
	dst = append(dst, '{')
	if c.ApproximateCreationDateTime != nil {
		dst = append(dst, `"ApproximateCreationDateTime":`...)
		dst = append(strconv.AppendFloat(dst, float64(c.ApproximateCreationDateTime.UnixMilli())/1000, 'f', -1, 64), ',')
	}
	dst = append(dst, `"Keys":`...)
	dst, err := appendItem(dst, c.Keys)
	for _, image := range []struct {
		name string
		item map[string]types.AttributeValue
	}{{"NewImage", c.NewImage}, {"OldImage", c.OldImage}} {
		if err == nil && image.item != nil {
			dst = append(dst, `,"`+image.name+`":`...)
			dst, err = appendItem(dst, image.item)
		}
	}
	if c.SizeBytes != nil {
		dst = strconv.AppendInt(append(dst, `,"SizeBytes":`...), *c.SizeBytes, 10)
	}
	if c.StreamViewType != "" {
		dst = event.AppendQuoted(append(dst, `,"StreamViewType":`...), string(c.StreamViewType))
	}
	return append(dst, '}'), err
}

// appendItem appends an item, its attributes sorted by name, so that the same
// record is always the same event.
func appendItem(dst []byte, item map[string]types.AttributeValue) ([]byte, error) {
	dst = append(dst, '{')
	for i, name := range slices.Sorted(maps.Keys(item)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(event.AppendQuoted(dst, name), ':')
		var err error
		if dst, err = appendValue(dst, item[name]); err != nil {
			return dst, fmt.Errorf("attribute %q: %w", name, err)
		}
	}
	return append(dst, '}'), nil
}

// appendValue appends an attribute value, such as {"S":"text"}.
func appendValue(dst []byte, value types.AttributeValue) ([]byte, error) {
	var err error
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		dst = event.AppendQuoted(append(dst, `{"S":`...), v.Value)
	case *types.AttributeValueMemberN:
		dst = event.AppendQuoted(append(dst, `{"N":`...), v.Value)
	case *types.AttributeValueMemberB:
		dst = appendBytes(append(dst, `{"B":`...), v.Value)
	case *types.AttributeValueMemberBOOL:
		dst = strconv.AppendBool(append(dst, `{"BOOL":`...), v.Value)
	case *types.AttributeValueMemberNULL:
		dst = strconv.AppendBool(append(dst, `{"NULL":`...), v.Value)
	case *types.AttributeValueMemberM:
		dst, err = appendItem(append(dst, `{"M":`...), v.Value)
	case *types.AttributeValueMemberL:
		dst = append(dst, `{"L":`...)
		dst, err = appendList(dst, v.Value, appendValue)
	case *types.AttributeValueMemberSS:
		dst, err = appendList(append(dst, `{"SS":`...), v.Value, appendText)
	case *types.AttributeValueMemberNS:
		dst, err = appendList(append(dst, `{"NS":`...), v.Value, appendText)
	case *types.AttributeValueMemberBS:
		dst, err = appendList(append(dst, `{"BS":`...), v.Value, func(dst, b []byte) ([]byte, error) { return appendBytes(dst, b), nil })
	case *types.UnknownUnionMember:
		err = fmt.Errorf("a value of the type %q, which this sluice does not know: a newer one may", v.Tag)
	default:
		err = fmt.Errorf("it has no value, found %T", value)
	}
	return append(dst, '}'), err
}

func appendList[T any](dst []byte, list []T, one func([]byte, T) ([]byte, error)) ([]byte, error) {
	dst = append(dst, '[')
	for i, value := range list {
		if i > 0 {
			dst = append(dst, ',')
		}
		var err error
		if dst, err = one(dst, value); err != nil {
			return dst, err
		}
	}
	return append(dst, ']'), nil
}

func appendText(dst []byte, text string) ([]byte, error) { return event.AppendQuoted(dst, text), nil }

func appendBytes(dst, value []byte) []byte {
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, value), '"')
}
