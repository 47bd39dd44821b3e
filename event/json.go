package event

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// IsJSON tells whether a content type declares JSON: JSON format 1.0.2, section
// 3.1.1. No content type at all does.
func IsJSON(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	if mediaType == "" {
		return true
	}
	_, subtype, _ := strings.Cut(mediaType, "/")
	return strings.EqualFold(subtype, "json") ||
		len(subtype) > 5 && strings.EqualFold(subtype[len(subtype)-5:], "+json")
}

// UnmarshalJSON reads the JSON format, version 1.0.2. See DecodeJSON.
func (e *Event) UnmarshalJSON(text []byte) error {
	decoded, err := DecodeJSON(bytes.Clone(text))
	if err == nil {
		*e = decoded
	}
	return err
}

// DecodeJSON reads one event in the JSON format, version 1.0.2. The event
// shares text's memory, which must not be changed afterwards: JSON data stands
// in Data byte by byte as it was written. It checks the encoding only: call
// Validate on the event.
//
// Members that the specification does not know are extensions; a member that
// is there twice or of the wrong type is refused. An event with a member data
// and without datacontenttype gets application/json, as section 3.1.2 has it.
// An error is an *InvalidError that names the member.
func DecodeJSON(text []byte) (Event, error) {
	var e Event
	err := e.decodeJSON(text)
	return e, err
}

// DecodeBatchJSON reads an array of events, as DecodeJSON reads each. It may
// be empty. An error names the index of the event, from 0.
func DecodeBatchJSON(text []byte) ([]Event, error) {
	if err := checkSyntax(text); err != nil {
		return nil, err
	}
	text = bytes.TrimSpace(text)
	if text[0] != '[' {
		return nil, invalid("", "found %s, want an array of events", kind(text))
	}
	events := []Event{}
	err := elements(text, func(index int, value []byte) error {
		var e Event
		if err := e.decodeObject(value); err != nil {
			return fmt.Errorf("event %d: %w", index, err)
		}
		events = append(events, e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return events, nil
}

func (e *Event) decodeJSON(text []byte) error {
	if err := checkSyntax(text); err != nil {
		return err
	}
	return e.decodeObject(bytes.TrimSpace(text))
}

// A jsonEvent is an event that is being read: what is known of it before its
// content type is.
type jsonEvent struct {
	event   *Event
	seen    uint // the core members that were there, by their bits
	nulls   map[string]bool
	version string
	data    []byte // the member data as it stands
	base64  []byte
}

func (e *Event) decodeObject(object []byte) error {
	if object[0] != '{' {
		return invalid("", "found %s, want an event: an object", kind(object))
	}
	j := jsonEvent{event: e}
	if err := members(object, j.member); err != nil {
		return err
	}
	if err := checkSpecVersion(j.version); err != nil {
		return err
	}
	return j.setData()
}

func (j *jsonEvent) member(name string, value []byte) error {
	if j.repeated(name) {
		return invalid(memberName(name), "the member is there twice")
	}
	isNull := value[0] == 'n'
	switch {
	case name == "data":
		j.data = value
		return nil
	case isNull && (isCore(name) || name == "data_base64"):
		return nil
	case name == "data_base64":
		j.base64 = value
		return nil
	case isCore(name):
		return j.core(name, value)
	case isNull:
		j.setNull(name)
		return checkExtensionName(name)
	}
	return j.extension(name, value)
}

func (j *jsonEvent) core(name string, value []byte) error {
	if value[0] != '"' {
		return invalid(name, "found %s, want a string", kind(value))
	}
	plain, err := text(value)
	if err != nil {
		return invalid(name, "%v", err)
	}
	switch name {
	case "specversion":
		j.version = plain
		return nil
	case "datacontenttype":
		j.event.DataContentType = plain
		return nil
	}
	return j.event.setAttribute(name, plain)
}

func (j *jsonEvent) extension(name string, value []byte) error {
	if err := checkExtensionName(name); err != nil {
		return err
	}
	switch value[0] {
	case '"':
		plain, err := text(value)
		if err != nil {
			return invalid(name, "%v", err)
		}
		return j.event.addExtension(name, plain)
	case 't', 'f':
		return j.event.addExtension(name, value[0] == 't')
	case '{', '[':
		return invalid(name, "found %s, want a string, a boolean or a whole number", kind(value))
	}
	n, ok := parseInt32(string(value))
	if !ok {
		return invalid(name, "%s is no whole number of 32 bits: send a larger or a fractional one as a string", quoted(string(value)))
	}
	return j.event.addExtension(name, n)
}

// repeated tells whether the member was there before.
func (j *jsonEvent) repeated(name string) bool {
	bit := coreBit(name)
	if bit == 0 {
		_, found := j.event.Extensions[name]
		return found || j.nulls[name]
	}
	found := j.seen&bit != 0
	j.seen |= bit
	return found
}

func coreBit(name string) uint {
	switch name {
	case "specversion":
		return 1
	case "id":
		return 2
	case "source":
		return 4
	case "type":
		return 8
	case "subject":
		return 16
	case "time":
		return 32
	case "datacontenttype":
		return 64
	case "dataschema":
		return 128
	case "data":
		return 256
	case "data_base64":
		return 512
	}
	return 0
}

func (j *jsonEvent) setNull(name string) {
	if j.nulls == nil {
		j.nulls = map[string]bool{}
	}
	j.nulls[name] = true
}

// setData makes the payload of the members data and data_base64: JSON format
// 1.0.2, section 3.1.2.
func (j *jsonEvent) setData() error {
	switch {
	case j.data != nil && j.base64 != nil:
		return invalid("data_base64", "an event has either data or data_base64, found both")
	case j.base64 != nil:
		return j.setBinary()
	case j.data == nil:
		return nil
	case IsJSON(j.event.DataContentType):
		j.event.Data = j.data
		if j.event.DataContentType == "" {
			j.event.DataContentType = "application/json"
		}
		return nil
	}
	return j.setText()
}

func (j *jsonEvent) setBinary() error {
	if j.base64[0] != '"' {
		return invalid("data_base64", "found %s, want a string of base64", kind(j.base64))
	}
	plain, err := text(j.base64)
	if err != nil {
		return invalid("data_base64", "%v", err)
	}
	data, err := base64.StdEncoding.DecodeString(plain)
	if err != nil {
		return invalid("data_base64", "not base64 of RFC 4648, section 4: %v", err)
	}
	if len(data) > 0 {
		j.event.Data = data
	}
	return nil
}

// setText takes data that the content type does not declare to be JSON. A null
// there is no payload.
func (j *jsonEvent) setText() error {
	switch j.data[0] {
	case 'n':
		return nil
	case '"':
		plain, err := text(j.data)
		if err != nil {
			return invalid("data", "%v", err)
		}
		if plain != "" {
			j.event.Data = []byte(plain)
		}
		return nil
	}
	return invalid("data", "found %s, but data of content type %s is written as a string, or as data_base64",
		kind(j.data), quoted(j.event.DataContentType))
}

// memberName returns the name as it is, or quoted when it is no attribute's.
func memberName(name string) string {
	if name == "data_base64" || checkName(name) == nil {
		return name
	}
	return strconv.Quote(name)
}
