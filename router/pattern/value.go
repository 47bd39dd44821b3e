package pattern

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
)

// The bounds of a pattern, so that no pattern is slow to compile or to match.
const (
	maxSize  = 256 << 10 // bytes of the raw pattern
	maxDepth = 100       // nested objects and lists
)

type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindNumber
	kindString
	kindArray
	kindObject
	kindMulti // several values of one key; in events only
)

// A value is a piece of a pattern, with its keys in the order written.
type value struct {
	kind    kind
	text    string // of a string, number or bool
	items   []value
	members []member
	offset  int // in the raw text
}

type member struct {
	key    string
	value  value
	offset int
}

// describe names a value in an error.
func (v *value) describe() string {
	switch v.kind {
	case kindNull:
		return "null"
	case kindBool:
		return v.text
	case kindNumber:
		return "the number " + shorten(v.text)
	case kindString:
		return "the string " + strconv.Quote(shorten(v.text))
	case kindArray:
		return "a list"
	default:
		return "an object"
	}
}

// shorten keeps what is printed of foreign text within bounds.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	end := most
	for end > most-4 && text[end]&0xC0 == 0x80 {
		end--
	}
	return text[:end] + "…"
}

// A reader turns raw JSON into a value.
type reader struct {
	raw     []byte
	decoder *json.Decoder
	path    []any
}

func readValue(raw []byte) (value, error) {
	if len(raw) > maxSize {
		return value{}, &Error{message: fmt.Sprintf("the pattern has %d bytes; %d is the most", len(raw), maxSize)}
	}
	if err := syntaxError(raw); err != nil {
		offset, _ := syntaxOffset(err)
		return value{}, &Error{offset: offset - 1, message: "not JSON: " + err.Error()}
	}
	r := &reader{raw: raw, decoder: json.NewDecoder(bytes.NewReader(raw))}
	r.decoder.UseNumber()
	return r.value(0)
}

// next is the offset at which the next token begins.
func (r *reader) next() int {
	offset := int(r.decoder.InputOffset())
	for offset < len(r.raw) && bytes.IndexByte([]byte(" \t\r\n,:"), r.raw[offset]) >= 0 {
		offset++
	}
	return offset
}

// fail is for errors of the decoder, which has been given valid JSON.
func (r *reader) fail(err error) error {
	return &Error{offset: r.next(), path: slices.Clone(r.path), message: "not JSON: " + err.Error()}
}

func (r *reader) value(depth int) (value, error) {
	offset := r.next()
	token, err := r.decoder.Token()
	if err != nil {
		return value{}, r.fail(err)
	}
	v := value{offset: offset}
	switch token := token.(type) {
	case json.Delim:
		if depth >= maxDepth {
			return v, &Error{offset: offset, path: slices.Clone(r.path), message: tooDeep()}
		}
		if token == '[' {
			v.kind = kindArray
			return v, r.array(&v, depth)
		}
		v.kind = kindObject
		return v, r.object(&v, depth)
	case string:
		v.kind, v.text = kindString, token
	case json.Number:
		v.kind, v.text = kindNumber, token.String()
	case bool:
		v.kind, v.text = kindBool, strconv.FormatBool(token)
	}
	return v, nil
}

func tooDeep() string {
	return fmt.Sprintf("nested more than %d levels deep", maxDepth)
}

func (r *reader) array(v *value, depth int) error {
	for r.decoder.More() {
		r.path = append(r.path, len(v.items))
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		v.items = append(v.items, item)
	}
	return r.end()
}

func (r *reader) object(v *value, depth int) error {
	for r.decoder.More() {
		offset := r.next()
		key, err := r.decoder.Token()
		if err != nil {
			return r.fail(err)
		}
		name, ok := key.(string)
		if !ok {
			return &Error{offset: offset, path: slices.Clone(r.path), message: "not JSON: a key must be a string"}
		}
		r.path = append(r.path, name)
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		r.path = r.path[:len(r.path)-1]
		v.members = append(v.members, member{key: name, value: item, offset: offset})
	}
	return r.end()
}

func (r *reader) end() error {
	if _, err := r.decoder.Token(); err != nil {
		return r.fail(err)
	}
	return nil
}

// convert turns what a YAML or JSON decoder gives into a value. Keys come in
// sorted order, since a map has none.
func convert(v any, path []any) (value, error) {
	if len(path) > maxDepth {
		return value{}, &Error{path: slices.Clone(path), message: tooDeep()}
	}
	switch v := v.(type) {
	case nil:
		return value{kind: kindNull}, nil
	case string:
		return value{kind: kindString, text: v}, nil
	case bool:
		return value{kind: kindBool, text: strconv.FormatBool(v)}, nil
	case json.Number:
		return convertNumber(v.String(), path)
	case float64:
		return convertFloat(v, path)
	case float32:
		return convertFloat(float64(v), path)
	case []any:
		return convertList(v, path)
	case map[string]any:
		return convertMap(v, path)
	}
	return convertInteger(v, path)
}

func convertInteger(v any, path []any) (value, error) {
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return value{kind: kindNumber, text: strconv.FormatInt(r.Int(), 10)}, nil
	case r.CanUint():
		return value{kind: kindNumber, text: strconv.FormatUint(r.Uint(), 10)}, nil
	}
	return value{}, &Error{path: slices.Clone(path), message: fmt.Sprintf("a %T is not allowed in a pattern; use strings, numbers, booleans, null, lists and objects", v)}
}

func convertFloat(v float64, path []any) (value, error) {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return value{}, &Error{path: slices.Clone(path), message: "not a number that an event can hold; write a finite number"}
	}
	return value{kind: kindNumber, text: strconv.FormatFloat(v, 'g', -1, 64)}, nil
}

func convertNumber(text string, path []any) (value, error) {
	if !json.Valid([]byte(text)) || text == "" || text[0] != '-' && (text[0] < '0' || text[0] > '9') {
		return value{}, &Error{path: slices.Clone(path), message: fmt.Sprintf("%q is not a JSON number", shorten(text))}
	}
	return value{kind: kindNumber, text: text}, nil
}

func convertList(list []any, path []any) (value, error) {
	v := value{kind: kindArray}
	for i, item := range list {
		converted, err := convert(item, append(path, i))
		if err != nil {
			return value{}, err
		}
		v.items = append(v.items, converted)
	}
	return v, nil
}

func convertMap(object map[string]any, path []any) (value, error) {
	v := value{kind: kindObject}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		converted, err := convert(object[key], append(path, key))
		if err != nil {
			return value{}, err
		}
		v.members = append(v.members, member{key: key, value: converted})
	}
	return v, nil
}
