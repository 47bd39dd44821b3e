// Package event holds the event that sluice carries from sources to sinks: a
// CloudEvents 1.0 event, its validation, and its encodings.
package event

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// DefaultMaxSize is the largest event that sluice takes unless it is told
// otherwise, in bytes as Size counts them.
const DefaultMaxSize = 1 << 20

// MaxAttributes is the most that the attributes of an event may take as headers,
// in bytes with their names, percent-encoded. A stored message has room for 64
// KiB of headers, and a letter needs some of it for the history of its attempts.
const MaxAttributes = 16 << 10

// SpecVersion is the version of CloudEvents that every event has.
const SpecVersion = "1.0"

// An Event is a CloudEvents 1.0 event (CloudEvents specification v1.0.2,
// section 3). Its data is the payload exactly as it was received or built:
// nothing between a source and a sink parses it unless a pattern or a
// transform looks into it.
//
// An event that has been published is shared between goroutines and must not
// be changed; Clone it first.
type Event struct {
	// ID, Source and Type are required. Source and ID together identify the
	// event: the same pair is the same event.
	ID     string
	Source string // a URI reference
	Type   string

	// The optional attributes; a zero value means absent.
	Subject         string
	Time            time.Time
	DataContentType string // a media type, RFC 2046
	DataSchema      string // an absolute URI

	// Extensions are the extension attributes by name. A value is a string, a
	// bool or an int32: the types that survive every encoding. Others (bytes,
	// URIs, timestamps) are kept in their canonical string form, as
	// SetExtension makes it.
	Extensions map[string]any

	// Data is the payload; empty when the event has none. No encoding tells an
	// empty payload from none.
	Data []byte

	// Large is set on what was read from the log or a letter when the data is
	// kept apart from it; Data is empty then. Sources and sinks do not meet it.
	Large *Large
}

// Clone returns a copy that shares nothing with e.
func (e Event) Clone() Event {
	e.Extensions = maps.Clone(e.Extensions)
	e.Data = bytes.Clone(e.Data)
	return e
}

// Extension returns the canonical string form of an extension attribute
// (CloudEvents section 3.2, type system), or "" when the event does not have it.
func (e *Event) Extension(name string) string {
	value, found := e.Extensions[name]
	if !found {
		return ""
	}
	return canonical(value)
}

// PartitionKey returns the partitionkey extension (CloudEvents partitioning
// extension), or "" when the event does not have it.
func (e *Event) PartitionKey() string { return e.Extension("partitionkey") }

// SetExtension sets an extension attribute. Whole numbers of any Go type, bool
// and string are kept as such; bytes become base64, a time RFC 3339, and a
// fmt.Stringer, such as a *url.URL, what it prints. It returns an
// *InvalidError when the name or the value breaks the specification.
func (e *Event) SetExtension(name string, value any) error {
	normal, err := normalize(name, value)
	if err != nil {
		return err
	}
	if err := checkExtension(name, normal); err != nil {
		return err
	}
	if e.Extensions == nil {
		e.Extensions = make(map[string]any, 4)
	}
	e.Extensions[name] = normal
	return nil
}

// Size returns how many bytes the event counts against a limit: its data, and
// the names and values of its attributes.
func Size(e *Event) int {
	size := len(e.Data)
	e.visit(func(name, value string) { size += len(name) + len(value) })
	return size
}

// CheckSize returns an error that wraps ErrTooLarge when Size is over limit, or
// the attributes are over MaxAttributes.
func CheckSize(e *Event, limit int) error {
	header := 0
	e.visit(func(name, value string) { header += len("ce-: \r\n") + len(name) + len(encodeValue(value)) })
	if header > MaxAttributes {
		return fmt.Errorf("%w: its attributes take %d bytes as headers, at most %d", ErrTooLarge, header, MaxAttributes)
	}
	if size := Size(e); size > limit {
		return fmt.Errorf("%w: %d bytes with its attributes, at most %d", ErrTooLarge, size, limit)
	}
	return nil
}

// visit calls yield with every attribute but datacontenttype in its canonical
// string form, the extensions in the order of their names.
func (e *Event) visit(yield func(name, value string)) {
	yield("specversion", SpecVersion)
	yield("id", e.ID)
	yield("source", e.Source)
	yield("type", e.Type)
	if e.Subject != "" {
		yield("subject", e.Subject)
	}
	if !e.Time.IsZero() {
		yield("time", e.Time.Format(time.RFC3339Nano))
	}
	if e.DataSchema != "" {
		yield("dataschema", e.DataSchema)
	}
	for _, name := range e.extensionNames() {
		yield(name, canonical(e.Extensions[name]))
	}
}

// extensionNames returns the names of the extensions, sorted.
func (e *Event) extensionNames() []string {
	if len(e.Extensions) == 0 {
		return nil
	}
	names := make([]string, 0, len(e.Extensions))
	for name := range e.Extensions {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// canonical returns the string form of an extension's value.
func canonical(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int32:
		return strconv.Itoa(int(v))
	default:
		return fmt.Sprint(v)
	}
}

// normalize turns a value into one of the three types that an event holds.
func normalize(name string, value any) (any, error) {
	switch v := value.(type) {
	case string, bool, int32:
		return v, nil
	case []byte:
		return base64.StdEncoding.EncodeToString(v), nil
	case time.Time:
		return v.Format(time.RFC3339Nano), nil
	case int, int8, int16, int64, uint, uint8, uint16, uint32, uint64:
		n, err := strconv.ParseInt(fmt.Sprint(v), 10, 32)
		if err != nil {
			return nil, invalid(name, "%d is no whole number from %d to %d", v, math.MinInt32, math.MaxInt32)
		}
		return int32(n), nil
	case fmt.Stringer:
		return v.String(), nil
	default:
		return nil, invalid(name, "a value of type %T: use a string, a bool or a whole number", value)
	}
}
