package admin

import (
	"fmt"
	"slices"
	"strings"
)

// UnknownName says that there is no such thing, and which there are: the one
// that was probably meant, or all when they are few.
func UnknownName(thing, name string, known []string) string {
	message := fmt.Sprintf("there is no %s %q", thing, name)
	known = slices.Sorted(slices.Values(known))
	best := Nearest(name, known)
	const few = 10
	switch {
	case best != "":
		return fmt.Sprintf("%s: did you mean %q?", message, best)
	case len(known) == 0:
		return message + ": there is none"
	case len(known) <= few:
		return fmt.Sprintf("%s: there is %s", message, strings.Join(known, ", "))
	}
	return message
}

// Nearest returns the one of the words that name was probably meant to be, or
// an empty text.
func Nearest(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)
	for _, candidate := range known {
		if d := editDistance(name, candidate); d <= distance && len(name) <= 128 {
			best, distance = candidate, d-1
		}
	}
	return best
}

// editDistance counts the letters to insert, remove or replace.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
