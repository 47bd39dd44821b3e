package event

import (
	"encoding/base64"
	"strconv"
	"time"
)

// MarshalJSON writes the JSON format, version 1.0.2.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil), nil }

// AppendJSON appends the event in the JSON format, version 1.0.2, to dst. Data
// whose content type declares JSON is taken over byte by byte; where it is not
// JSON after all, and where other data is not text, it becomes data_base64.
//
// It does not fail: call Validate first where the event may be invalid.
func (e *Event) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"specversion":"`+SpecVersion+`"`...)
	dst = appendMember(dst, "id", e.ID)
	dst = appendMember(dst, "source", e.Source)
	dst = appendMember(dst, "type", e.Type)
	if e.Subject != "" {
		dst = appendMember(dst, "subject", e.Subject)
	}
	if !e.Time.IsZero() {
		dst = append(dst, `,"time":"`...)
		dst = e.Time.AppendFormat(dst, time.RFC3339Nano)
		dst = append(dst, '"')
	}
	if e.DataContentType != "" {
		dst = appendMember(dst, "datacontenttype", e.DataContentType)
	}
	if e.DataSchema != "" {
		dst = appendMember(dst, "dataschema", e.DataSchema)
	}
	for _, name := range e.extensionNames() {
		dst = appendExtension(dst, name, e.Extensions[name])
	}
	return append(e.appendData(dst), '}')
}

// AppendBatchJSON appends the events as a JSON array to dst.
func AppendBatchJSON(dst []byte, events ...*Event) []byte {
	dst = append(dst, '[')
	for i, e := range events {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = e.AppendJSON(dst)
	}
	return append(dst, ']')
}

func appendExtension(dst []byte, name string, value any) []byte {
	switch v := value.(type) {
	case bool:
		return strconv.AppendBool(appendName(dst, name), v)
	case int32:
		return strconv.AppendInt(appendName(dst, name), int64(v), 10)
	default:
		return appendMember(dst, name, canonical(value))
	}
}

// appendData appends the payload: JSON format 1.0.2, section 3.1.1.
func (e *Event) appendData(dst []byte) []byte {
	switch e.Form() {
	case FormNone:
		return dst
	case FormJSON:
		return append(append(dst, `,"data":`...), e.Data...)
	case FormText:
		return AppendQuoted(append(dst, `,"data":`...), e.Data)
	default:
		dst = append(dst, `,"data_base64":"`...)
		return append(base64.StdEncoding.AppendEncode(dst, e.Data), '"')
	}
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',')
	return append(AppendQuoted(dst, name), ':')
}

func appendMember(dst []byte, name, value string) []byte {
	return AppendQuoted(appendName(dst, name), value)
}
