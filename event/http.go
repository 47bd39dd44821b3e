package event

import (
	"mime"
	"net/http"
	"strings"
)

// The media types of events in JSON.
const (
	// MediaTypeJSON is one event: structured mode.
	MediaTypeJSON = "application/cloudevents+json"
	// MediaTypeBatchJSON is an array of events: batched mode.
	MediaTypeBatchJSON = "application/cloudevents-batch+json"
)

// A Mode is how a message carries events: HTTP binding 1.0.2, section 3.
type Mode int

// The modes.
const (
	// ModeNone: the message is no CloudEvent.
	ModeNone Mode = iota
	// ModeBinary: attributes in headers, the data is the body.
	ModeBinary
	// ModeStructured: one event as JSON.
	ModeStructured
	// ModeBatch: an array of events as JSON.
	ModeBatch
)

// HTTPMode tells how a request or response carries events. The header's keys
// are canonical, as net/http makes them. It returns a *MediaTypeError when it carries them in a format other than JSON in UTF-8.
//
// A message is taken to be in binary mode when it has any of the headers of
// the required attributes, so that a forgotten one is an error and not a
// message of another kind.
func HTTPMode(header http.Header) (Mode, error) {
	contentType := header.Get("Content-Type")
	if isCloudEvents(contentType) {
		return structuredMode(contentType)
	}
	for _, name := range [...]string{"Ce-Specversion", "Ce-Id", "Ce-Source", "Ce-Type"} {
		if _, found := header[name]; found {
			return ModeBinary, nil
		}
	}
	return ModeNone, nil
}

func isCloudEvents(contentType string) bool {
	const prefix = "application/cloudevents"
	contentType = strings.TrimLeft(contentType, " \t")
	return len(contentType) >= len(prefix) && strings.EqualFold(contentType[:len(prefix)], prefix)
}

func structuredMode(contentType string) (Mode, error) {
	mediaType, parameters, err := mime.ParseMediaType(contentType)
	charset := parameters["charset"]
	if err != nil || charset != "" && !strings.EqualFold(charset, "utf-8") {
		return ModeNone, &MediaTypeError{ContentType: contentType}
	}
	switch mediaType {
	case MediaTypeJSON:
		return ModeStructured, nil
	case MediaTypeBatchJSON:
		return ModeBatch, nil
	}
	return ModeNone, &MediaTypeError{ContentType: contentType}
}

// DecodeHTTP reads the events of a request or response in any mode. They share
// body's memory, which must not be changed afterwards. With ModeNone it
// returns no events and no error. It checks the encoding only: call Validate
// on each event.
//
// An error is a *MediaTypeError, or names the event's index in a batch and
// holds an *InvalidError that names the attribute.
func DecodeHTTP(header http.Header, body []byte) ([]Event, Mode, error) {
	mode, err := HTTPMode(header)
	if err != nil {
		return nil, mode, err
	}
	var one Event
	switch mode {
	case ModeBinary:
		err = one.decodeBinary(header, body)
	case ModeStructured:
		err = one.decodeJSON(body)
	case ModeBatch:
		events, err := DecodeBatchJSON(body)
		return events, mode, err
	default:
		return nil, mode, nil
	}
	if err != nil {
		return nil, mode, err
	}
	return []Event{one}, mode, nil
}

// decodeBinary reads binary mode: HTTP binding 1.0.2, section 3.1. All
// problems are found in one go only by Validate; here the first one counts.
func (e *Event) decodeBinary(header http.Header, body []byte) error {
	if err := checkSpecVersion(strings.TrimSpace(header.Get("Ce-Specversion"))); err != nil {
		return err
	}
	if values := header["Content-Type"]; len(values) > 1 {
		return invalid("Content-Type", "the header is there %d times: send it once", len(values))
	}
	for key, values := range header {
		if len(key) < 3 || !strings.EqualFold(key[:3], "ce-") {
			continue
		}
		if err := e.decodeHTTPHeader(strings.ToLower(key), values); err != nil {
			return err
		}
	}
	e.DataContentType = header.Get("Content-Type")
	if len(body) > 0 {
		e.Data = body
	}
	return nil
}

func (e *Event) decodeHTTPHeader(key string, values []string) error {
	if len(values) != 1 {
		return invalid(key, "the header is there %d times: send it once", len(values))
	}
	switch name := key[3:]; name {
	case "specversion":
		return nil
	case "datacontenttype":
		return invalid(key, "the content type of the data goes into the header Content-Type")
	case "source", "dataschema":
		value, err := decodeURIValue(key, values[0])
		if err != nil {
			return err
		}
		return e.setAttribute(name, value)
	default:
		value, err := decodeValue(key, values[0])
		if err != nil {
			return err
		}
		return e.setAttribute(name, value)
	}
}

// decodeURIValue decodes a header value that holds a URI. Some senders, among
// them an official library, do not percent-encode header values, and what is
// left after decoding, such as a space, may then be no URI: in this case the
// escapes were the URI's own.
func decodeURIValue(key, value string) (string, error) {
	decoded, err := decodeValue(key, value)
	if err == nil && firstIllegal(decoded) >= 0 && firstIllegal(value) < 0 {
		return value, nil
	}
	return decoded, err
}

// HTTPHeaders calls set with every header of the event in binary mode, ce- in
// small letters, values encoded as HTTP binding 1.0.2, section 3.1.3.2 asks
// for. Content-Type is set only when the event has a content type. The body is
// e.Data.
func (e *Event) HTTPHeaders(set func(name, value string)) {
	e.visit(func(name, value string) { set(headerName(name), encodeValue(value)) })
	if e.DataContentType != "" {
		set("Content-Type", safeContentType(e.DataContentType))
	}
}

// headerName returns "ce-" + name without making a string for the names that
// every event has.
func headerName(name string) string {
	switch name {
	case "specversion":
		return "ce-specversion"
	case "id":
		return "ce-id"
	case "source":
		return "ce-source"
	case "type":
		return "ce-type"
	case "subject":
		return "ce-subject"
	case "time":
		return "ce-time"
	case "dataschema":
		return "ce-dataschema"
	case "partitionkey":
		return "ce-partitionkey"
	}
	return "ce-" + name
}

// safeContentType returns a content type as a header value. One of an event
// that was never validated might break out of the header: such bytes are
// percent-encoded.
func safeContentType(value string) string {
	if printable(value) {
		return value
	}
	var safe strings.Builder
	for i := range len(value) {
		if c := value[i : i+1]; printable(c) {
			safe.WriteString(c)
		} else {
			safe.WriteString(encodeValue(c))
		}
	}
	return safe.String()
}
