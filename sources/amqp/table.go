package amqp

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rabbitmq/amqp091-go"
)

// appendTable appends a table as a JSON object whose text CloudEvents allows as
// an attribute. Every type of AMQP 0-9-1, section 4.2.5.5, and of RabbitMQ's
// errata has a form of its own:
//
//   - texts are strings, whole numbers of any width and decimals are numbers with
//     all their digits, floats are the shortest number, or the string "NaN",
//     "+Inf" or "-Inf";
//   - a time is a string of RFC 3339, or a number of seconds where its year has
//     not four digits;
//   - bytes, and texts that are not UTF-8, are {"bytes": [104, 105]};
//   - arrays, tables, booleans and null are themselves.
func appendTable(b []byte, t amqp091.Table) []byte {
	b = append(b, '{')
	for i, name := range slices.Sorted(maps.Keys(t)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendText(b, clean(name)), ':')
		b = appendField(b, t[name])
	}
	return append(b, '}')
}

func appendField(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		if !utf8.ValidString(v) {
			return appendBytes(b, []byte(v))
		}
		return appendText(b, v)
	case []byte:
		return appendBytes(b, v)
	case bool:
		return strconv.AppendBool(b, v)
	case float32:
		return appendFloat(b, float64(v), 32)
	case float64:
		return appendFloat(b, v, 64)
	case amqp091.Decimal:
		return appendDecimal(b, v)
	case time.Time:
		return appendTime(b, v)
	case amqp091.Table:
		return appendTable(b, v)
	case []any:
		return appendArray(b, v)
	}
	return appendInteger(b, value)
}

// appendInteger appends a whole number, or null for what is none.
func appendInteger(b []byte, value any) []byte {
	switch v := value.(type) {
	case int8:
		return strconv.AppendInt(b, int64(v), 10)
	case byte:
		return strconv.AppendInt(b, int64(v), 10)
	case int16:
		return strconv.AppendInt(b, int64(v), 10)
	case uint16:
		return strconv.AppendInt(b, int64(v), 10)
	case int32:
		return strconv.AppendInt(b, int64(v), 10)
	case uint32:
		return strconv.AppendInt(b, int64(v), 10)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	}
	return append(b, "null"...)
}

func appendArray(b []byte, list []any) []byte {
	b = append(b, '[')
	for i, value := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendField(b, value)
	}
	return append(b, ']')
}

func appendBytes(b, value []byte) []byte {
	b = append(b, `{"bytes":[`...)
	for i, c := range value {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(c), 10)
	}
	return append(b, "]}"...)
}

func appendFloat(b []byte, value float64, bits int) []byte {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return appendText(b, strconv.FormatFloat(value, 'g', -1, bits))
	}
	return strconv.AppendFloat(b, value, 'g', -1, bits)
}

// appendDecimal appends value divided by ten to the power of scale.
func appendDecimal(b []byte, d amqp091.Decimal) []byte {
	b = strconv.AppendInt(b, int64(d.Value), 10)
	if d.Scale > 0 {
		b = append(b, "e-"...)
		b = strconv.AppendInt(b, int64(d.Scale), 10)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if !writable(t) {
		return strconv.AppendInt(b, t.Unix(), 10)
	}
	return appendText(b, t.Format(time.RFC3339Nano))
}

// writable tells whether RFC 3339 can write a time.
func writable(t time.Time) bool { return t.Year() >= 0 && t.Year() <= 9999 }

// appendText appends a JSON string. What no attribute may have is escaped.
func appendText(b []byte, text string) []byte {
	quoted, _ := json.Marshal(text) // a string never fails
	for _, r := range string(quoted) {
		switch {
		case allowed(r):
			b = utf8.AppendRune(b, r)
		case r > 0xffff:
			high, low := 0xd800+(r-0x10000)>>10, 0xdc00+(r-0x10000)&0x3ff
			b = append(b, escape(high)+escape(low)...)
		default:
			b = append(b, escape(r)...)
		}
	}
	return b
}

func escape(r rune) string {
	hex := strconv.FormatInt(int64(r), 16)
	return `\u` + strings.Repeat("0", 4-len(hex)) + hex
}

// clean returns a text that CloudEvents allows as an attribute: what it does not
// allow (section 3.2), and what is not UTF-8, becomes U+FFFD.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if allowed(r) {
			return r
		}
		return utf8.RuneError
	}, text)
}

// allowed tells whether an attribute may have a character: no control characters
// and no noncharacters.
func allowed(r rune) bool {
	return r >= 0x20 && (r < 0x7f || r > 0x9f) && (r < 0xfdd0 || r > 0xfdef) && r&0xfffe != 0xfffe
}
