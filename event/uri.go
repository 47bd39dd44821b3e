package event

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// checkURIReference tells whether value is a URI-reference by RFC 3986,
// section 4.1. Package net/url is no help: it takes much that is none, such as
// spaces, and refuses some that are, such as %00 in a host.
func checkURIReference(name, value string) error {
	if at := firstIllegal(value); at >= 0 {
		r, _ := utf8.DecodeRuneInString(value[at:])
		return invalid(name, "%s is not a URI reference: %q at byte %d must be percent-encoded", quoted(value), r, at)
	}
	if scheme, found := schemeOf(value); found && !isScheme(scheme) {
		return invalid(name, "%s is not a URI reference: %s before the colon is no scheme; "+
			"a relative reference with a colon in front begins with ./", quoted(value), quoted(scheme))
	}
	start, end := authority(value)
	if !isAuthority(value[start:end]) {
		return invalid(name, "%s is not a URI reference: %s is no host with or without a port", quoted(value), quoted(value[start:end]))
	}
	return nil
}

// checkURI tells whether value is an absolute URI. RFC 3986, section 4.3 knows
// no fragment there; one is let through, since schemas are named with it.
func checkURI(name, value string) error {
	if err := checkURIReference(name, value); err != nil {
		return err
	}
	if _, found := schemeOf(value); !found {
		return invalid(name, "%s is not an absolute URI: write one with its scheme, such as https://example.com/schema", quoted(value))
	}
	return nil
}

// firstIllegal returns the place of the first byte that no URI-reference has
// there, or -1.
func firstIllegal(value string) int {
	_, authorityEnd := authority(value)
	fragment := strings.IndexByte(value, '#')
	for i := range len(value) {
		switch c := value[i]; {
		case c == '%':
			if i+2 >= len(value) || !isHex(value[i+1]) || !isHex(value[i+2]) {
				return i
			}
		case c == '[' || c == ']':
			if i >= authorityEnd {
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

// schemeOf returns what stands before the first colon of a URI, if one comes
// before the path's second segment.
func schemeOf(value string) (scheme string, found bool) {
	if end := strings.IndexAny(value, ":/?#"); end >= 0 && value[end] == ':' {
		return value[:end], true
	}
	return "", false
}

func isScheme(scheme string) bool {
	for i := range len(scheme) {
		c := scheme[i]
		isLetter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !isLetter && (i == 0 || (c < '0' || c > '9') && c != '+' && c != '-' && c != '.') {
			return false
		}
	}
	return scheme != ""
}

// authority returns where the authority begins and ends: an empty range where
// there is none.
func authority(value string) (start, end int) {
	slashes := strings.Index(value, "//")
	if slashes < 0 || strings.ContainsAny(value[:slashes], "/?#") {
		return 0, 0
	}
	start = slashes + 2
	if length := strings.IndexAny(value[start:], "/?#"); length >= 0 {
		return start, start + length
	}
	return start, len(value)
}

// isAuthority checks the form of RFC 3986, section 3.2, whose characters are
// known to be legal: [userinfo@]host[:port].
func isAuthority(value string) bool {
	host := value[strings.LastIndexByte(value, '@')+1:]
	user := strings.TrimSuffix(value[:len(value)-len(host)], "@")
	var rest string
	if strings.HasPrefix(host, "[") {
		literal, after, closed := strings.Cut(host[1:], "]")
		if !closed || !isIPLiteral(literal) || after != "" && after[0] != ':' {
			return false
		}
		host, rest = "", strings.TrimPrefix(after, ":")
	} else {
		host, rest, _ = strings.Cut(host, ":")
	}
	return !strings.ContainsAny(user, "@[]") && !strings.ContainsAny(host, "[]") && strings.Trim(rest, "0123456789") == ""
}

func isIPLiteral(literal string) bool {
	if strings.HasPrefix(literal, "v") { // an address of a later version
		return true
	}
	address, err := netip.ParseAddr(literal)
	return err == nil && address.Is6() && address.Zone() == ""
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
