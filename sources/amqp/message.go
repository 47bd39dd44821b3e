package amqp

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"sluice/event"
)

// Type is that of events that are made of messages.
const Type = "amqp.message"

// A maker makes events of the messages of one queue.
type maker struct {
	cfg          *Config
	logger       *slog.Logger
	source       string
	queue, vhost string // as attributes
	now          func() time.Time
	// binding is that of CloudEvents (AMQP binding 1.0.2, section 3.1.3.1): messages
	// have headers where those of AMQP 1.0 have application properties.
	binding event.Binding
}

func newMaker(cfg *Config, logger *slog.Logger, address, vhost string, now func() time.Time) *maker {
	path := "/" + url.PathEscape(cfg.Queue)
	if vhost != "/" {
		path = "/" + url.PathEscape(vhost) + path
	}
	return &maker{
		cfg: cfg, logger: logger, source: "amqp://" + address + path,
		queue: clean(cfg.Queue), vhost: clean(vhost), now: now,
		binding: event.Binding{Prefixes: []string{"cloudEvents:", "cloudEvents_"}},
	}
}

// make returns the event of a message. Session names the consumer that was given
// it: with it a message without an id has one that is its own.
func (m *maker) make(d *amqp091.Delivery, session string) event.Event {
	if m.cfg.CloudEvents {
		e, is, err := m.binding.Decode(d.ContentType, properties(d.Headers), d.Body)
		if err == nil && is {
			m.withKey(&e, d)
			return e
		}
		if is {
			m.logger.Warn("a message says that it is a CloudEvent, and is none: it is taken as any message",
				slog.String("message_id", clean(d.MessageId)), slog.String("reason", err.Error()))
		}
	}
	e := event.Event{
		ID: m.id(d, session), Source: m.source, Type: Type, Subject: clean(d.RoutingKey),
		Time: d.Timestamp.UTC(), DataContentType: mediaType(d.ContentType),
		Extensions: make(map[string]any, 8),
	}
	if d.Timestamp.IsZero() || !writable(e.Time) {
		e.Time = m.now().UTC()
	}
	if len(d.Body) > 0 {
		e.Data = d.Body
	}
	m.extend(e.Extensions, d)
	return e
}

// extend sets the extensions that function-events.md names, and exchange.
func (m *maker) extend(extensions map[string]any, d *amqp091.Delivery) {
	extensions["queue"], extensions["vhost"], extensions["redelivered"] = m.queue, m.vhost, d.Redelivered
	for _, p := range [...]struct{ name, value string }{
		{"exchange", d.Exchange},
		{"partitionkey", m.partitionKey(d)},
		{"messageid", d.MessageId},
		{"correlationid", d.CorrelationId},
		{"replyto", d.ReplyTo},
		{"expiration", d.Expiration},
		{"messagetype", d.Type},
		{"userid", d.UserId},
		{"appid", d.AppId},
		{"contentencoding", d.ContentEncoding},
	} {
		if p.value != "" {
			extensions[p.name] = clean(p.value)
		}
	}
	if d.DeliveryMode > 0 {
		extensions["deliverymode"] = int32(d.DeliveryMode)
	}
	if d.Priority > 0 {
		extensions["priority"] = int32(d.Priority)
	}
	if len(d.Headers) > 0 {
		extensions["headers"] = string(appendTable(nil, d.Headers))
	}
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if text, ok := d.Headers[name].(string); ok && text != "" {
			extensions[name] = clean(text)
		}
	}
}

// withKey gives a CloudEvent that has no partitionkey that of its message.
func (m *maker) withKey(e *event.Event, d *amqp091.Delivery) {
	if key := m.partitionKey(d); key != "" && e.PartitionKey() == "" {
		_ = e.SetExtension("partitionkey", clean(key)) // clean leaves nothing that no attribute may have
	}
}

// partitionKey is the routing key, or the header that the file names.
func (m *maker) partitionKey(d *amqp091.Delivery) string {
	if m.cfg.PartitionHeader == "" {
		return d.RoutingKey
	}
	text, _ := text(d.Headers[m.cfg.PartitionHeader])
	return text
}

// id follows from the message as far as it can.
func (m *maker) id(d *amqp091.Delivery, session string) string {
	given := d.MessageId
	if m.cfg.IDHeader != "" {
		if own, ok := text(d.Headers[m.cfg.IDHeader]); ok {
			given = own
		}
	}
	switch {
	case m.cfg.ID == ByDelivery || given == "" && m.cfg.ID == ByMessageID:
		return session + "." + strconv.FormatUint(d.DeliveryTag, 10)
	case given == "":
		return digest(d)
	case clean(given) != given:
		sum := sha256.Sum256([]byte(given))
		return hex.EncodeToString(sum[:])
	}
	return given
}

// digest is that of all that a publisher has made a message of, which a broker
// delivers again as it is.
func digest(d *amqp091.Delivery) string {
	var b []byte
	part := func(text string) {
		b = binary.AppendUvarint(b, uint64(len(text)))
		b = append(b, text...)
	}
	headers := make(amqp091.Table, len(d.Headers))
	for name, value := range d.Headers {
		switch name {
		case "x-death", "x-first-death-exchange", "x-first-death-queue", "x-first-death-reason", "x-delivery-count", "x-acquired-count":
			// They change on the way.
		default:
			headers[name] = value
		}
	}
	for _, text := range [...]string{
		d.Exchange, d.RoutingKey, d.ContentType, d.ContentEncoding, d.CorrelationId, d.ReplyTo, d.Expiration,
		d.MessageId, d.Type, d.UserId, d.AppId, string(appendTable(nil, headers)),
	} {
		part(text)
	}
	b = append(b, d.DeliveryMode, d.Priority)
	b = binary.AppendVarint(b, d.Timestamp.Unix())
	sum := sha256.New()
	sum.Write(b)
	sum.Write(d.Body)
	return hex.EncodeToString(sum.Sum(nil))
}

// properties returns the headers of a message as texts, as far as they have a
// form as such (CloudEvents section 3.2).
func properties(headers amqp091.Table) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for name, value := range headers {
			if text, ok := text(value); ok && !yield(name, text) {
				return
			}
		}
	}
}

// text returns the text of a header that is a text, a number, a time, bytes, or
// true or false.
func text(value any) (string, bool) {
	switch v := value.(type) {
	case nil, amqp091.Table, []any:
		return "", false
	case string:
		return v, true
	case []byte:
		return base64.StdEncoding.EncodeToString(v), true
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano), true
	}
	return string(appendField(nil, value)), true
}

// mediaType returns a content type that is one, and otherwise nothing.
func mediaType(contentType string) string {
	switch contentType {
	case "", "application/json", "text/plain", "application/octet-stream":
		return contentType
	}
	probe := event.Event{ID: "1", Source: "/", Type: Type, DataContentType: contentType}
	if probe.Validate() != nil {
		return ""
	}
	return contentType
}

// size is what a message counts in memory, in bytes.
func size(d *amqp091.Delivery) int { return len(d.Body) + 512 + 64*len(d.Headers) }

// name is what people call a message by.
func name(d *amqp091.Delivery) string {
	return strconv.Quote(clean(cmp.Or(d.MessageId, "without an id")))
}
