package aws

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"sluice/event"
)

// kafka writes the records by topic and partition. A cluster with an ARN is one
// of MSK, any other is self-managed.
func (w *writer) kafka(events []*event.Event) error {
	w.open('{')
	if arn := givenARN(events[0]); arn != "" {
		w.text("eventSource", "aws:kafka")
		w.text("eventSourceArn", arn)
	} else {
		w.text("eventSource", "SelfManagedKafka")
	}
	w.text("bootstrapServers", or(events[0].Extension(extBootstrapServers), "127.0.0.1:9092"))
	w.object("records")
	for _, list := range by(topicPartition, events) {
		w.array(list.name)
		for _, i := range list.indexes {
			w.next()
			if err := w.kafkaRecord(events[i]); err != nil {
				return eventError(i, events[i], err)
			}
		}
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return nil
}

func (w *writer) kafkaRecord(e *event.Event) error {
	partition, err := strconv.ParseInt(partitionOf(e), 10, 32)
	if err != nil || partition < 0 {
		return fmt.Errorf("its extension %s is %q: want the number of a partition", extShard, e.Extension(extShard))
	}
	offset, err := strconv.ParseInt(e.Extension(extSequence), 10, 64)
	if err != nil {
		return fmt.Errorf("its extension %s is %q: want an offset of at most %d", extSequence, e.Extension(extSequence), int64(math.MaxInt64))
	}
	key, err := keyOf(e)
	if err != nil {
		return err
	}
	headers, err := kafkaHeaders(e)
	if err != nil {
		return err
	}
	w.open('{')
	w.text("topic", topicOf(e))
	w.number("partition", partition)
	w.number("offset", offset)
	w.number("timestamp", millis(e))
	w.text("timestampType", or(e.Extension(extTimestampType), "CREATE_TIME"))
	if key != nil {
		w.name("key")
		w.base64(key)
	}
	if len(e.Data) > 0 {
		w.name("value")
		w.base64(e.Data)
	}
	w.array("headers")
	for _, header := range headers {
		w.next()
		w.open('{')
		w.name(header.name)
		w.bytes(header.value)
		w.close('}')
	}
	w.close(']')
	w.close('}')
	return nil
}

func topicOf(e *event.Event) string { return or(e.Extension(extTopic), lastSegment(e.Source)) }

func partitionOf(e *event.Event) string { return or(e.Extension(extShard), "0") }

func topicPartition(e *event.Event) string { return topicOf(e) + "-" + partitionOf(e) }

// keyOf returns the key of a record: the extension keybase64, else the
// partitionkey, else nil.
func keyOf(e *event.Event) ([]byte, error) {
	if text := e.Extension(extKeyBase64); text != "" {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("its extension %s is not base64: %w", extKeyBase64, err)
		}
		return key, nil
	}
	if key := e.PartitionKey(); key != "" {
		return []byte(key), nil
	}
	return nil, nil
}

type kafkaHeader struct {
	name  string
	value []byte
}

// kafkaHeaders reads the extension headers: a JSON list of objects, in order,
// each with one member or more. A value is a string, or a list of bytes.
func kafkaHeaders(e *event.Event) ([]kafkaHeader, error) {
	text := e.Extension(extHeaders)
	if text == "" {
		return nil, nil
	}
	var list []map[string]headerBytes
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("its extension %s is not a JSON list such as [{%q: %q}]: %w", extHeaders, "trace", "on", err)
	}
	var headers []kafkaHeader
	for _, object := range list {
		for _, name := range sortedKeys(object) {
			headers = append(headers, kafkaHeader{name, object[name]})
		}
	}
	return headers, nil
}

// headerBytes is the value of a header: in JSON a string, or a list of numbers
// from -128 to 255.
type headerBytes []byte

// UnmarshalJSON reads either form.
func (b *headerBytes) UnmarshalJSON(text []byte) error {
	var plain string
	if json.Unmarshal(text, &plain) == nil {
		*b = []byte(plain)
		return nil
	}
	var numbers []int
	if err := json.Unmarshal(text, &numbers); err != nil {
		return err
	}
	for _, n := range numbers {
		if n < math.MinInt8 || n > math.MaxUint8 {
			return fmt.Errorf("%d is no byte", n)
		}
		*b = append(*b, byte(n)) // it wraps on purpose
	}
	return nil
}
