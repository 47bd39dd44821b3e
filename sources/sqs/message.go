package sqs

import (
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/event"
)

// The types of the events.
const (
	typeMessage      = "sqs.message"
	typeNotification = "sns.notification"
)

// binding is how an event stands in the attributes of a message. There is no
// binding of CloudEvents for SQS: the names are those of Kafka's, and of HTTP's.
func binding() event.Binding { return event.Binding{Prefixes: []string{"ce_", "ce-"}} }

// event makes a message an event: the CloudEvent that it is, the notification of
// a topic that it carries, or itself.
func (r *run) event(m *types.Message) event.Event {
	e := r.message(m)
	attributes := m.MessageAttributes
	if n, ok := parseNotification(aws.ToString(m.Body)); ok && r.config.SNS {
		e = n.event(e.PartitionKey())
		attributes = n.attributes()
	}
	if !r.config.CloudEvents {
		return e
	}
	found, is, err := binding().Decode(contentType(attributes), texts(attributes), e.Data)
	switch {
	case is && err != nil:
		r.env.Logger.Warn("a message says that it is a CloudEvent, and is not: it becomes an event as it stands",
			slog.String("queue", r.queue.Name), slog.String("message", aws.ToString(m.MessageId)), slog.Any("error", err))
	case is:
		if found.PartitionKey() == "" {
			set(&found, "partitionkey", e.PartitionKey())
		}
		return found
	}
	return e
}

// message makes an event of a message as it stands, with what function-events.md
// names for it.
func (r *run) message(m *types.Message) event.Event {
	e := event.Event{ID: aws.ToString(m.MessageId), Source: "sqs://" + r.queue.Name, Type: typeMessage, Data: []byte(aws.ToString(m.Body))}
	e.DataContentType = mediaType(e.Data)
	system := func(name types.MessageSystemAttributeName) string { return m.Attributes[string(name)] }
	if ms, err := strconv.ParseInt(system(types.MessageSystemAttributeNameSentTimestamp), 10, 64); err == nil {
		e.Time = time.UnixMilli(ms).UTC()
	}
	set(&e, "arn", r.arn)
	set(&e, "attributes", encodeAttributes(m.MessageAttributes))
	set(&e, "receipthandle", aws.ToString(m.ReceiptHandle))
	set(&e, "receivecount", system(types.MessageSystemAttributeNameApproximateReceiveCount))
	set(&e, "firstreceived", system(types.MessageSystemAttributeNameApproximateFirstReceiveTimestamp))
	set(&e, "senderid", system(types.MessageSystemAttributeNameSenderId))
	set(&e, "sequence", system(types.MessageSystemAttributeNameSequenceNumber))
	set(&e, "partitionkey", system(types.MessageSystemAttributeNameMessageGroupId))
	set(&e, "deduplicationid", system(types.MessageSystemAttributeNameMessageDeduplicationId))
	return e
}

// set sets an extension that there is. A value that no attribute can have is
// found when the event is published.
func set(e *event.Event, name, value string) {
	if value == "" {
		return
	}
	if err := e.SetExtension(name, value); err != nil {
		if e.Extensions == nil {
			e.Extensions = map[string]any{}
		}
		e.Extensions[name] = value
	}
}

// mediaType says what a body is: a queue does not. Objects and lists of JSON are
// what patterns look into.
func mediaType(body []byte) string {
	text := strings.TrimLeft(string(body[:min(len(body), 64)]), " \t\r\n")
	if text != "" && (text[0] == '{' || text[0] == '[') && json.Valid(body) {
		return "application/json"
	}
	return "text/plain; charset=utf-8"
}

// An attribute is one of a message, as function-events.md has it.
type attribute struct {
	DataType    string  `json:"dataType"`
	StringValue *string `json:"stringValue,omitempty"`
	BinaryValue []byte  `json:"binaryValue,omitempty"`
}

const (
	dataString = "String"
	dataBinary = "Binary"
)

// encodeAttributes returns a JSON object, or "" for none.
func encodeAttributes(attributes map[string]types.MessageAttributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	values := make(map[string]any, len(attributes))
	for name, a := range attributes {
		dataType := aws.ToString(a.DataType)
		switch {
		case dataType == dataString && a.StringValue != nil:
			values[name] = *a.StringValue
		case strings.HasPrefix(dataType, dataBinary):
			values[name] = attribute{DataType: dataType, BinaryValue: a.BinaryValue}
		default:
			values[name] = attribute{DataType: dataType, StringValue: aws.String(aws.ToString(a.StringValue))}
		}
	}
	text, err := json.Marshal(values)
	if err != nil {
		return "" // strings and bytes have a form in JSON
	}
	return escape(string(text))
}

// escape writes what JSON may have as it is, and no attribute of an event, as
// \uXXXX (CloudEvents section 3.2: no control and no non-characters).
func escape(text string) string {
	odd := func(r rune) bool { return unicode.IsControl(r) || r&0xfffe == 0xfffe || (r >= 0xfdd0 && r <= 0xfdef) }
	if !strings.ContainsFunc(text, odd) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case !odd(r):
			b.WriteRune(r)
		case r > 0xffff:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// contentType returns what a sender says the body is.
func contentType(attributes map[string]types.MessageAttributeValue) string {
	for _, name := range [...]string{"content-type", "Content-Type", "contentType", "datacontenttype"} {
		if a, ok := attributes[name]; ok {
			return aws.ToString(a.StringValue)
		}
	}
	return ""
}

// texts yields the attributes that are text.
func texts(attributes map[string]types.MessageAttributeValue) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, a := range attributes {
			if a.StringValue != nil && !yield(name, *a.StringValue) {
				return
			}
		}
	}
}
