package aws

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice/event"
)

// rabbitMQ writes the messages by queue and virtual host.
func (w *writer) rabbitMQ(events []*event.Event) error {
	w.open('{')
	w.text("eventSource", "aws:rmq")
	w.text("eventSourceArn", w.arn(events[0], serviceMQ))
	w.object("rmqMessagesByQueue")
	for _, list := range by(queueAndHost, events) {
		w.array(list.name)
		for _, i := range list.indexes {
			w.next()
			if err := w.rabbitMQMessage(events[i]); err != nil {
				return eventError(i, events[i], err)
			}
		}
		w.close(']')
	}
	w.close('}')
	w.close('}')
	return nil
}

// layoutRabbitMQ is that of the service's Java.
const layoutRabbitMQ = "Jan 2, 2006, 3:04:05 PM"

func (w *writer) rabbitMQMessage(e *event.Event) error {
	w.open('{')
	w.object("basicProperties")
	w.textOrNull("contentType", e.DataContentType)
	w.textOrNull("contentEncoding", e.Extension(extContentEncoding))
	w.name("headers")
	if err := w.amqpHeaders(e); err != nil {
		return err
	}
	for _, p := range []struct{ name, extension string }{{"deliveryMode", extDeliveryMode}, {"priority", extPriority}} {
		if err := w.octet(p.name, e, p.extension); err != nil {
			return err
		}
	}
	w.textOrNull("correlationId", e.Extension(extCorrelationID))
	w.textOrNull("replyTo", e.Extension(extReplyTo))
	w.textOrNull("expiration", e.Extension(extExpiration))
	w.textOrNull("messageId", e.Extension(extMessageID))
	if e.Time.IsZero() {
		w.member("timestamp", "null")
	} else {
		w.time("timestamp", layoutRabbitMQ, e)
	}
	w.textOrNull("type", e.Extension(extMessageType))
	w.textOrNull("userId", e.Extension(extUserID))
	w.textOrNull("appId", e.Extension(extAppID))
	w.textOrNull("clusterId", e.Extension(extClusterID))
	w.number("bodySize", int64(len(e.Data)))
	w.close('}')
	w.member("redelivered", redelivered(e))
	w.name("data")
	w.base64(e.Data)
	w.close('}')
	return nil
}

func queueOf(e *event.Event) string { return or(e.Extension(extQueue), lastSegment(e.Source)) }

func queueAndHost(e *event.Event) string {
	return queueOf(e) + "::" + or(e.Extension(extVirtualHost), "/")
}

func redelivered(e *event.Event) string {
	return strconv.FormatBool(e.Extension(extRedelivered) == "true")
}

// octet writes a property of one byte, or null.
func (w *writer) octet(name string, e *event.Event, extension string) error {
	text := e.Extension(extension)
	if text == "" {
		w.member(name, "null")
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return fmt.Errorf("its extension %s is %q: want a number from 0 to 255", extension, text)
	}
	w.number(name, int64(n))
	return nil
}

// amqpHeaders writes the extension headers, a JSON object. Its strings become
// lists of bytes, as the service writes them.
func (w *writer) amqpHeaders(e *event.Event) error {
	text := e.Extension(extHeaders)
	if text == "" {
		w.raw("null")
		return nil
	}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var headers map[string]any
	if !json.Valid([]byte(text)) || decoder.Decode(&headers) != nil {
		return fmt.Errorf("its extension %s is %s: want a JSON object", extHeaders, brief(strconv.Quote(text)))
	}
	w.amqpValue(headers)
	return nil
}

func (w *writer) amqpValue(value any) {
	switch v := value.(type) {
	case string:
		w.open('{')
		w.name("bytes")
		w.bytes([]byte(v))
		w.close('}')
	case json.Number:
		w.raw(v.String())
	case bool:
		w.raw(strconv.FormatBool(v))
	case map[string]any:
		w.open('{')
		for _, name := range sortedKeys(v) {
			w.name(name)
			w.amqpValue(v[name])
		}
		w.close('}')
	case []any:
		w.open('[')
		for _, element := range v {
			w.next()
			w.amqpValue(element)
		}
		w.close(']')
	default:
		w.raw("null")
	}
}

// activeMQ writes the messages as a list.
func (w *writer) activeMQ(events []*event.Event) error {
	w.open('{')
	w.text("eventSource", "aws:mq")
	w.text("eventSourceArn", w.arn(events[0], serviceMQ))
	w.array("messages")
	for i, e := range events {
		w.next()
		if err := w.activeMQMessage(e); err != nil {
			return eventError(i, e, err)
		}
	}
	w.close(']')
	w.close('}')
	return nil
}

func (w *writer) activeMQMessage(e *event.Event) error {
	var properties map[string]string
	if text := e.Extension(extHeaders); text != "" {
		if err := json.Unmarshal([]byte(text), &properties); err != nil {
			return fmt.Errorf("its extension %s is no JSON object of strings: %w", extHeaders, err)
		}
	}
	kind := "jms/text-message"
	if form := e.Form(); form == event.FormBinary {
		kind = "jms/bytes-message"
	}
	w.open('{')
	w.text("messageID", e.ID)
	w.text("messageType", kind)
	w.number("timestamp", millis(e))
	if err := w.wholes(e); err != nil {
		return err
	}
	w.text("correlationID", e.Extension(extCorrelationID))
	w.text("replyTo", or(e.Extension(extReplyTo), "null"))
	w.object("destination")
	w.text("physicalName", queueOf(e))
	w.close('}')
	w.member("redelivered", redelivered(e))
	w.text("type", e.Extension(extMessageType))
	w.name("data")
	w.base64(e.Data)
	w.number("brokerInTime", millis(e))
	w.number("brokerOutTime", millis(e))
	w.object("properties")
	for _, name := range sortedKeys(properties) {
		w.text(name, properties[name])
	}
	w.close('}')
	w.close('}')
	return nil
}

// wholes writes the properties that are whole numbers.
func (w *writer) wholes(e *event.Event) error {
	for _, p := range []struct{ name, extension, fallback string }{
		{"deliveryMode", extDeliveryMode, "1"}, {"expiration", extExpiration, "0"}, {"priority", extPriority, "0"},
	} {
		text := or(e.Extension(p.extension), p.fallback)
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("its extension %s is %q: want a whole number", p.extension, text)
		}
		w.number(p.name, n)
	}
	return nil
}

// A list is what stands under one name of a map, by the indexes of the events.
type list struct {
	name    string
	indexes []int
}

// by sorts the events into lists, in the order of their first.
func by(name func(*event.Event) string, events []*event.Event) []list {
	var lists []list
	at := map[string]int{}
	for i, e := range events {
		key := name(e)
		place, found := at[key]
		if !found {
			place = len(lists)
			at[key] = place
			lists = append(lists, list{name: key})
		}
		lists[place].indexes = append(lists[place].indexes, i)
	}
	return lists
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
