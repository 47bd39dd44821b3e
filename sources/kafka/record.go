package kafka

import (
	"encoding/base64"
	"encoding/json"
	"iter"
	"log/slog"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"sluice/event"
)

// Type is that of events of records that are no CloudEvents.
const Type = "kafka.record"

// The extensions of a record (docs/function-events.md).
const (
	extTopic            = "topic"
	extShard            = "shard"    // the number of the partition
	extSequence         = "sequence" // the offset
	extPartitionKey     = "partitionkey"
	extKeyBase64        = "keybase64"
	extHeaders          = "headers"
	extTimestampType    = "timestamptype"
	extBootstrapServers = "bootstrapservers"
	extTombstone        = "tombstone"
)

// headerContentType is that of the Kafka binding of CloudEvents, section 3.1.
const headerContentType = "content-type"

// logAppendTime is what timestamptype is where brokers set the time.
const logAppendTime = "LOG_APPEND_TIME"

// A maker makes the events of one partition.
type maker struct {
	source, prefix, suffix  string // of source and id
	topic, shard, bootstrap string
	binding                 event.Binding
	cloudEvents             bool
	log                     *slog.Logger
}

func newMaker(cfg *Config, topic string, partition int32, at cursor, log *slog.Logger) *maker {
	m := &maker{
		source: "kafka://" + topic, topic: topic, shard: strconv.Itoa(int(partition)),
		bootstrap:   strings.Join(cfg.Brokers, ","),
		binding:     event.Binding{Prefixes: []string{"ce_"}},
		cloudEvents: cfg.CloudEvents, log: log,
	}
	m.prefix = topic + "/" + m.shard + "/"
	if at.Topic != "" {
		m.suffix = "/" + at.Topic
	}
	if at.Generation > 0 {
		m.suffix += "/" + strconv.Itoa(at.Generation)
	}
	return m
}

// event returns the event of a record: the CloudEvent that it is, or one that
// describes it. What says that it is a CloudEvent and is none is described too.
func (m *maker) event(r *kgo.Record) event.Event {
	contentType := header(r, headerContentType)
	if m.cloudEvents {
		e, is, err := m.binding.Decode(contentType, properties(r), r.Value)
		if is && err == nil {
			return withKey(e, r.Key)
		}
		if is {
			m.log.Warn("a record says that it is a CloudEvent, and is none: published as it stands",
				slog.String("topic", r.Topic), slog.Int("partition", int(r.Partition)), slog.Int64("offset", r.Offset), slog.Any("error", err))
		}
	}
	return m.describe(r, contentType)
}

// withKey gives an event that has none the record's key as its partitionkey
// (Kafka binding, section 3.1.1).
func withKey(e event.Event, key []byte) event.Event {
	if len(key) > 0 && e.PartitionKey() == "" {
		_ = e.SetExtension(extPartitionKey, string(key)) // a key that is no text is left out
	}
	return e
}

func (m *maker) describe(r *kgo.Record, contentType string) event.Event {
	offset := strconv.FormatInt(r.Offset, 10)
	e := event.Event{
		ID: m.prefix + offset + m.suffix, Source: m.source, Type: Type,
		Time: timeOf(r), Data: r.Value,
		Extensions: map[string]any{
			extTopic: m.topic, extShard: m.shard, extSequence: offset, extBootstrapServers: m.bootstrap,
		},
	}
	setKey(&e, r.Key)
	if r.Value == nil {
		e.Extensions[extTombstone] = true
	} else if len(r.Value) > 0 {
		e.DataContentType = contentTypeOf(contentType, r.Value)
	}
	if r.Attrs.TimestampType() == 1 {
		e.Extensions[extTimestampType] = logAppendTime
	}
	if len(r.Headers) > 0 {
		e.Extensions[extHeaders] = string(appendHeaders(nil, r.Headers))
		setTrace(&e, r)
	}
	return e
}

// maxTime is the first second of the year 10000, which no event's time can have.
const maxTime = 253402300800

// timeOf returns a record's time, or none for one that cannot be written.
func timeOf(r *kgo.Record) time.Time {
	if seconds := r.Timestamp.Unix(); seconds < 0 || seconds >= maxTime {
		return time.Time{}
	}
	return r.Timestamp.UTC()
}

// setKey sets the partitionkey: the key, when it is text, else its base64, which
// is in keybase64 then too.
func setKey(e *event.Event, key []byte) {
	if len(key) == 0 || e.SetExtension(extPartitionKey, string(key)) == nil {
		return
	}
	encoded := base64.StdEncoding.EncodeToString(key)
	e.Extensions[extPartitionKey], e.Extensions[extKeyBase64] = encoded, encoded
}

// setTrace lets a trace go on (CloudEvents distributed tracing extension).
func setTrace(e *event.Event, r *kgo.Record) {
	for _, name := range [...]string{"traceparent", "tracestate"} {
		if value := header(r, name); value != "" {
			_ = e.SetExtension(name, value) // what no attribute can hold is in headers
		}
	}
}

// header returns the value of the first header of that name.
func header(r *kgo.Record, name string) string {
	for i := range r.Headers {
		if strings.EqualFold(r.Headers[i].Key, name) {
			return string(r.Headers[i].Value)
		}
	}
	return ""
}

// properties returns the headers.
func properties(r *kgo.Record) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		for i := range r.Headers {
			if !yield(r.Headers[i].Key, string(r.Headers[i].Value)) {
				return
			}
		}
	}
}

// contentTypeOf returns the media type of a value: the one that its header says,
// else what it looks like.
func contentTypeOf(said string, value []byte) string {
	if _, _, err := mime.ParseMediaType(said); err == nil && strings.Contains(said, "/") {
		e := event.Event{ID: "-", Source: "-", Type: "-", DataContentType: said}
		if e.Validate() == nil {
			return said
		}
	}
	switch {
	case json.Valid(value):
		return "application/json"
	case utf8.Valid(value):
		return "text/plain; charset=utf-8"
	}
	return "application/octet-stream"
}

// appendHeaders appends headers as JSON: a list of objects with one member each.
// A value is a string, or a list of bytes when it is no text. Everything but
// printable ASCII is escaped, so that the whole can be an attribute.
func appendHeaders(to []byte, headers []kgo.RecordHeader) []byte {
	to = append(to, '[')
	for i, h := range headers {
		if i > 0 {
			to = append(to, ',')
		}
		to = append(to, '{')
		to = appendText(to, strings.ToValidUTF8(h.Key, "\uFFFD"))
		to = append(to, ':')
		if utf8.Valid(h.Value) {
			to = appendText(to, string(h.Value))
		} else {
			to = appendBytes(to, h.Value)
		}
		to = append(to, '}')
	}
	return append(to, ']')
}

func appendBytes(to, value []byte) []byte {
	to = append(to, '[')
	for i, b := range value {
		if i > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendUint(to, uint64(b), 10)
	}
	return append(to, ']')
}

func appendText(to []byte, text string) []byte {
	to = append(to, '"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			to = append(to, '\\', byte(r))
		case r >= 0x20 && r < 0x7f:
			to = append(to, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			to = appendEscape(appendEscape(to, high), low)
		default:
			to = appendEscape(to, r)
		}
	}
	return append(to, '"')
}

func appendEscape(to []byte, r rune) []byte {
	const digits = "0123456789abcdef"
	return append(to, '\\', 'u', digits[r>>12&0xf], digits[r>>8&0xf], digits[r>>4&0xf], digits[r&0xf])
}
