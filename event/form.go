package event

import (
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"
)

// A Form is how the data of an event can stand in JSON.
type Form int

// The forms.
const (
	FormNone   Form = iota // there is no data
	FormJSON               // declared as JSON, and JSON in UTF-8: as it stands
	FormText               // declared as text, and UTF-8: as a string
	FormBinary             // anything else: as base64
)

// Form returns how the data can stand in JSON: JSON format 1.0.2, section
// 3.1.1. It reads all of the data.
func (e *Event) Form() Form {
	switch {
	case len(e.Data) == 0:
		return FormNone
	case IsJSON(e.DataContentType) && utf8.Valid(e.Data) && json.Valid(e.Data):
		return FormJSON
	case !IsJSON(e.DataContentType) && isText(e.DataContentType) && utf8.Valid(e.Data):
		return FormText
	}
	return FormBinary
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

// AppendQuoted appends a JSON string to dst. Bytes that are not UTF-8 become
// U+FFFD, several in a row one.
func AppendQuoted[T string | []byte](dst []byte, value T) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(value); {
		c := value[i]
		if c >= 0x20 && c < utf8.RuneSelf && c != '"' && c != '\\' {
			i++
			continue
		}
		width := 1
		if c >= utf8.RuneSelf {
			if width = runeWidth(value, i); width > 0 {
				i += width
				continue
			}
			for width = 1; i+width < len(value) && runeWidth(value, i+width) == 0; {
				width++
			}
		}
		dst = append(dst, value[start:i]...)
		dst = appendEscaped(dst, c)
		i += width
		start = i
	}
	return append(append(dst, value[start:]...), '"')
}

// runeWidth returns how many bytes the character at i has; 0 where it is not
// UTF-8.
func runeWidth[T string | []byte](value T, i int) int {
	var next [utf8.UTFMax]byte
	n := copy(next[:], value[i:])
	r, width := utf8.DecodeRune(next[:n])
	if r == utf8.RuneError && width == 1 {
		return 0
	}
	return width
}

// appendEscaped appends a character that may not stand in a JSON string.
func appendEscaped(dst []byte, c byte) []byte {
	const digits = "0123456789abcdef"
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c >= utf8.RuneSelf:
		return append(dst, "\ufffd"...)
	case c == '\n':
		return append(dst, '\\', 'n')
	case c == '\t':
		return append(dst, '\\', 't')
	case c == '\r':
		return append(dst, '\\', 'r')
	}
	return append(dst, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
