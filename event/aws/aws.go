// Package aws makes of events what an AWS Lambda function is given, and reads
// what it answers: the shapes of the service's event sources, partial batch
// responses, and the records of results.
//
// Which shape an event has follows from its type, which the sources reserve:
// s3.object.* becomes an S3 record, cron.tick a scheduled event, and so on.
// Whatever has no shape of its own becomes an EventBridge event. The attributes
// and data that each type has are described in docs/function-events.md.
package aws

import (
	"encoding/base64"
	"fmt"

	"sluice/event"
)

// A Shape is the form in which a function is given its events.
type Shape string

// The shapes.
const (
	// ShapeAWS is the form of the AWS service that the event's type stands for.
	ShapeAWS Shape = "aws"
	// ShapeCloudEvent is the JSON format of CloudEvents 1.0.2.
	ShapeCloudEvent Shape = "cloudevent"
	// ShapeData is the event's data alone: JSON as it stands, text as a string,
	// anything else as a string of base64, no data as null.
	ShapeData Shape = "data"
)

// Shapes returns all of them, the default first.
func Shapes() []Shape { return []Shape{ShapeAWS, ShapeCloudEvent, ShapeData} }

// MaxPayload is the most bytes of JSON that a function is given: 6 MiB and 100
// bytes, the service's limit.
const MaxPayload = 6<<20 + 100

// The region and account that stand where the events know none.
const (
	DefaultRegion  = "us-east-1"
	DefaultAccount = "000000000000"
)

// Options say what the events themselves do not.
type Options struct {
	// Region and Account stand in ARNs and elsewhere; DefaultRegion and
	// DefaultAccount when they are empty.
	Region, Account string
	// Batch makes a list of shapes that have no room for several events, also of
	// a single one: it is set when the trigger batches.
	Batch bool
	// MaxPayload is the most bytes of JSON; 0: MaxPayload.
	MaxPayload int
}

func (o Options) withDefaults() Options {
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Account == "" {
		o.Account = DefaultAccount
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = MaxPayload
	}
	return o
}

// A Payload is what a function is given.
type Payload struct {
	// JSON is valid JSON in UTF-8.
	JSON []byte
	// Identifiers are the names by which a partial batch response tells which of
	// the events have failed, in the order of the events.
	Identifiers []string

	// streams are the shards that the events of an ordered stream are from, in
	// the order of the events; nil for all others.
	streams []string
}

// Encode makes the payload of one event, or of several: a batch. Without
// Options.Batch there must be exactly one.
//
// It returns a *TooLargeError when the payload is over the limit, a *MixedError
// when the events have shapes that do not fit into one payload, and an
// *EventError when an event does not have what its type demands. Another try
// fails alike.
func Encode(shape Shape, events []*event.Event, opts Options) (Payload, error) {
	opts = opts.withDefaults()
	if len(events) == 0 || len(events) > 1 && !opts.Batch {
		return Payload{}, fmt.Errorf("%d events: a payload is made of one, or of several with Batch", len(events))
	}
	p := Payload{Identifiers: make([]string, len(events))}
	for i, e := range events {
		p.Identifiers[i] = e.ID
	}
	w := writer{buffer: make([]byte, 0, estimate(events)), Options: opts}
	if err := w.payload(shape, events, &p); err != nil {
		return Payload{}, err
	}
	p.JSON = w.buffer
	if len(p.JSON) > opts.MaxPayload {
		return Payload{}, &TooLargeError{Size: len(p.JSON), Max: opts.MaxPayload, Events: len(events)}
	}
	return p, nil
}

func (w *writer) payload(shape Shape, events []*event.Event, p *Payload) error {
	switch shape {
	case ShapeAWS:
		return w.aws(events, p)
	case ShapeCloudEvent:
		w.each(events, (*writer).cloudEvent)
		return nil
	case ShapeData:
		w.each(events, (*writer).data)
		return nil
	}
	return fmt.Errorf("there is no shape %q: there are %q", shape, Shapes())
}

// each writes the events one by one: as a list for a batch.
func (w *writer) each(events []*event.Event, write func(*writer, *event.Event)) {
	if !w.Batch {
		write(w, events[0])
		return
	}
	w.open('[')
	for _, e := range events {
		w.next()
		write(w, e)
	}
	w.close(']')
}

func (w *writer) cloudEvent(e *event.Event) { w.buffer = e.AppendJSON(w.buffer) }

func (w *writer) data(e *event.Event) {
	switch e.Form() {
	case event.FormNone:
		w.raw("null")
	case event.FormJSON:
		w.buffer = append(w.buffer, e.Data...)
	case event.FormText:
		w.buffer = event.AppendQuoted(w.buffer, e.Data)
	default:
		w.base64(e.Data)
	}
}

// estimate returns about how many bytes the events take, so that the buffer
// seldom grows.
func estimate(events []*event.Event) int {
	size := 64
	for _, e := range events {
		size += 1024 + len(e.Data)
		if !event.IsJSON(e.DataContentType) {
			size += base64.StdEncoding.EncodedLen(len(e.Data)) - len(e.Data)
		}
	}
	return size
}
