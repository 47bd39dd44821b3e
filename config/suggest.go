package config

import (
	"slices"
	"strings"
)

// nearest returns the candidate that word was probably meant to be, or an
// empty text. Of several that are equally near it is the first by the alphabet.
func nearest(word string, candidates []string) string {
	const longest = 64
	if len(word) > longest {
		return ""
	}
	best, bestDistance := "", max(1, len(word)/3)+1
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		if len(candidate) > longest || candidate == word {
			continue
		}
		if len(word) > 3 && (strings.HasPrefix(candidate, word) || strings.HasPrefix(word, candidate) && len(candidate) > 3) {
			best, bestDistance = candidate, min(bestDistance, 1)
		}
		if d := distance(fold(word), fold(candidate)); d < min(bestDistance, len(candidate)) {
			best, bestDistance = candidate, d
		}
	}
	return best
}

// fold removes what people write in different ways: maxAge, max-age, max_age.
func fold(word string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(word))
}

// distance counts the letters to insert, remove, replace or swap with their
// neighbour (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
