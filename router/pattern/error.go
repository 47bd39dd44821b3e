package pattern

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Error says where a pattern is wrong, what was found there, and what would
// be right.
type Error struct {
	path    []any
	offset  int
	line    int
	column  int
	message string
}

// Path is the way to the place: keys as strings and positions in lists as
// ints. It is empty for the pattern as a whole.
func (e *Error) Path() []any { return slices.Clone(e.path) }

// Line and Column are the place in the raw pattern, both from 1; columns count
// bytes. They are 0 for a pattern that was not read from text.
func (e *Error) Line() int { return e.line }

// Column is described at Line.
func (e *Error) Column() int { return e.column }

// Message is the error without its place.
func (e *Error) Message() string { return e.message }

func (e *Error) Error() string {
	var b strings.Builder
	if e.line > 0 {
		fmt.Fprintf(&b, "line %d, column %d: ", e.line, e.column)
	}
	if len(e.path) > 0 {
		b.WriteString(pathString(e.path))
		b.WriteString(": ")
	}
	b.WriteString(e.message)
	return b.String()
}

// locate fills in line and column from the offset in raw.
func (e *Error) locate(raw []byte) {
	before := raw[:min(max(e.offset, 0), len(raw))]
	e.line = bytes.Count(before, []byte{'\n'}) + 1
	e.column = len(before) - bytes.LastIndexByte(before, '\n')
}

// pathString writes a path as people do: data.key[0].prefix.
func pathString(path []any) string {
	var b strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			b.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(keyString(step))
		}
	}
	return b.String()
}

// keyString quotes a key that is not plain.
func keyString(key string) string {
	plain := key != ""
	for _, r := range key {
		plain = plain && (r == '_' || r == '-' || r == '$' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	}
	if plain {
		return key
	}
	return strconv.Quote(key)
}

// suggest returns "; did you mean X?" for the known word nearest to word, when
// one is near.
func suggest(word string, known []string) string {
	best, distance := "", 3
	for _, k := range known {
		if d := editDistance(strings.ToLower(word), k, distance); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// editDistance counts the letters to change, insert, leave out or swap with
// their neighbour, to come from a to b; limit stands for "limit or more".
func editDistance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(a) > 64 {
		return limit
	}
	var before, above, row []int
	for i := range len(a) + 1 {
		before, above = above, row
		row = make([]int, len(b)+1)
		for j := range row {
			switch {
			case i == 0 || j == 0:
				row[j] = i + j
			case a[i-1] == b[j-1]:
				row[j] = above[j-1]
			default:
				row[j] = 1 + min(above[j-1], above[j], row[j-1])
			}
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return min(row[len(b)], limit)
}
