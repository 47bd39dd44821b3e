package event

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// FormatVersion is the version of the stored form of everything but events whose
// data is kept apart, as it stands in the header HeaderFormat of every stored
// message.
const FormatVersion = 1

// The headers of sluice's own on stored messages. The attributes are in ce-
// headers and content-type, as in the binary mode of CloudEvents.
const (
	HeaderFormat = "Sluice-Format"
	// HeaderTypes names the extensions that are no strings: name=bool and
	// name=int, separated by commas.
	HeaderTypes = "Sluice-Types"
	// HeaderOrigin is the Origin of a directed entry or a reply.
	HeaderOrigin = "Sluice-Origin"
)

const (
	headerContentType = "content-type"
	formatText        = "1"
	formatLargeText   = "2"
)

// EncodeHeader returns the headers of the stored form; the body is e.Data, which
// is empty when the data is kept apart. The
// caller may add headers to the map.
func EncodeHeader(e *Event) map[string][]string {
	const core = 11 // as many as there are beside extensions
	header := make(map[string][]string, core+len(e.Extensions))
	values := make([]string, 0, core+len(e.Extensions))
	set := func(name, value string) {
		values = append(values, value)
		header[name] = values[len(values)-1 : len(values) : len(values)]
	}
	if e.Large == nil {
		set(HeaderFormat, formatText)
	} else {
		set(HeaderFormat, formatLargeText)
		set(HeaderLarge, e.Large.header())
	}
	e.visit(func(name, value string) { set(headerName(name), encodeValue(value)) })
	if e.DataContentType != "" {
		set(headerContentType, safeContentType(e.DataContentType))
	}
	if types := e.extensionTypes(); types != "" {
		set(HeaderTypes, types)
	}
	return header
}

// EncodeDirectedHeader returns the headers of the stored form of a directed
// entry.
func EncodeDirectedHeader(d *Directed) map[string][]string {
	header := EncodeHeader(&d.Event)
	SetOrigin(header, d.Origin)
	return header
}

// SetOrigin adds what an entry was made from to the headers of its stored form;
// "" adds nothing.
func SetOrigin(header map[string][]string, origin string) {
	if origin != "" {
		header[HeaderOrigin] = []string{encodeValue(origin)}
	}
}

// Origin returns the Origin of a stored entry, or "" for none.
func (f Fields) Origin() (string, error) {
	value, n := f.lookup(HeaderOrigin)
	if n == 0 {
		return "", nil
	}
	return decodeValue(HeaderOrigin, value)
}

func (e *Event) extensionTypes() string {
	var types []string
	for name, value := range e.Extensions {
		switch value.(type) {
		case bool:
			types = append(types, name+"=bool")
		case int32:
			types = append(types, name+"=int")
		}
	}
	if len(types) > 1 {
		slices.Sort(types)
	}
	return strings.Join(types, ",")
}

// DecodeHeader reads the stored form of an event. The event shares data's
// memory. Headers that are neither ce- nor sluice's own, such as Nats-, are
// passed over. The data is not looked at, and the attributes no more than it
// takes to be sure that there is an event.
//
// It returns a *NewerFormatError for what a newer sluice has stored, and an
// *InvalidError, wrapped, for anything else.
func DecodeHeader(header map[string][]string, data []byte) (*Event, error) {
	e := &Event{}
	if err := FieldsOf(header).Decode(e, data); err != nil {
		return nil, err
	}
	return e, nil
}

// maxFields is more than an event has whose attributes take MaxAttributes. What
// others have stored is refused with more: to compare them all takes seconds.
const maxFields = 4096

// Decode is DecodeHeader into an event without attributes, which is of no use
// after an error.
func (f Fields) Decode(e *Event, data []byte) error {
	if err := f.checkFormat(); err != nil {
		return err
	}
	if len(f) > maxFields {
		return invalid("headers", "there are %d of them, and of what sluice has stored at most %d", len(f), maxFields)
	}
	if len(data) > 0 {
		e.Data = data
	}
	for i := range f {
		if err := f.decodeAttribute(e, i); err != nil {
			return err
		}
	}
	if err := errors.Join(f.applyTypes(e), f.applyLarge(e)); err != nil {
		return err
	}
	return f.complete(e)
}

func (f Fields) checkFormat() error {
	format, n := f.lookup(HeaderFormat)
	if n == 1 && (format == formatText || format == formatLargeText) {
		return nil
	}
	if n == 0 {
		return invalid(HeaderFormat, "missing: the message was not stored by sluice")
	}
	version, err := strconv.ParseUint(format, 10, 31)
	if err == nil && version > FormatLarge {
		return &NewerFormatError{Version: int(version)}
	}
	return invalid(HeaderFormat, "%s is not a format of sluice", quoted(format))
}

// decodeAttribute takes up one field, if it is an attribute.
func (f Fields) decodeAttribute(e *Event, i int) error {
	key, value := f[i].Name, f[i].Value
	name, found := strings.CutPrefix(key, "ce-")
	switch {
	case !found && key != headerContentType || name == "specversion":
		return nil
	case f[:i].has(key):
		return nil
	case !found:
		e.DataContentType = value
		return nil
	}
	decoded, err := decodeValue(key, value)
	if err != nil {
		return err
	}
	return e.setAttribute(name, decoded)
}

// complete tells whether the attributes are there without which nothing can
// be done with an event.
func (f Fields) complete(e *Event) error {
	if err := checkSpecVersion(f.Get("ce-specversion")); err != nil {
		return err
	}
	for _, required := range [...]struct{ name, value string }{
		{"ce-id", e.ID}, {"ce-source", e.Source}, {"ce-type", e.Type},
	} {
		if required.value == "" {
			return invalid(required.name, "missing or empty")
		}
	}
	return nil
}

// applyTypes gives the extensions that HeaderTypes names their types back.
func (f Fields) applyTypes(e *Event) error {
	types, n := f.lookup(HeaderTypes)
	if n == 0 {
		return nil
	}
	for entry := range strings.SplitSeq(types, ",") {
		name, kind, _ := strings.Cut(entry, "=")
		text, isText := e.Extensions[name].(string)
		if !isText {
			return invalid(HeaderTypes, "%s names no extension of the event", quoted(entry))
		}
		value, err := typed(name, kind, text)
		if err != nil {
			return err
		}
		e.Extensions[name] = value
	}
	return nil
}

func typed(name, kind, text string) (any, error) {
	switch {
	case kind == "bool" && text == "true":
		return true, nil
	case kind == "bool" && text == "false":
		return false, nil
	case kind == "int":
		if n, ok := parseInt32(text); ok {
			return n, nil
		}
	}
	return nil, invalid(name, "%s is no %s", quoted(text), quoted(kind))
}
