// Package event holds the event that sluice carries from sources to sinks: a
// CloudEvents 1.0 event, its validation, and its encodings.
package event

import "time"

// An Event is a CloudEvents 1.0 event (CloudEvents specification v1.0.2,
// section 3). Its data is the payload exactly as it was received or built:
// nothing between a source and a sink parses it unless a pattern or a
// transform looks into it.
//
// An event that has been published is shared between goroutines and must not
// be changed; Clone it first.
type Event struct {
	// ID, Source and Type are required. Source and ID together identify the
	// event: the same pair is the same event.
	ID     string
	Source string // a URI reference
	Type   string

	// The optional attributes; a zero value means absent.
	Subject         string
	Time            time.Time
	DataContentType string // a media type, RFC 2046
	DataSchema      string // an absolute URI

	// Extensions are the extension attributes by name. A value is a string, a
	// bool or an int32: the types that survive every encoding. Others (bytes,
	// URIs, timestamps) are kept in their canonical string form.
	Extensions map[string]any

	// Data is the payload; nil when the event has none.
	Data []byte
}
