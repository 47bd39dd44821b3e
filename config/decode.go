package config

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"time"
)

// A decoder fills Go values from nodes and goes on after a problem, so that
// all of them are found. A value that is not written keeps what it had: its
// default.
type decoder struct {
	c *collector
	// dir is the folder that secret files are meant from.
	dir string
}

var (
	textType     = reflect.TypeFor[encoding.TextUnmarshaler]()
	nodeType     = reflect.TypeFor[NodeUnmarshaler]()
	rawNodeType  = reflect.TypeFor[*Node]()
	secretType   = reflect.TypeFor[Secret]()
	secretsType  = reflect.TypeFor[Secrets]()
	durationType = reflect.TypeFor[time.Duration]()
	pathType     = reflect.TypeFor[Path]()
)

// into decodes n into what pointer points to, and tells whether that went
// without a problem.
func (d *decoder) into(n *Node, pointer any, at *path) bool {
	return d.value(n, reflect.ValueOf(pointer).Elem(), at)
}

// place is where the problem with a value is shown: at its key when the value
// itself begins on another line, or is not there.
func place(n *Node, at *path) Pos {
	if n.block || n.kind == scalarNode && n.raw == "" && !n.quoted {
		return at.pos
	}
	return n.pos
}

// wrong notes a value of the wrong type.
func (d *decoder) wrong(n *Node, at *path, expected string) bool {
	if n.broken {
		return false
	}
	d.c.problem(place(n, at), at, "expected "+expected+", found "+n.describe())
	return false
}

func (d *decoder) value(n *Node, v reflect.Value, at *path) bool {
	switch {
	case n.broken:
		return false
	case v.Type() == rawNodeType:
		v.Set(reflect.ValueOf(n))
		return d.clear(n, at)
	case v.Type() == secretType:
		return d.secret(n, v.Addr().Interface().(*Secret), at)
	case v.Type() == secretsType && n.kind != sequenceNode:
		return d.oneSecret(n, v.Addr().Interface().(*Secrets), at)
	case v.Type() == pathType:
		return d.file(n, v, at)
	case v.Type() == durationType:
		return d.text(n, (*Duration)(v.Addr().Interface().(*time.Duration)), at)
	case v.CanAddr() && v.Addr().Type().Implements(nodeType):
		return d.hook(n, v.Addr().Interface().(NodeUnmarshaler), at)
	case v.CanAddr() && v.Addr().Type().Implements(textType):
		return d.text(n, v.Addr().Interface().(encoding.TextUnmarshaler), at)
	}
	return d.kind(n, v, at)
}

func (d *decoder) kind(n *Node, v reflect.Value, at *path) bool {
	switch v.Kind() {
	case reflect.Pointer:
		return d.pointer(n, v, at)
	case reflect.Interface:
		return d.free(n, v, at)
	case reflect.Struct:
		return d.structure(n, v, at)
	case reflect.Map:
		return d.mapping(n, v, at)
	case reflect.Slice:
		return d.list(n, v, at)
	case reflect.String:
		return d.str(n, v, at)
	case reflect.Bool:
		return d.boolean(n, v, at)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return d.integer(n, v, at)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return d.unsigned(n, v, at)
	case reflect.Float32, reflect.Float64:
		return d.float(n, v, at)
	default:
		d.c.problem(place(n, at), at, fmt.Sprintf("a value of type %s cannot be configured", v.Type()))
		return false
	}
}

// file decodes a path, and joins a relative one with the configuration's folder.
func (d *decoder) file(n *Node, v reflect.Value, at *path) bool {
	if !d.str(n, v, at) {
		return false
	}
	if name := v.String(); name != "" && !filepath.IsAbs(name) {
		v.SetString(filepath.Join(d.dir, name))
	}
	return true
}

// pointer decodes into what v points to, made new when it points nowhere. A key
// without a value is an unfinished one, and must not look as if it were not there.
func (d *decoder) pointer(n *Node, v reflect.Value, at *path) bool {
	if !v.IsNil() {
		return d.value(n, v.Elem(), at)
	}
	fresh := reflect.New(v.Type().Elem())
	if !d.value(n, fresh.Elem(), at) {
		return false
	}
	v.Set(fresh)
	return true
}

// free takes any value, as JSON has it.
func (d *decoder) free(n *Node, v reflect.Value, at *path) bool {
	if !d.clear(n, at) {
		return false
	}
	value := reflect.ValueOf(n.Value())
	switch {
	case !value.IsValid():
		v.SetZero()
	case !value.Type().AssignableTo(v.Type()):
		d.c.problem(place(n, at), at, fmt.Sprintf("a value of type %s cannot be configured", v.Type()))
		return false
	default:
		v.Set(value)
	}
	return true
}

// clear notes the scalars of a free value that could mean several things.
func (d *decoder) clear(n *Node, at *path) bool {
	ok := true
	if message := n.unclear(); message != "" {
		d.c.problem(n.pos, at, message)
		ok = false
	}
	for _, f := range n.fields {
		ok = d.clear(f.value, at.sub(f.key, f.pos)) && ok
	}
	for i, item := range n.items {
		ok = d.clear(item, at.at(i, item.pos)) && ok
	}
	return ok
}

func (d *decoder) hook(n *Node, v NodeUnmarshaler, at *path) bool {
	err := v.UnmarshalNode(n)
	d.below(n, err, at)
	return err == nil
}

// text decodes a scalar by the type's own method. Of a value that holds a
// variable the error speaks as it is written in the file.
func (d *decoder) text(n *Node, v encoding.TextUnmarshaler, at *path) bool {
	if n.kind != scalarNode || n.isNull() {
		return d.wrong(n, at, textual(v))
	}
	err := v.UnmarshalText([]byte(n.text))
	if err == nil {
		return true
	}
	if n.vars {
		fresh := reflect.New(reflect.TypeOf(v).Elem()).Interface().(encoding.TextUnmarshaler)
		if asWritten := fresh.UnmarshalText([]byte(n.raw)); asWritten != nil {
			err = asWritten
		}
	}
	d.c.problem(place(n, at), at, d.c.hide(n, err.Error()))
	return false
}

// textual says what is written for a value.
func textual(v encoding.TextUnmarshaler) string {
	switch v.(type) {
	case *Duration:
		return "a duration, such as 250ms, 30s, 5m, 6h or 7d"
	case *Size:
		return "a size, such as 512KiB, 64MiB or 10GiB"
	case *Percent:
		return "a percentage, such as 50%"
	case *Start:
		return "how long ago, such as 24h or 7d, a time such as 2026-03-29T02:30:00Z, or beginning"
	default:
		return "text"
	}
}

func (d *decoder) str(n *Node, v reflect.Value, at *path) bool {
	if n.kind != scalarNode || n.isNull() {
		return d.wrong(n, at, "text")
	}
	v.SetString(n.text)
	return true
}

func (d *decoder) boolean(n *Node, v reflect.Value, at *path) bool {
	value, ok := isBoolText(n.text)
	if n.kind != scalarNode || !ok || n.quoted && !n.vars {
		return d.wrong(n, at, "true or false")
	}
	v.SetBool(value)
	return true
}

// number returns the text of a number, or an empty one.
func (n *Node) number() string {
	if n.kind != scalarNode || n.quoted && !n.vars || ambiguousInt.MatchString(n.text) {
		return ""
	}
	number, _ := numberText(n.text)
	return number.String()
}

func (d *decoder) integer(n *Node, v reflect.Value, at *path) bool {
	number, err := strconv.ParseInt(n.number(), 10, v.Type().Bits())
	if err != nil {
		low := int64(math.MinInt64) >> (64 - v.Type().Bits())
		return d.wrong(n, at, wholeNumber(err, strconv.FormatInt(low, 10), strconv.FormatInt(-(low+1), 10)))
	}
	v.SetInt(number)
	return true
}

func (d *decoder) unsigned(n *Node, v reflect.Value, at *path) bool {
	number, err := strconv.ParseUint(n.number(), 10, v.Type().Bits())
	if err != nil {
		high := uint64(math.MaxUint64) >> (64 - v.Type().Bits())
		return d.wrong(n, at, wholeNumber(err, "0", strconv.FormatUint(high, 10)))
	}
	v.SetUint(number)
	return true
}

// wholeNumber says what is expected; the bounds only when they are the reason.
func wholeNumber(err error, low, high string) string {
	if errors.Is(err, strconv.ErrRange) || low == "0" {
		return "a whole number from " + low + " to " + high
	}
	return "a whole number"
}

func (d *decoder) float(n *Node, v reflect.Value, at *path) bool {
	number, err := strconv.ParseFloat(n.number(), v.Type().Bits())
	if err != nil {
		return d.wrong(n, at, "a number")
	}
	v.SetFloat(number)
	return true
}

func (d *decoder) list(n *Node, v reflect.Value, at *path) bool {
	if n.kind != sequenceNode {
		return d.wrong(n, at, "a list")
	}
	out := reflect.MakeSlice(v.Type(), len(n.items), len(n.items))
	ok := true
	for i, item := range n.items {
		ok = d.value(item, out.Index(i), at.at(i, item.pos)) && ok
	}
	v.Set(out)
	return ok
}

func (d *decoder) mapping(n *Node, v reflect.Value, at *path) bool {
	if n.kind != mappingNode {
		return d.wrong(n, at, "a mapping")
	}
	if v.Type().Key().Kind() != reflect.String {
		d.c.problem(place(n, at), at, fmt.Sprintf("a value of type %s cannot be configured", v.Type()))
		return false
	}
	out := reflect.MakeMapWithSize(v.Type(), len(n.fields))
	ok := true
	for _, f := range n.fields {
		element := reflect.New(v.Type().Elem()).Elem()
		ok = d.value(f.value, element, at.sub(f.key, f.pos)) && ok
		out.SetMapIndex(reflect.ValueOf(f.key).Convert(v.Type().Key()), element)
	}
	v.Set(out)
	return ok
}
