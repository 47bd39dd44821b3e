package config

import (
	"strconv"
	"strings"
	"unicode"
)

// excerptWidth is how many characters of a long line are shown.
const excerptWidth = 120

// excerpt returns the part of a line around column, fit for a terminal, and
// how many characters stand before the caret. Tabs become spaces, so that the
// caret stands right.
func excerpt(line string, column int) (text string, caret int) {
	runes := []rune(line)
	at := min(max(column-1, 0), len(runes))
	from, to := 0, len(runes)
	if len(runes) > excerptWidth {
		from = max(0, at-excerptWidth/2)
		to = min(len(runes), from+excerptWidth)
	}
	before, after := printable(string(runes[from:at])), printable(string(runes[at:to]))
	if from > 0 {
		before = "…" + before
	}
	if to < len(runes) {
		after += "…"
	}
	return before + after, columns(before)
}

// printable escapes what a terminal must not be given: control characters, and
// those that are invisible or change the direction of writing.
func printable(text string) string {
	if strings.IndexFunc(text, hidden) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\t':
			b.WriteByte(' ')
		case hidden(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func hidden(r rune) bool { return !unicode.IsPrint(r) }

// columns counts the cells that text takes on a terminal: two for the wide
// characters of East Asian scripts and for emoji, none for combining marks.
func columns(text string) int {
	n := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana), r >= 0x1f300 && r <= 0x1faff, r >= 0xff01 && r <= 0xff60:
			n += 2
		default:
			n++
		}
	}
	return n
}
