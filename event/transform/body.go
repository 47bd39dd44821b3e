package transform

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// A body is a value whose texts are templates.
type body struct {
	template *Template // of a text with an expression in it
	path     []any     // of the template
	constant any       // what has no expression in it
	items    []*body
	fields   map[string]*body
}

// newBody reads a value of the file. Values without an expression are kept as
// they are.
func newBody(value any, path []any) (*body, error) {
	switch value := value.(type) {
	case string:
		if !IsTemplate(value) {
			return &body{constant: value}, nil
		}
		t, err := ParseTemplate(value)
		if err != nil {
			return nil, &ConfigError{path: path, message: err.Error()}
		}
		return &body{template: t, path: path}, nil
	case []any:
		return newList(value, path)
	case map[string]any:
		return newObject(value, path)
	}
	return &body{constant: value}, nil
}

func newList(list []any, path []any) (*body, error) {
	b := &body{items: make([]*body, len(list))}
	var all []error
	for i := range list {
		var err error
		b.items[i], err = newBody(list[i], append(slices.Clone(path), i))
		all = append(all, err)
	}
	return b, errors.Join(all...)
}

func newObject(object map[string]any, path []any) (*body, error) {
	b := &body{fields: make(map[string]*body, len(object))}
	var all []error
	for _, key := range slices.Sorted(maps.Keys(object)) {
		below := append(slices.Clone(path), key)
		if IsTemplate(key) {
			all = append(all, &ConfigError{path: below, message: "a key is no template: write it out, or make the object with jq, as in {data: '{(.data.name): 1}'}"})
			continue
		}
		var err error
		b.fields[key], err = newBody(object[key], below)
		all = append(all, err)
	}
	return b, errors.Join(all...)
}

// fill returns the value with its templates filled.
func (b *body) fill(ctx context.Context, in *Input) (any, error) {
	switch {
	case b.template != nil:
		v, err := b.template.Value(ctx, in)
		if err != nil && ctx.Err() == nil {
			err = fmt.Errorf("%s: %w", pathText(b.path), err)
		}
		return v, err
	case b.fields != nil:
		object := make(map[string]any, len(b.fields))
		for key, field := range b.fields {
			v, err := field.fill(ctx, in)
			if err != nil {
				return nil, err
			}
			object[key] = v
		}
		return object, nil
	case b.items != nil:
		list := make([]any, len(b.items))
		for i, item := range b.items {
			v, err := item.fill(ctx, in)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	}
	return b.constant, nil
}
