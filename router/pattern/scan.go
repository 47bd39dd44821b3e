package pattern

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

// maxNesting is how deep JSON may be nested; it is that of encoding/json.
const maxNesting = 10_000

// A scanner reads JSON (RFC 8259) once, from its beginning to its end. It finds
// out whether it is valid, as encoding/json does, and makes a tree of what is
// wanted of it. In the tree is what a tree of everything would have there, but
// objects have only the members that are wanted, and values that nobody asks
// for by themselves have no text.
type scanner struct {
	text  string
	at    int
	depth int
	tree  *tree
}

// document reads the whole text, whose value becomes item n of the tree.
func (s *scanner) document(w wanted) (n int32, valid bool) {
	n, valid = s.value(w, "")
	s.space()
	return n, valid && s.at == len(s.text)
}

// peek is the byte that comes next, and 0 at the end.
func (s *scanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

// space skips white space, and returns the byte behind it.
func (s *scanner) space() byte {
	for s.at < len(s.text) {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\r', '\n':
			s.at++
		default:
			return c
		}
	}
	return 0
}

// take skips the byte c, if it comes next.
func (s *scanner) take(c byte) bool {
	if s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// value reads a value into an item with the key.
func (s *scanner) value(w wanted, key string) (n int32, valid bool) {
	c := s.space()
	n = s.tree.grow(item{key: key})
	switch c {
	case '{':
		s.tree.nodes[n].kind = kindObject
		return n, s.members(w, n)
	case '[':
		s.tree.nodes[n].kind = kindArray
		return n, s.items(w, n)
	case '"':
		text, plain, valid := s.string()
		if valid && w.ends() {
			s.tree.scalar(n, kindString, s.decoded(text, plain))
		}
		s.tree.nodes[n].kind = kindString
		return n, valid
	}
	start := s.at
	kind, valid := s.word(c)
	if valid && w.ends() {
		s.tree.scalar(n, kind, s.text[start:s.at])
	}
	s.tree.nodes[n].kind = kind
	return n, valid
}

// members reads an object.
func (s *scanner) members(w wanted, n int32) bool {
	return s.inside('{', '}', func() bool {
		if s.space() != '"' {
			return false
		}
		key, plain, valid := s.string()
		if !valid || s.space() != ':' {
			return false
		}
		s.at++
		return s.member(w, n, s.decoded(key, plain))
	})
}

// member reads the value of a key.
func (s *scanner) member(w wanted, n int32, key string) bool {
	name, inner, found := w.follow(key)
	if found && !inner.none() {
		c, valid := s.value(inner, name)
		if valid {
			s.tree.put(n, c)
		}
		return valid
	}
	if found {
		s.tree.put(n, s.tree.grow(item{kind: kindObject, key: name}))
	}
	return s.skip()
}

// items reads a list.
func (s *scanner) items(w wanted, n int32) bool {
	return s.inside('[', ']', func() bool {
		c, valid := s.value(w, "")
		if valid {
			s.tree.link(n, c)
		}
		return valid
	})
}

// inside reads what stands between two brackets, with commas between.
func (s *scanner) inside(open, end byte, read func() bool) bool {
	if s.depth++; s.depth > maxNesting || !s.take(open) {
		return false
	}
	more := s.space() != end
	for more {
		if !read() {
			return false
		}
		s.space()
		more = s.take(',')
	}
	s.depth--
	return s.take(end)
}

// skip reads a value that nobody wants.
func (s *scanner) skip() bool {
	switch c := s.space(); c {
	case '{':
		return s.inside('{', '}', s.skipMember)
	case '[':
		return s.inside('[', ']', s.skip)
	case '"':
		_, _, valid := s.string()
		return valid
	default:
		_, valid := s.word(c)
		return valid
	}
}

func (s *scanner) skipMember() bool {
	if s.space() != '"' {
		return false
	}
	if _, _, valid := s.string(); !valid || s.space() != ':' {
		return false
	}
	s.at++
	return s.skip()
}

// word reads a number, or true, false or null, which begin with c.
func (s *scanner) word(c byte) (kind, bool) {
	switch c {
	case 't':
		return kindBool, s.literal("true")
	case 'f':
		return kindBool, s.literal("false")
	case 'n':
		return kindNull, s.literal("null")
	default:
		return kindNumber, s.number()
	}
}

func (s *scanner) literal(word string) bool {
	if !strings.HasPrefix(s.text[s.at:], word) {
		return false
	}
	s.at += len(word)
	return true
}

func (s *scanner) number() bool {
	s.take('-')
	if !s.take('0') && !s.digits() {
		return false
	}
	if s.take('.') && !s.digits() {
		return false
	}
	if s.take('e') || s.take('E') {
		if !s.take('+') {
			s.take('-')
		}
		return s.digits()
	}
	return true
}

// digits skips one or more.
func (s *scanner) digits() bool {
	start := s.at
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.at++
	}
	return s.at > start
}

// string reads a string, and returns what stands between the quotes. It is plain
// if it has no escapes.
func (s *scanner) string() (text string, plain, valid bool) {
	start := s.at + 1
	plain = true
	for i := start; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			s.at = i + 1
			return s.text[start:i], plain, true
		case c == '\\':
			length := escapeLength(s.text[i:])
			if length == 0 {
				return "", false, false
			}
			plain = false
			i += length - 1
		case c < ' ':
			return "", false, false
		}
	}
	return "", false, false
}

// escapeLength is how many bytes the escape takes at which text begins, or 0.
func escapeLength(text string) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := codeUnit(text); ok {
			return 6
		}
	}
	return 0
}

// codeUnit reads an escaped code unit, four hexadecimal digits, at the beginning of text.
func codeUnit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return unicode.ReplacementChar, false
	}
	var r rune
	for i := 2; i < 6; i++ {
		digit, ok := hexDigit(text[i])
		if !ok {
			return unicode.ReplacementChar, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// decoded is the text that stands between the quotes of a string; what is not
// valid in it becomes U+FFFD.
func (s *scanner) decoded(text string, plain bool) string {
	if plain && utf8.ValidString(text) {
		return text
	}
	start := len(s.tree.arena)
	s.tree.arena = appendDecoded(s.tree.arena, text)
	return stringOf(s.tree.arena[start:])
}

func appendDecoded(dst []byte, text string) []byte {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == '\\' {
			r, size = decodeEscape(text[i:])
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
	return dst
}

// decodeEscape reads the escape at which text begins; two may make one
// character, and halves of such a pair become U+FFFD.
func decodeEscape(text string) (r rune, size int) {
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, _ = codeUnit(text)
		if !utf16.IsSurrogate(r) {
			return r, 6
		}
		second, _ := codeUnit(text[6:])
		if pair := utf16.DecodeRune(r, second); pair != unicode.ReplacementChar {
			return pair, 12
		}
		return unicode.ReplacementChar, 6
	}
	return rune(text[1]), 2
}

// stringOf is a string of the bytes, without copying them. They must not change
// as long as it is used.
func stringOf(bytes []byte) string { return unsafe.String(unsafe.SliceData(bytes), len(bytes)) }
