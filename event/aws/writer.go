package aws

import (
	"encoding/base64"
	"strconv"
	"time"
	"unicode/utf8"

	"sluice/event"
)

// A writer appends JSON. A comma is put before whatever follows something.
type writer struct {
	buffer []byte
	Options
}

// open begins an object or an array, by its bracket.
func (w *writer) open(bracket byte) { w.buffer = append(w.buffer, bracket) }

// close ends it.
func (w *writer) close(bracket byte) { w.buffer = append(w.buffer, bracket) }

// next makes ready for a member or element.
func (w *writer) next() {
	if last := w.buffer[len(w.buffer)-1]; last != '{' && last != '[' {
		w.buffer = append(w.buffer, ',')
	}
}

// name begins a member.
func (w *writer) name(name string) {
	w.next()
	w.buffer = append(event.AppendQuoted(w.buffer, name), ':')
}

// object begins a member that is an object, array one that is an array.
func (w *writer) object(name string) {
	w.name(name)
	w.open('{')
}

func (w *writer) array(name string) {
	w.name(name)
	w.open('[')
}

// text writes a member that is a string.
func (w *writer) text(name, value string) {
	w.name(name)
	w.buffer = event.AppendQuoted(w.buffer, value)
}

// textOrNull writes a member that is a string, or null when it is empty.
func (w *writer) textOrNull(name, value string) {
	if value == "" {
		w.member(name, "null")
		return
	}
	w.text(name, value)
}

// number writes a member that is a whole number.
func (w *writer) number(name string, value int64) {
	w.name(name)
	w.buffer = strconv.AppendInt(w.buffer, value, 10)
}

// member writes a member whose value is JSON already.
func (w *writer) member(name, value string) {
	w.name(name)
	w.raw(value)
}

// raw writes a value as it stands.
func (w *writer) raw(value string) { w.buffer = append(w.buffer, value...) }

// base64 writes a value that is a string of base64, RFC 4648, section 4.
func (w *writer) base64(data []byte) {
	w.open('"')
	w.buffer = base64.StdEncoding.AppendEncode(w.buffer, data)
	w.close('"')
}

// body writes the data of a service whose messages are text: as a string, or in
// base64 when it is not UTF-8.
func (w *writer) body(name string, e *event.Event) {
	w.name(name)
	if utf8.Valid(e.Data) {
		w.buffer = event.AppendQuoted(w.buffer, e.Data)
		return
	}
	w.base64(e.Data)
}

// bytes writes a value that is a list of bytes, which the service's Java takes
// for signed.
func (w *writer) bytes(data []byte) {
	w.open('[')
	for _, b := range data {
		w.next()
		w.buffer = strconv.AppendInt(w.buffer, int64(int8(b)), 10) // it wraps on purpose
	}
	w.close(']')
}

// The layouts of times, in UTC.
const (
	layoutSeconds = "2006-01-02T15:04:05Z"
	layoutMillis  = "2006-01-02T15:04:05.000Z"
)

// time writes a member that is a time. An event without one has the beginning
// of Unix time.
func (w *writer) time(name, layout string, e *event.Event) {
	w.text(name, eventTime(e).Format(layout))
}

func eventTime(e *event.Event) time.Time {
	if e.Time.IsZero() {
		return time.Unix(0, 0).UTC()
	}
	return e.Time.UTC()
}

func millis(e *event.Event) int64 { return eventTime(e).UnixMilli() }
