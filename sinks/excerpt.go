package sinks

import (
	"strconv"
	"unicode/utf8"
)

// ExcerptBytes is how much of a foreign text an error quotes.
const ExcerptBytes = 256

// Excerpt quotes the beginning of a foreign text.
func Excerpt(text []byte) string {
	if len(text) <= ExcerptBytes {
		return strconv.Quote(string(text))
	}
	cut := ExcerptBytes
	for cut > ExcerptBytes-utf8.UTFMax && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return strconv.Quote(string(text[:cut])) + "…"
}
