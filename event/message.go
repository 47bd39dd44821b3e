package event

import (
	"iter"
	"strings"
)

// A Binding is how a protocol of messages carries an event in binary mode: the
// data is the body, the content type has a place of its own, and the attributes
// stand in properties that are named after them behind a prefix.
//
// The Kafka binding 1.0.2, section 3.2.3 has the prefix "ce_"; the AMQP binding,
// section 3.1.3.1 "cloudEvents:" or "cloudEvents_"; the MQTT binding, section
// 3.1.3.1 none at all.
type Binding struct {
	// Prefixes are those that are read; the first one is written.
	Prefixes []string
}

// Decode reads a message. It tells whether the message says that it is an event,
// in binary mode by a property specversion, or in structured mode by its content
// type. The error says why such a message is none after all: it is a
// *MediaTypeError, or holds an *InvalidError that names the attribute. The event
// shares body's memory, which must not be changed afterwards.
func (b Binding) Decode(contentType string, properties iter.Seq2[string, string], body []byte) (e Event, is bool, err error) {
	if isCloudEvents(contentType) {
		e, err = decodeOne(contentType, body)
	} else if is, err = b.decode(&e, properties); is {
		e.DataContentType = contentType
		if len(body) > 0 {
			e.Data = body
		}
	} else {
		return Event{}, false, nil
	}
	if err == nil {
		err = e.Validate()
	}
	if err != nil {
		return Event{}, true, err
	}
	return e, true, nil
}

// decodeOne reads structured mode. A message carries one event: batched mode is
// not among the modes of the bindings.
func decodeOne(contentType string, body []byte) (Event, error) {
	mode, err := structuredMode(contentType)
	switch {
	case err != nil:
		return Event{}, err
	case mode != ModeStructured:
		return Event{}, &MediaTypeError{ContentType: contentType}
	}
	return DecodeJSON(body)
}

// decode reads the attributes. The first problem counts, and only in a message
// that has a specversion.
func (b Binding) decode(e *Event, properties iter.Seq2[string, string]) (is bool, problem error) {
	for property, value := range properties {
		name, ok := b.attribute(property)
		if !ok {
			continue
		}
		var err error
		switch name {
		case "specversion":
			is, err = true, checkSpecVersion(value)
		case "datacontenttype":
			err = invalid(property, "the content type of the data goes into the message's own")
		default:
			err = e.setAttribute(name, value)
		}
		if problem == nil {
			problem = err
		}
	}
	return is, problem
}

// attribute returns the attribute that a property is named after. Without a
// prefix every property could be one: those whose name no attribute can have are
// none.
func (b Binding) attribute(property string) (string, bool) {
	for _, prefix := range b.Prefixes {
		name, ok := strings.CutPrefix(property, prefix)
		if ok && (prefix != "" || checkExtensionName(name) == nil || isCore(name)) {
			return name, true
		}
	}
	return "", false
}

// Properties returns the attributes of an event, in their canonical string form
// and with specversion, by the names of their properties. The content type is
// not among them.
func (b Binding) Properties(e *Event) iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		on := true
		e.visit(func(name, value string) { on = on && yield(b.Prefixes[0]+name, value) })
	}
}
