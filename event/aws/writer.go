package aws

import (
	"encoding/base64"
	"time"

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

// name begins a member. Names are quoted as they stand where they are constant.
func (w *writer) name(name string) {
	w.next()
	w.buffer = append(event.AppendQuoted(w.buffer, name), ':')
}

// text writes a member that is a string.
func (w *writer) text(name, value string) {
	w.name(name)
	w.buffer = event.AppendQuoted(w.buffer, value)
}

// raw writes a value as it stands.
func (w *writer) raw(value string) { w.buffer = append(w.buffer, value...) }

// base64 writes a value that is a string of base64, RFC 4648, section 4.
func (w *writer) base64(data []byte) {
	w.open('"')
	w.buffer = base64.StdEncoding.AppendEncode(w.buffer, data)
	w.close('"')
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
