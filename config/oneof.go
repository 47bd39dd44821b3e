package config

import (
	"slices"
	"strings"
)

// OneOf refuses a value that is not among those allowed, of which there are two at
// least.
func OneOf[T ~string](key string, found T, allowed ...T) error {
	if slices.Contains(allowed, found) {
		return nil
	}
	names := make([]string, len(allowed))
	for i, a := range allowed {
		names[i] = string(a)
	}
	last := len(names) - 1
	return Invalid(key, "found %q; write %s or %s", found, strings.Join(names[:last], ", "), names[last])
}
