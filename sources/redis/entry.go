package redis

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sluice/event"
)

// Type is that of events which are not CloudEvents already.
const Type = "redis.message"

// The fields of an entry that is a CloudEvent. CloudEvents has no binding for
// Redis; these are as in the binding for Kafka, with a place for what a message
// of Kafka has beside its headers.
const (
	FieldData        = "data"
	FieldContentType = "content-type"
	// Prefix stands before the attributes.
	Prefix = "ce_"
)

const mediaJSON = "application/json"

// An entry is one entry of a stream.
type entry struct {
	id     string
	fields []string // names and values, in turn; nil when it was deleted
}

// size is how many bytes the entry has.
func (e *entry) size() int {
	size := len(e.id)
	for _, f := range e.fields {
		size += len(f)
	}
	return size
}

var errAnswer = errors.New("the server has answered what was not asked: is something else than Redis there, or a proxy before it?")

// parseStreams reads the answer of XREAD and XREADGROUP for one stream: nil, or
// [[key, [entry, …]]].
func parseStreams(answer any) ([]entry, error) {
	if answer == nil {
		return nil, nil
	}
	streams, ok := answer.([]any)
	if !ok || len(streams) != 1 {
		return nil, errAnswer
	}
	stream, ok := streams[0].([]any)
	if !ok || len(stream) != 2 {
		return nil, errAnswer
	}
	return parseEntries(stream[1])
}

// parseEntries reads [[id, [name, value, …]], …]. An entry that was deleted has
// no fields, or is none at all.
func parseEntries(answer any) ([]entry, error) {
	list, ok := answer.([]any)
	if !ok {
		return nil, errAnswer
	}
	entries := make([]entry, 0, len(list))
	for _, item := range list {
		if item == nil {
			continue
		}
		pair, ok := item.([]any)
		if !ok || len(pair) != 2 {
			return nil, errAnswer
		}
		id, ok := pair[0].(string)
		if !ok || !entryID.MatchString(id) {
			return nil, errAnswer
		}
		fields, err := parseStrings(pair[1])
		if err != nil || len(fields)%2 != 0 {
			return nil, errAnswer
		}
		entries = append(entries, entry{id: id, fields: fields})
	}
	return entries, nil
}

// parseStrings reads a list of texts, or nil.
func parseStrings(answer any) ([]string, error) {
	if answer == nil {
		return nil, nil
	}
	list, ok := answer.([]any)
	if !ok {
		return nil, errAnswer
	}
	texts := make([]string, len(list))
	for i, item := range list {
		if texts[i], ok = item.(string); !ok {
			return nil, errAnswer
		}
	}
	return texts, nil
}

// A shape is how entries of one stream become events.
type shape struct {
	stream      string
	key         string // the field that is the partitionkey; empty for the stream
	cloudEvents bool
}

// event returns the event of an entry, which depends on nothing else. The second
// one says why it is no CloudEvent although it says so.
func (s *shape) event(e *entry) (event.Event, error) {
	var invalid error
	if s.cloudEvents {
		given, is, err := s.decode(e)
		if is && err == nil {
			if given.PartitionKey() == "" {
				err = given.SetExtension("partitionkey", s.partitionKey(e))
			}
			if err == nil {
				return given, nil
			}
		}
		invalid = err
	}
	return event.Event{
		ID: s.stream + "/" + e.id, Source: ceSource(s.stream), Type: Type, Subject: s.stream, Time: e.time(),
		DataContentType: mediaJSON, Data: e.json(),
		Extensions: map[string]any{"partitionkey": s.partitionKey(e)},
	}, invalid
}

// ceSource is the CloudEvents source of a key: the servers have many addresses.
func ceSource(key string) string {
	return "redis:" + escapePath(key)
}

// escapePath keeps what may stand in a path of a URI (RFC 3986, section 3.3).
func escapePath(key string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~:@/"
	var b strings.Builder
	for i := range len(key) {
		if strings.IndexByte(plain, key[i]) >= 0 {
			b.WriteByte(key[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", key[i])
		}
	}
	return b.String()
}

// decode reads the attributes of an entry that is a CloudEvent.
func (s *shape) decode(e *entry) (given event.Event, is bool, err error) {
	data, _ := e.field(FieldData)
	contentType, _ := e.field(FieldContentType)
	binding := event.Binding{Prefixes: []string{Prefix}}
	return binding.Decode(contentType, e.all(), []byte(data))
}

// all goes through the fields.
func (e *entry) all() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i := 0; i+1 < len(e.fields); i += 2 {
			if !yield(e.fields[i], e.fields[i+1]) {
				return
			}
		}
	}
}

func (e *entry) field(name string) (value string, found bool) {
	for n, v := range e.all() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// maxPartitionKey is the most bytes of a field that are a partitionkey as they
// stand.
const maxPartitionKey = 256

// partitionKey is the value of the field that is the key, or the stream's key.
// What cannot be an attribute, or is long, becomes a hash: it is for order only.
func (s *shape) partitionKey(e *entry) string {
	value, found := e.field(s.key)
	if s.key == "" || !found || value == "" {
		return s.stream
	}
	probe := event.Event{}
	if len(value) > maxPartitionKey || probe.SetExtension("partitionkey", value) != nil {
		return "sha256:" + hash(value)
	}
	return value
}

// hash is 22 letters, digits, - and _.
func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// minRealTime is the least number of milliseconds in an id that is taken for a
// time, in 2001: ids may be anything else.
const minRealTime = 1_000_000_000_000

// milliseconds returns the first part of an entry's id, and whether it is a time.
func milliseconds(id string) (ms int64, real bool) {
	first, _, _ := strings.Cut(id, "-")
	ms, err := strconv.ParseInt(first, 10, 64)
	return ms, err == nil && ms >= minRealTime && ms < 100*minRealTime
}

// time is when the entry was added, as its id has it; zero when that is no time.
func (e *entry) time() time.Time {
	if ms, is := milliseconds(e.id); is {
		return time.UnixMilli(ms).UTC()
	}
	return time.Time{}
}

// json returns the fields as an object, in their order: texts; several values of
// one field as a list. What is not UTF-8 is an object with its base64.
func (e *entry) json() []byte {
	values := make(map[string][]string, len(e.fields)/2)
	var order []string
	for name, value := range e.all() {
		if values[name] == nil {
			order = append(order, name)
		}
		values[name] = append(values[name], value)
	}
	out := []byte{'{'}
	for i, name := range order {
		if i > 0 {
			out = append(out, ',')
		}
		out = append(event.AppendQuoted(out, name), ':')
		if all := values[name]; len(all) == 1 {
			out = appendValue(out, all[0])
		} else {
			out = appendList(out, all)
		}
	}
	return append(out, '}')
}

func appendList(out []byte, values []string) []byte {
	out = append(out, '[')
	for i, value := range values {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendValue(out, value)
	}
	return append(out, ']')
}

func appendValue(out []byte, value string) []byte {
	if utf8.ValidString(value) {
		return event.AppendQuoted(out, value)
	}
	out = append(out, `{"data_base64":"`...)
	out = base64.StdEncoding.AppendEncode(out, []byte(value))
	return append(out, `"}`...)
}

// compare orders the ids of entries: by milliseconds, then by number.
func compare(a, b string) int {
	am, an, _ := strings.Cut(a, "-")
	bm, bn, _ := strings.Cut(b, "-")
	if c := compareDigits(am, bm); c != 0 {
		return c
	}
	return compareDigits(an, bn)
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// contentType is what an item of a list is taken for.
func contentType(item []byte) string {
	switch {
	case json.Valid(item):
		return mediaJSON
	case utf8.Valid(item):
		return "text/plain"
	}
	return "application/octet-stream"
}
