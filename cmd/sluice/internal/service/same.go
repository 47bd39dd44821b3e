package service

import (
	"encoding"
	"reflect"

	"sluice/config"
)

// sameSection tells whether two sections of the file say the same. Only what
// stands in the file counts: exported fields, secrets by their text, and other
// values that are written as text by that.
func sameSection(a, b any) bool { return sameValue(reflect.ValueOf(a), reflect.ValueOf(b)) }

func sameValue(a, b reflect.Value) bool {
	if !a.IsValid() || !b.IsValid() {
		return a.IsValid() == b.IsValid()
	}
	if a.Type() != b.Type() {
		return false
	}
	if same, known := sameText(a, b); known {
		return same
	}
	switch a.Kind() {
	case reflect.Pointer, reflect.Interface:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return sameValue(a.Elem(), b.Elem())
	case reflect.Struct:
		return sameFields(a, b)
	case reflect.Slice, reflect.Array:
		return sameItems(a, b)
	case reflect.Map:
		return sameEntries(a, b)
	case reflect.Func, reflect.Chan:
		return true // not from the file
	default:
		return a.Equal(b)
	}
}

// sameText compares what is written as text.
func sameText(a, b reflect.Value) (same, known bool) {
	if !a.CanInterface() {
		return false, false
	}
	switch left := a.Interface().(type) {
	case config.Secret:
		return left.Reveal() == b.Interface().(config.Secret).Reveal(), true
	case encoding.TextMarshaler:
		if a.Kind() == reflect.Pointer && (a.IsNil() || b.IsNil()) {
			return a.IsNil() == b.IsNil(), true
		}
		x, errX := left.MarshalText()
		y, errY := b.Interface().(encoding.TextMarshaler).MarshalText()
		return errX == nil && errY == nil && string(x) == string(y), true
	}
	return false, false
}

func sameFields(a, b reflect.Value) bool {
	for i := range a.NumField() {
		if a.Type().Field(i).IsExported() && !sameValue(a.Field(i), b.Field(i)) {
			return false
		}
	}
	return true
}

func sameItems(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for i := range a.Len() {
		if !sameValue(a.Index(i), b.Index(i)) {
			return false
		}
	}
	return true
}

func sameEntries(a, b reflect.Value) bool {
	if a.Len() != b.Len() {
		return false
	}
	for _, key := range a.MapKeys() {
		if !sameValue(a.MapIndex(key), b.MapIndex(key)) {
			return false
		}
	}
	return true
}
