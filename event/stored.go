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
func Origin(header map[string][]string) (string, error) {
	values := header[HeaderOrigin]
	if len(values) == 0 {
		return "", nil
	}
	return decodeValue(HeaderOrigin, values[0])
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
	if err := checkFormat(header); err != nil {
		return nil, err
	}
	e := &Event{}
	if len(data) > 0 {
		e.Data = data
	}
	for key, values := range header {
		if len(values) == 0 {
			continue
		}
		if err := e.decodeStored(key, values[0]); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(e.applyTypes(header), e.applyLarge(header)); err != nil {
		return nil, err
	}
	return e, e.complete(header)
}

func checkFormat(header map[string][]string) error {
	values := header[HeaderFormat]
	if len(values) == 1 && (values[0] == formatText || values[0] == formatLargeText) {
		return nil
	}
	if len(values) == 0 {
		return invalid(HeaderFormat, "missing: the message was not stored by sluice")
	}
	version, err := strconv.ParseUint(values[0], 10, 31)
	if err == nil && version > FormatLarge {
		return &NewerFormatError{Version: int(version)}
	}
	return invalid(HeaderFormat, "%s is not a format of sluice", quoted(values[0]))
}

func (e *Event) decodeStored(key, value string) error {
	if key == headerContentType {
		e.DataContentType = value
		return nil
	}
	name, found := strings.CutPrefix(key, "ce-")
	if !found || name == "specversion" {
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
func (e *Event) complete(header map[string][]string) error {
	version := ""
	if values := header["ce-specversion"]; len(values) > 0 {
		version = values[0]
	}
	if err := checkSpecVersion(version); err != nil {
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
func (e *Event) applyTypes(header map[string][]string) error {
	values := header[HeaderTypes]
	if len(values) == 0 {
		return nil
	}
	for entry := range strings.SplitSeq(values[0], ",") {
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
