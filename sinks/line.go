package sinks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"

	"sluice/event"
)

// The extension attributes that an event carries where nothing beside it can:
// among others in a batch, or as a line of a file.
const (
	// AttributeDelivery is the delivery's id.
	AttributeDelivery = "sluicedelivery"
	// AttributeAttempt is the number of the attempt, from 1.
	AttributeAttempt = "sluiceattempt"
)

// Named returns the event of a delivery with its id and attempt. Whatever stood
// there came from outside.
func Named(d *Delivery) *event.Event {
	e := *d.Event
	e.Extensions = make(map[string]any, len(d.Event.Extensions)+2)
	maps.Copy(e.Extensions, d.Event.Extensions)
	e.Extensions[AttributeDelivery], e.Extensions[AttributeAttempt] = d.ID, int32(min(d.Attempt, 1<<31-1))
	return &e
}

// AppendEventLine appends the whole event of a delivery as CloudEvents JSON on
// one line, with the delivery's id and attempt.
func AppendEventLine(dst []byte, d *Delivery) []byte {
	begin := len(dst)
	return append(oneLine(Named(d).AppendJSON(dst), begin), '\n')
}

// AppendDataLine appends the data of a delivery's event as JSON on one line:
// JSON as it stands, text as a string, anything else as a string of base64, no
// data as null.
func AppendDataLine(dst []byte, d *Delivery) []byte {
	begin := len(dst)
	switch e := d.Event; e.Form() {
	case event.FormNone:
		dst = append(dst, "null"...)
	case event.FormJSON:
		dst = oneLine(append(dst, e.Data...), begin)
	case event.FormText:
		dst = event.AppendQuoted(dst, e.Data)
	default:
		dst = append(dst, '"')
		dst = append(base64.StdEncoding.AppendEncode(dst, e.Data), '"')
	}
	return append(dst, '\n')
}

// oneLine takes the white space out of the JSON from begin on when there are
// line ends among it. Within strings JSON has none.
func oneLine(text []byte, begin int) []byte {
	if !bytes.ContainsAny(text[begin:], "\r\n") {
		return text
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, text[begin:]); err != nil {
		return text // it is JSON: what is not has another form
	}
	return append(text[:begin], compact.Bytes()...)
}
