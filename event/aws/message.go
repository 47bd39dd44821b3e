package aws

import (
	"bytes"
	"crypto/md5"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"

	"sluice/event"
)

// sqs writes one message of a queue.
func (w *writer) sqs(e *event.Event) error {
	attributes, err := messageAttributes(e)
	if err != nil {
		return err
	}
	arn := w.arn(e, serviceSQS)
	w.open('{')
	w.text("messageId", e.ID)
	w.text("receiptHandle", or(e.Extension(extReceiptHandle), base64.StdEncoding.EncodeToString([]byte(e.ID))))
	w.body("body", e)
	w.sqsAttributes(e)
	w.object("messageAttributes")
	for _, a := range attributes {
		a.sqs(w)
	}
	w.close('}')
	w.text("md5OfBody", bodyDigest(e.Data))
	if len(attributes) > 0 {
		w.text("md5OfMessageAttributes", attributesDigest(attributes))
	}
	w.text("eventSource", "aws:sqs")
	w.text("eventSourceARN", arn)
	w.text("awsRegion", w.regionOf(arn))
	w.close('}')
	return nil
}

// sqsAttributes writes what the service itself says of a message. A message
// with a place in its group is from a FIFO queue.
func (w *writer) sqsAttributes(e *event.Event) {
	sent := strconv.FormatInt(millis(e), 10)
	w.object("attributes")
	w.text("ApproximateReceiveCount", or(e.Extension(extReceiveCount), "1"))
	w.text("SentTimestamp", sent)
	if sequence := e.Extension(extSequence); sequence != "" {
		w.text("SequenceNumber", sequence)
		w.text("MessageGroupId", or(e.PartitionKey(), "default"))
	}
	w.text("SenderId", or(e.Extension(extSenderID), w.Account))
	if id := e.Extension(extDeduplicationID); id != "" {
		w.text("MessageDeduplicationId", id)
	}
	w.text("ApproximateFirstReceiveTimestamp", or(e.Extension(extFirstReceived), sent))
	w.close('}')
}

// sns writes one notification of a topic. It is not signed.
func (w *writer) sns(e *event.Event) error {
	attributes, err := messageAttributes(e)
	if err != nil {
		return err
	}
	topic := w.arn(e, serviceSNS)
	subscription := topic + ":00000000-0000-0000-0000-000000000000"
	w.open('{')
	w.text("EventSource", "aws:sns")
	w.text("EventVersion", "1.0")
	w.text("EventSubscriptionArn", subscription)
	w.object("Sns")
	w.text("Type", "Notification")
	w.text("MessageId", e.ID)
	w.text("TopicArn", topic)
	w.textOrNull("Subject", e.Subject)
	w.body("Message", e)
	w.time("Timestamp", layoutMillis, e)
	w.text("SignatureVersion", "1")
	w.text("Signature", "UNSIGNED")
	w.text("SigningCertUrl", "UNSIGNED")
	w.text("UnsubscribeUrl", "https://sns."+w.regionOf(topic)+".amazonaws.com/?Action=Unsubscribe&SubscriptionArn="+subscription)
	w.object("MessageAttributes")
	for _, a := range attributes {
		w.object(a.name)
		w.text("Type", a.DataType)
		w.text("Value", a.value())
		w.close('}')
	}
	w.close('}')
	w.close('}')
	w.close('}')
	return nil
}

// A messageAttribute is one that a sender has given to a message of SQS or SNS.
type messageAttribute struct {
	name     string
	DataType string  `json:"dataType"`
	String   *string `json:"stringValue"`
	Binary   []byte  `json:"binaryValue"`
}

// messageAttributes reads the extension attributes: a JSON object. Each value is
// a string, a number, or an object with dataType, and stringValue or
// binaryValue, as the service has it. They are returned by name.
func messageAttributes(e *event.Event) ([]messageAttribute, error) {
	text := e.Extension(extAttributes)
	if text == "" {
		return nil, nil
	}
	var values map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &values); err != nil {
		return nil, fmt.Errorf("its extension %s is no JSON object: %w", extAttributes, err)
	}
	attributes := make([]messageAttribute, 0, len(values))
	for _, name := range sortedKeys(values) {
		a := messageAttribute{name: name}
		if err := a.read(values[name]); err != nil {
			return nil, fmt.Errorf("its extension %s: %q is %s: want a string, a number, or {%q: …, %q or %q: …}",
				extAttributes, name, brief(string(values[name])), "dataType", "stringValue", "binaryValue")
		}
		attributes = append(attributes, a)
	}
	return attributes, nil
}

func (a *messageAttribute) read(value json.RawMessage) error {
	switch value[0] {
	case '"':
		a.DataType = "String"
		return json.Unmarshal(value, &a.String)
	case '{':
		decoder := json.NewDecoder(bytes.NewReader(value))
		decoder.DisallowUnknownFields()
		err := decoder.Decode(a)
		if err == nil && (a.DataType == "" || (a.String == nil) == (a.Binary == nil)) {
			return errors.New("it is incomplete")
		}
		return err
	}
	number := json.Number(value)
	if _, err := number.Float64(); err != nil {
		return err
	}
	a.DataType, a.String = "Number", (*string)(&number)
	return nil
}

// value returns the value as SNS writes it.
func (a *messageAttribute) value() string {
	if a.String != nil {
		return *a.String
	}
	return base64.StdEncoding.EncodeToString(a.Binary)
}

func (a *messageAttribute) sqs(w *writer) {
	w.object(a.name)
	if a.String != nil {
		w.text("stringValue", *a.String)
	} else {
		w.name("binaryValue")
		w.base64(a.Binary)
	}
	w.member("stringListValues", "[]")
	w.member("binaryListValues", "[]")
	w.text("dataType", a.DataType)
	w.close('}')
}

// bodyDigest is the MD5 of the body as the function is given it.
func bodyDigest(data []byte) string {
	if !utf8.Valid(data) {
		data = base64.StdEncoding.AppendEncode(nil, data)
	}
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// attributesDigest is the MD5 of the attributes by name, each as the name, the
// data type and the value with their lengths, and a byte that tells a string (1)
// from bytes (2): "Calculating the MD5 message digest for message attributes" in
// the service's guide.
func attributesDigest(attributes []messageAttribute) string {
	var b []byte
	add := func(text string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(text))), text...) }
	for _, a := range attributes {
		add(a.name)
		add(a.DataType)
		if a.String != nil {
			b = append(b, 1)
			add(*a.String)
		} else {
			b = append(b, 2)
			add(string(a.Binary))
		}
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func or(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}
