package postgres

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"sluice/event"
)

// A form says how the text of a value, as the server writes it, becomes JSON.
type form uint8

const (
	formText      form = iota // a string
	formBool                  // true or false
	formNumber                // a number, digit by digit; a string where JSON has none, as for NaN
	formBig                   // int8 and numeric: as formNumber, or strings where the file asks for that
	formJSON                  // as it stands
	formBytes                 // base64
	formTime                  // RFC 3339
	formLocalTime             // RFC 3339 without an offset
)

// A column is what is known of a column's type.
type column struct {
	form      form
	array     bool
	delimiter byte // between the elements of an array
}

// builtin are the types that PostgreSQL brings and that do not become strings.
func builtin(oid uint32) (form, bool) {
	switch oid {
	case pgtype.BoolOID:
		return formBool, true
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Float4OID, pgtype.Float8OID, pgtype.OIDOID:
		return formNumber, true
	case pgtype.Int8OID, pgtype.NumericOID:
		return formBig, true
	case pgtype.JSONOID, pgtype.JSONBOID:
		return formJSON, true
	case pgtype.ByteaOID:
		return formBytes, true
	case pgtype.TimestamptzOID:
		return formTime, true
	case pgtype.TimestampOID:
		return formLocalTime, true
	case pgtype.TextOID, pgtype.VarcharOID, pgtype.BPCharOID, pgtype.NameOID, pgtype.UUIDOID, pgtype.DateOID,
		pgtype.TimeOID, pgtype.TimetzOID, pgtype.IntervalOID, pgtype.InetOID, pgtype.CIDROID, pgtype.MacaddrOID:
		return formText, true
	}
	return formText, false
}

// maxNumber is the most characters of a number: what reads it later bounds them.
const maxNumber = 1000

// appendValue appends the text of a value as JSON.
func (c column) appendValue(dst, text []byte, bigAsText bool) []byte {
	if !c.array {
		return c.form.append(dst, text, bigAsText)
	}
	whole, err := c.appendArray(dst, text, bigAsText)
	if err != nil { // not as the server writes it: it is kept as it stands
		return event.AppendQuoted(dst, text)
	}
	return whole
}

func (f form) append(dst, text []byte, bigAsText bool) []byte {
	switch f {
	case formText:
	case formBool:
		switch string(text) {
		case "t":
			return append(dst, "true"...)
		case "f":
			return append(dst, "false"...)
		}
	case formBig:
		if !bigAsText && isNumber(text) {
			return append(dst, text...)
		}
	case formNumber:
		if isNumber(text) {
			return append(dst, text...)
		}
	case formJSON:
		if utf8.Valid(text) && json.Valid(text) {
			return append(dst, text...)
		}
	case formBytes:
		if written, ok := appendBytes(dst, text); ok {
			return written
		}
	case formTime:
		return appendTime(dst, text, true)
	case formLocalTime:
		return appendTime(dst, text, false)
	}
	return event.AppendQuoted(dst, text)
}

// isNumber tells whether a text is a number of JSON (RFC 8259, section 6).
func isNumber(text []byte) bool {
	return len(text) > 0 && len(text) <= maxNumber && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') && json.Valid(text) &&
		text[len(text)-1] >= '0' && text[len(text)-1] <= '9'
}

// appendBytes appends bytea in the server's form hex.
func appendBytes(dst, text []byte) ([]byte, bool) {
	digits, ok := bytes.CutPrefix(text, []byte(`\x`))
	if !ok {
		return dst, false
	}
	raw := make([]byte, hex.DecodedLen(len(digits)))
	if _, err := hex.Decode(raw, digits); err != nil {
		return dst, false
	}
	dst = append(dst, '"')
	return append(base64.StdEncoding.AppendEncode(dst, raw), '"'), true
}

// appendTime appends a time of the style ISO as RFC 3339 has it. What that cannot
// say, such as infinity, years before Christ or beyond 9999, stays as it is.
func appendTime(dst, text []byte, zone bool) []byte {
	const day = len("2006-01-02")
	plain := text
	if zone {
		var utc bool
		if plain, utc = bytes.CutSuffix(text, []byte("+00")); !utc {
			return event.AppendQuoted(dst, text)
		}
	}
	if len(plain) < len("2006-01-02 15:04:05") || plain[day] != ' ' || plain[len(plain)-1] == 'C' {
		return event.AppendQuoted(dst, text)
	}
	changed := make([]byte, 0, len(plain)+1)
	changed = append(append(append(changed, plain[:day]...), 'T'), plain[day+1:]...)
	if zone {
		changed = append(changed, 'Z')
	}
	return event.AppendQuoted(dst, changed)
}

var errArray = errors.New("it is no array as the server writes it")

// maxDimensions is PostgreSQL's own limit.
const maxDimensions = 6

// appendArray appends an array as a JSON array of arrays. Its bounds, where the
// server writes them, are left out.
func (c column) appendArray(dst, text []byte, bigAsText bool) ([]byte, error) {
	if len(text) > 0 && text[0] == '[' {
		_, after, found := bytes.Cut(text, []byte("="))
		if !found {
			return nil, errArray
		}
		text = after
	}
	a := &arrayReader{column: c, bigAsText: bigAsText, rest: text, dst: dst}
	a.level(0)
	if a.failed || len(a.rest) > 0 {
		return nil, errArray
	}
	return a.dst, nil
}

// An arrayReader goes through an array (PostgreSQL documentation, section 8.15.6).
type arrayReader struct {
	column    column
	bigAsText bool
	rest      []byte
	dst       []byte
	failed    bool
}

// take takes the next byte when it is c.
func (a *arrayReader) take(c byte) bool {
	if len(a.rest) == 0 || a.rest[0] != c {
		return false
	}
	a.rest = a.rest[1:]
	return true
}

func (a *arrayReader) level(depth int) {
	if depth >= maxDimensions || !a.take('{') {
		a.failed = true
		return
	}
	a.dst = append(a.dst, '[')
	for first := true; !a.failed; first = false {
		if first && a.take('}') {
			a.dst = append(a.dst, ']')
			return
		}
		if len(a.rest) > 0 && a.rest[0] == '{' {
			a.level(depth + 1)
		} else {
			a.element()
		}
		switch {
		case a.take('}'):
			a.dst = append(a.dst, ']')
			return
		case a.take(a.column.delimiter):
			a.dst = append(a.dst, ',')
		default:
			a.failed = true
		}
	}
}

func (a *arrayReader) element() {
	if a.take('"') {
		a.quoted()
		return
	}
	end := bytes.IndexFunc(a.rest, func(r rune) bool { return r == rune(a.column.delimiter) || r == '}' })
	if end <= 0 {
		a.failed = true
		return
	}
	text := a.rest[:end]
	a.rest = a.rest[end:]
	if string(text) == "NULL" {
		a.dst = append(a.dst, "null"...)
		return
	}
	a.dst = a.column.form.append(a.dst, text, a.bigAsText)
}

func (a *arrayReader) quoted() {
	var text []byte
	for i := 0; i < len(a.rest); i++ {
		switch c := a.rest[i]; {
		case c == '"':
			a.rest = a.rest[i+1:]
			a.dst = a.column.form.append(a.dst, text, a.bigAsText)
			return
		case c == '\\' && i+1 < len(a.rest):
			i++
			text = append(text, a.rest[i])
		default:
			text = append(text, c)
		}
	}
	a.failed = true
}
