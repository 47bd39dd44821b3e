package event

import (
	"encoding/base64"
	"encoding/json"
	"mime"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
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
	switch {
	case len(e.Data) == 0:
		return dst
	case IsJSON(e.DataContentType) && utf8.Valid(e.Data) && json.Valid(e.Data):
		return append(append(dst, `,"data":`...), e.Data...)
	case !IsJSON(e.DataContentType) && isText(e.DataContentType) && utf8.Valid(e.Data):
		return appendQuoted(append(dst, `,"data":`...), string(e.Data))
	}
	dst = append(dst, `,"data_base64":"`...)
	return append(base64.StdEncoding.AppendEncode(dst, e.Data), '"')
}

// isText tells whether a content type declares text in UTF-8, so that the
// payload can be read in the JSON format.
func isText(contentType string) bool {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	if err != nil {
		return false
	}
	if charset, found := parameters["charset"]; found {
		return strings.EqualFold(charset, "utf-8") || strings.EqualFold(charset, "us-ascii")
	}
	switch mediaType {
	case "application/xml", "application/yaml", "application/x-www-form-urlencoded", "application/x-ndjson":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+xml") ||
		strings.HasSuffix(mediaType, "+yaml")
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',')
	return append(appendQuoted(dst, name), ':')
}

func appendMember(dst []byte, name, value string) []byte {
	return appendQuoted(appendName(dst, name), value)
}

// appendQuoted appends a JSON string. Invalid UTF-8 becomes U+FFFD.
func appendQuoted(dst []byte, value string) []byte {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, "\ufffd")
	}
	const digits = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		default:
			dst = append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
		}
	}
	return append(dst, '"')
}
