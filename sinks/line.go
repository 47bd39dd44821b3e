package sinks

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"

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
	e := new(event.Event)
	name(e, d, make(map[string]any, len(d.Event.Extensions)+2))
	return e
}

// name makes e the named event of a delivery, whose extensions are put into an
// empty map.
func name(e *event.Event, d *Delivery, extensions map[string]any) {
	*e = *d.Event
	maps.Copy(extensions, d.Event.Extensions)
	extensions[AttributeDelivery], extensions[AttributeAttempt] = d.ID, int32(min(d.Attempt, 1<<31-1))
	e.Extensions = extensions
}

// attributesGuess is about what the attributes of an event take as JSON, in
// bytes.
const attributesGuess = 512

// AppendBatch appends the events of deliveries as a JSON array (CloudEvents JSON
// format 1.0.2, section 4), each with its delivery's id and attempt.
func AppendBatch(dst []byte, deliveries []Delivery) []byte {
	size := len("[]")
	for i := range deliveries {
		size += attributesGuess + len(deliveries[i].Event.Data)
	}
	dst = append(slices.Grow(dst, size), '[')
	var e event.Event
	extensions := make(map[string]any, 2)
	for i := range deliveries {
		if i > 0 {
			dst = append(dst, ',')
		}
		clear(extensions)
		name(&e, &deliveries[i], extensions)
		dst = e.AppendJSON(dst)
	}
	return append(dst, ']')
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
