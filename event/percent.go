package event

import (
	"strings"
	"unicode/utf8"
)

// encodeValue makes a header value of an attribute's string form: HTTP binding
// 1.0.2, section 3.1.3.2. It returns value itself when nothing needs encoding.
func encodeValue(value string) string {
	escapes := 0
	for i := range len(value) {
		if needsEscape(value[i]) {
			escapes++
		}
	}
	if escapes == 0 {
		return value
	}
	const digits = "0123456789ABCDEF"
	encoded := make([]byte, 0, len(value)+2*escapes)
	for i := range len(value) {
		c := value[i]
		if needsEscape(c) {
			encoded = append(encoded, '%', digits[c>>4], digits[c&15])
		} else {
			encoded = append(encoded, c)
		}
	}
	return string(encoded)
}

func needsEscape(c byte) bool {
	return c <= ' ' || c > '~' || c == '"' || c == '%'
}

// decodeValue is the way back: it takes away double quotes, as older senders
// use them, and decodes percent escapes once. Bytes beyond ASCII are taken as
// they are when they are UTF-8, since some senders do not escape them.
func decodeValue(name, value string) (string, error) {
	if len(value) > 0 && value[0] == '"' {
		plain, err := unquote(name, value)
		if err != nil {
			return "", err
		}
		value = plain
	}
	if strings.IndexByte(value, '%') >= 0 {
		plain, err := unescape(name, value)
		if err != nil {
			return "", err
		}
		value = plain
	}
	if !utf8.ValidString(value) {
		return "", invalid(name, "%s is not UTF-8", quoted(value))
	}
	return value, nil
}

// unquote reads a quoted-string, RFC 7230, section 3.2.6.
func unquote(name, value string) (string, error) {
	plain := make([]byte, 0, len(value))
	for i := 1; i < len(value); i++ {
		switch c := value[i]; {
		case c == '"' && i == len(value)-1:
			return string(plain), nil
		case c == '"':
			return "", invalid(name, "%s has text after the closing double quote", quoted(value))
		case c == '\\' && i+1 < len(value):
			i++
			plain = append(plain, value[i])
		default:
			plain = append(plain, c)
		}
	}
	return "", invalid(name, "%s lacks the closing double quote", quoted(value))
}

func unescape(name, value string) (string, error) {
	plain := make([]byte, 0, len(value))
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			plain = append(plain, value[i])
			continue
		}
		if i+2 >= len(value) || !isHex(value[i+1]) || !isHex(value[i+2]) {
			return "", invalid(name, "%s: the percent sign at byte %d begins no escape: write %%25 for the sign itself", quoted(value), i)
		}
		plain = append(plain, hexValue(value[i+1])<<4|hexValue(value[i+2]))
		i += 2
	}
	return string(plain), nil
}

func hexValue(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
