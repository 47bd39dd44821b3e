package event

import (
	"encoding/json"
	"errors"
	"unicode/utf8"
)

// checkSyntax tells whether text is one JSON value in UTF-8. The functions
// below rely on it.
func checkSyntax(text []byte) error {
	if !utf8.Valid(text) {
		return invalid("", "the JSON is not UTF-8")
	}
	var raw json.RawMessage
	err := json.Unmarshal(text, &raw)
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return invalid("", "not JSON: %v at byte %d", syntax, syntax.Offset)
	}
	return err
}

// A scanner walks over text that is known to be valid JSON.
type scanner struct {
	text []byte
	at   int
}

// skip moves past white space, commas and colons, and returns the byte there,
// or 0 at the end.
func (s *scanner) skip() byte {
	for ; s.at < len(s.text); s.at++ {
		switch c := s.text[s.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// value returns the next value as it stands and moves past it.
func (s *scanner) value() []byte {
	first := s.skip()
	start := s.at
	switch first {
	case '"':
		s.passString()
	case '{', '[':
		s.passNested()
	default:
		s.passWord()
	}
	return s.text[start:s.at]
}

func (s *scanner) passString() {
	for s.at++; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
}

func (s *scanner) passNested() {
	depth := 0
	for s.at < len(s.text) {
		switch s.text[s.at] {
		case '"':
			s.passString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		s.at++
		if depth == 0 {
			return
		}
	}
}

func (s *scanner) passWord() {
	for ; s.at < len(s.text); s.at++ {
		switch s.text[s.at] {
		case ' ', '\t', '\n', '\r', ',', '}', ']':
			return
		}
	}
}

// members calls yield with every member of a JSON object.
func members(object []byte, yield func(name string, value []byte) error) error {
	s := scanner{text: object, at: 1}
	for s.skip() == '"' {
		name, err := text(s.value())
		if err != nil {
			return invalid("", "the name of a member: %v", err)
		}
		if err := yield(name, s.value()); err != nil {
			return err
		}
	}
	return nil
}

// elements calls yield with every element of a JSON array.
func elements(array []byte, yield func(index int, value []byte) error) error {
	s := scanner{text: array, at: 1}
	for i := 0; ; i++ {
		if next := s.skip(); next == ']' || next == 0 {
			return nil
		}
		if err := yield(i, s.value()); err != nil {
			return err
		}
	}
}

var errSurrogate = errors.New("half of a surrogate pair stands alone")

// text returns what a JSON string says. Package encoding/json puts U+FFFD in
// the place of half a surrogate pair; CloudEvents forbids it, section 3.2.
func text(raw []byte) (string, error) {
	inner := raw[1 : len(raw)-1]
	escaped := false
	for i := 0; i < len(inner); i++ {
		if inner[i] != '\\' {
			continue
		}
		escaped = true
		if inner[i+1] == 'u' && loneSurrogate(inner, &i) {
			return "", errSurrogate
		}
		i++
	}
	if !escaped {
		return string(inner), nil
	}
	var plain string
	err := json.Unmarshal(raw, &plain)
	return plain, err
}

// loneSurrogate tells whether the \u escape at *at is half a pair on its own.
// It moves *at to the second escape of a pair.
func loneSurrogate(inner []byte, at *int) bool {
	switch unit := hexUnit(inner[*at+2:]); {
	case unit < 0xd800 || unit > 0xdfff:
		return false
	case unit >= 0xdc00:
		return true
	}
	rest := inner[*at+6:]
	if len(rest) < 6 || rest[0] != '\\' || rest[1] != 'u' {
		return true
	}
	*at += 6
	low := hexUnit(rest[2:])
	return low < 0xdc00 || low > 0xdfff
}

func hexUnit(digits []byte) (unit int) {
	for _, c := range digits[:4] {
		unit = unit<<4 | int(hexValue(c))
	}
	return unit
}

// kind names the type of a JSON value, for messages.
func kind(raw []byte) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "a boolean"
	case 'n':
		return "null"
	}
	return "a number"
}
