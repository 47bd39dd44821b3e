package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// structure decodes a mapping into a struct by its yaml tags. Keys that the
// struct does not have are problems.
func (d *decoder) structure(n *Node, v reflect.Value, at *path) bool {
	if n.kind != mappingNode {
		return d.wrong(n, at, "a mapping with "+words(fieldNames(v.Type()), "and"))
	}
	fields := map[string]reflect.Value{}
	structFields(v, fields)
	ok := true
	for _, f := range n.fields {
		below := at.sub(f.key, f.pos)
		known, found := fields[f.key]
		if !found {
			d.unknown(f, below, fieldNames(v.Type()))
			ok = false
			continue
		}
		ok = d.value(f.value, known, below) && ok
	}
	return ok
}

// unknown notes a key that has no meaning, and which one it probably is.
func (d *decoder) unknown(f field, at *path, names []string) {
	suggestion := d.c.nearest(f.key, names)
	message := "unknown key"
	if suggestion == "" && len(names) > 0 {
		message += ": there is " + words(names, "and")
	}
	d.c.suggest(f.pos, at.String(), message, suggestion)
}

// structFields finds the settable fields of a struct by their keys, those of
// embedded and inline structs among them.
func structFields(v reflect.Value, into map[string]reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		key, inline := fieldKey(f)
		switch {
		case inline:
			structFields(v.Field(i), into)
		case key != "":
			into[key] = v.Field(i)
		}
	}
}

// fieldNames returns the keys of a struct in the order of its fields.
func fieldNames(t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		key, inline := fieldKey(f)
		switch {
		case inline:
			names = append(names, fieldNames(f.Type)...)
		case key != "":
			names = append(names, key)
		}
	}
	return names
}

// fieldKey returns the key of a field, or an empty one when it has none, and
// whether its own fields stand in its place.
func fieldKey(f reflect.StructField) (key string, inline bool) {
	name, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	structure := f.Type.Kind() == reflect.Struct
	switch {
	case name == "-":
		return "", false
	case structure && (slices.Contains(strings.Split(options, ","), "inline") || f.Anonymous && name == ""):
		return "", true
	case !f.IsExported():
		return "", false
	case name == "":
		return strings.ToLower(f.Name), false
	default:
		return name, false
	}
}

// words lists words as a sentence has them; many are cut off.
func words(all []string, last string) string {
	const most = 12
	if len(all) > most {
		return strings.Join(all[:most], ", ") + ", …"
	}
	if len(all) < 2 {
		return strings.Join(all, "")
	}
	return strings.Join(all[:len(all)-1], ", ") + " " + last + " " + all[len(all)-1]
}

// section decodes a section and has it validated. Of a section that has been
// decoded with problems only those are added that concern other keys.
func (d *decoder) section(n *Node, section Section, at *path) {
	v := reflect.ValueOf(section)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		d.c.problem(place(n, at), at, fmt.Sprintf("a section of type %T cannot be configured", section))
		return
	}
	clean := d.value(n, v.Elem(), at)
	if located, ok := section.(interface{ Locate(dir string) }); ok {
		located.Locate(d.dir)
	}
	if checked, ok := section.(interface{ Validate() error }); ok {
		known := d.c.problems
		eachError(checked.Validate(), func(err error) {
			if clean || !explained(err, known, at) {
				d.one(n, err, at)
			}
		})
	}
}

// explained tells whether what err says of a key follows from the known
// problems: of the same key, of one below or above, or of one that was
// probably meant to be it.
func explained(err error, known []*Problem, at *path) bool {
	var problem *Problem
	if !errors.As(err, &problem) || problem.Key == "" {
		return true
	}
	key := joinKey(at.String(), problem.Key)
	for _, other := range known {
		meant := other.Key
		if other.Suggestion != "" {
			meant = joinKey(parentKey(other.Key), other.Suggestion)
		}
		if under(key, meant) || under(meant, key) {
			return true
		}
	}
	return false
}

// under tells whether key is base or below it.
func under(key, base string) bool {
	rest, ok := strings.CutPrefix(key, base)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

func parentKey(key string) string { return key[:max(0, strings.LastIndexByte(key, '.'))] }

func joinKey(above, key string) string {
	switch {
	case above == "":
		return key
	case key == "" || key[0] == '[':
		return above + key
	default:
		return above + "." + key
	}
}

// below notes what is wrong below a node, each at the place of its key.
func (d *decoder) below(n *Node, err error, at *path) {
	eachError(err, func(err error) { d.one(n, err, at) })
}

func (d *decoder) one(n *Node, err error, at *path) {
	var problem *Problem
	if !errors.As(err, &problem) {
		problem = &Problem{Message: err.Error()}
	}
	pos, found := n.atKey(problem.Key, at.pos)
	d.c.suggest(pos, joinKey(at.String(), printable(problem.Key)), d.c.hide(found, problem.Message), problem.Suggestion)
}
