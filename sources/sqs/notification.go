package sqs

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"sluice/event"
)

// A notification is what a topic of SNS sends to a queue, unless the subscription
// asks for raw delivery ("Parsing Amazon SNS message formats" in the service's
// guide).
type notification struct {
	Type              string
	MessageID         string `json:"MessageId"`
	TopicARN          string `json:"TopicArn"`
	Subject           string
	Message           *string
	Timestamp         time.Time
	SequenceNumber    string
	MessageAttributes map[string]struct{ Type, Value string }
}

// parseNotification tells whether a body is the envelope of a notification.
func parseNotification(body string) (notification, bool) {
	var n notification
	// A plain check before: most bodies are none.
	if !strings.HasPrefix(strings.TrimLeft(body, " \t\r\n"), "{") || !strings.Contains(body, `"TopicArn"`) {
		return n, false
	}
	if err := json.Unmarshal([]byte(body), &n); err != nil {
		return n, false
	}
	arn := strings.SplitN(n.TopicARN, ":", 6)
	return n, n.Type == "Notification" && n.MessageID != "" && n.Message != nil && len(arn) == 6 && arn[0] == "arn" && arn[2] == "sns"
}

// event makes the notification an event; group is that of the message that has
// carried it.
func (n *notification) event(group string) event.Event {
	e := event.Event{
		ID: n.MessageID, Source: "sns://" + n.TopicARN[strings.LastIndexByte(n.TopicARN, ':')+1:], Type: typeNotification,
		Subject: n.Subject, Time: n.Timestamp.UTC(), Data: []byte(*n.Message),
	}
	e.DataContentType = mediaType(e.Data)
	set(&e, "arn", n.TopicARN)
	set(&e, "attributes", encodeAttributes(n.attributes()))
	set(&e, "partitionkey", group)
	set(&e, "sequence", n.SequenceNumber)
	return e
}

// attributes returns those of the notification as a message would have them.
func (n *notification) attributes() map[string]types.MessageAttributeValue {
	all := make(map[string]types.MessageAttributeValue, len(n.MessageAttributes))
	for name, a := range n.MessageAttributes {
		value := types.MessageAttributeValue{DataType: &a.Type, StringValue: &a.Value}
		if a.Type == dataBinary {
			if bytes, err := base64.StdEncoding.DecodeString(a.Value); err == nil {
				value = types.MessageAttributeValue{DataType: &a.Type, BinaryValue: bytes}
			}
		}
		all[name] = value
	}
	return all
}
