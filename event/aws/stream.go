package aws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"sluice/event"
)

// defaultShard is that of an event that names none.
const defaultShard = "shardId-000000000000"

// kinesis writes one record of a stream.
func (w *writer) kinesis(e *event.Event) error {
	arn := w.arn(e, serviceKinesis)
	sequence := e.Extension(extSequence)
	w.open('{')
	w.object("kinesis")
	w.text("kinesisSchemaVersion", "1.0")
	w.text("partitionKey", or(e.PartitionKey(), e.ID))
	w.text("sequenceNumber", sequence)
	w.name("data")
	w.base64(e.Data)
	w.name("approximateArrivalTimestamp")
	w.buffer = strconv.AppendFloat(w.buffer, float64(millis(e))/1000, 'f', -1, 64)
	w.close('}')
	w.text("eventSource", "aws:kinesis")
	w.text("eventVersion", "1.0")
	w.text("eventID", or(e.Extension(extShard), defaultShard)+":"+sequence)
	w.text("eventName", "aws:kinesis:record")
	w.text("invokeIdentityArn", "arn:aws:iam::"+w.Account+":role/sluice")
	w.text("awsRegion", w.regionOf(arn))
	w.text("eventSourceARN", arn)
	w.close('}')
	return nil
}

// A change is the data of an event of a table: the service's StreamRecord. What
// is missing in it is made of the event's attributes.
type change struct {
	ApproximateCreationDateTime json.Number
	Keys, NewImage, OldImage    json.RawMessage
	SequenceNumber              string
	SizeBytes                   int64
	StreamViewType              string
}

// dynamoDB writes one record of a table's stream.
func (w *writer) dynamoDB(e *event.Event) error {
	c, err := readChange(e)
	if err != nil {
		return err
	}
	arn := w.arn(e, serviceDynamoDB)
	w.open('{')
	w.text("eventID", e.ID)
	w.text("eventName", map[string]string{
		TypeDynamoDBInsert: "INSERT", TypeDynamoDBModify: "MODIFY", TypeDynamoDBRemove: "REMOVE",
	}[e.Type])
	w.text("eventVersion", "1.1")
	w.text("eventSource", "aws:dynamodb")
	w.text("awsRegion", w.regionOf(arn))
	w.object("dynamodb")
	w.member("ApproximateCreationDateTime", c.ApproximateCreationDateTime.String())
	for _, item := range c.items() {
		if len(item.json) > 0 {
			w.member(item.name, string(item.json))
		}
	}
	w.text("SequenceNumber", c.SequenceNumber)
	w.number("SizeBytes", c.SizeBytes)
	w.text("StreamViewType", c.StreamViewType)
	w.close('}')
	w.text("eventSourceARN", arn)
	if principal := e.Extension(extPrincipalID); principal != "" {
		w.object("userIdentity")
		w.text("type", "Service")
		w.text("principalId", principal)
		w.close('}')
	}
	w.close('}')
	return nil
}

func readChange(e *event.Event) (*change, error) {
	c := change{SizeBytes: int64(len(e.Data))}
	if e.Form() != event.FormJSON {
		return nil, errors.New("its data is not JSON: want a stream record with Keys, NewImage and OldImage")
	}
	decoder := json.NewDecoder(bytes.NewReader(e.Data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&c); err != nil {
		return nil, fmt.Errorf("its data is no stream record with Keys, NewImage and OldImage: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	c.SequenceNumber = e.Extension(extSequence) // by which answers name it
	if c.ApproximateCreationDateTime == "" {
		c.ApproximateCreationDateTime = json.Number(strconv.FormatInt(eventTime(e).Unix(), 10))
	}
	if c.StreamViewType == "" {
		c.StreamViewType = c.viewType()
	}
	return &c, nil
}

// check tells whether the keys are there, and the items are made of attribute
// values. An item that is null is none.
func (c *change) check() error {
	for _, raw := range []*json.RawMessage{&c.Keys, &c.NewImage, &c.OldImage} {
		if string(*raw) == "null" {
			*raw = nil
		}
	}
	if len(c.Keys) == 0 {
		return errors.New("its data has no Keys")
	}
	for _, item := range c.items() {
		if err := checkItem(item.json); err != nil {
			return fmt.Errorf("its data's %s%w", item.name, err)
		}
	}
	return nil
}

type item struct {
	name string
	json json.RawMessage
}

func (c *change) items() [3]item {
	return [3]item{{"Keys", c.Keys}, {"NewImage", c.NewImage}, {"OldImage", c.OldImage}}
}

// viewType tells by the images what the stream was set up to show.
func (c *change) viewType() string {
	switch {
	case len(c.NewImage) > 0 && len(c.OldImage) > 0:
		return "NEW_AND_OLD_IMAGES"
	case len(c.NewImage) > 0:
		return "NEW_IMAGE"
	case len(c.OldImage) > 0:
		return "OLD_IMAGE"
	}
	return "KEYS_ONLY"
}
