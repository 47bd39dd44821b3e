package event

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// checkURIReference tells whether value is a URI-reference by RFC 3986,
// section 4.1. Package net/url takes much that is none, such as spaces.
func checkURIReference(name, value string) error {
	if at := firstIllegal(value); at >= 0 {
		r, _ := utf8.DecodeRuneInString(value[at:])
		return invalid(name, "%s is not a URI reference: %q at byte %d must be percent-encoded", quoted(value), r, at)
	}
	if _, err := url.Parse(value); err != nil {
		return invalid(name, "%s is not a URI reference: %v", quoted(value), parseReason(err))
	}
	return nil
}

// checkURI tells whether value is an absolute URI. RFC 3986, section 4.3 knows
// no fragment there; one is let through, since schemas are named with it.
func checkURI(name, value string) error {
	if err := checkURIReference(name, value); err != nil {
		return err
	}
	if parsed, err := url.Parse(value); err != nil || !parsed.IsAbs() {
		return invalid(name, "%s is not an absolute URI: write one with its scheme, such as https://example.com/schema", quoted(value))
	}
	return nil
}

// parseReason leaves out of net/url's error what the message says anyway.
func parseReason(err error) error {
	if parse, ok := err.(*url.Error); ok { //nolint:errorlint // url.Parse documents this very type.
		return parse.Err
	}
	return err
}

// firstIllegal returns the place of the first byte that no URI-reference has
// there, or -1.
func firstIllegal(value string) int {
	authority := authorityEnd(value)
	fragment := strings.IndexByte(value, '#')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '%':
			if i+2 >= len(value) || !isHex(value[i+1]) || !isHex(value[i+2]) {
				return i
			}
		case c == '[' || c == ']':
			if i >= authority {
				return i
			}
		case c == '#':
			if i != fragment {
				return i
			}
		case !isURIByte(c):
			return i
		}
	}
	return -1
}

// authorityEnd returns where the authority ends, or 0 when there is none.
func authorityEnd(value string) int {
	slashes := strings.Index(value, "//")
	if slashes < 0 || strings.ContainsAny(value[:slashes], "/?#") {
		return 0
	}
	if end := strings.IndexAny(value[slashes+2:], "/?#"); end >= 0 {
		return slashes + 2 + end
	}
	return len(value)
}

func isURIByte(c byte) bool {
	switch {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		return true
	}
	return strings.IndexByte("-._~:/?@!$&'()*+,;=", c) >= 0
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' || c >= 'A' && c <= 'F'
}
