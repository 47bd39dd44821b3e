package pattern

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// parseAddress reads an IP address as the reference does: four decimal numbers,
// zeros in front allowed, or hexadecimal groups with colons. Forms that mix
// both, and zones, are ordinary texts.
func parseAddress(text string) (netip.Addr, bool) {
	if len(text) < 2 || len(text) > 64 {
		return netip.Addr{}, false
	}
	colon := false
	for i := range len(text) {
		switch c := text[i]; {
		case c == '.':
			return parseIPv4(text)
		case c == ':':
			colon = true
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return netip.Addr{}, false
		}
	}
	if !colon {
		return netip.Addr{}, false
	}
	return parseIPv6(text)
}

func parseIPv4(text string) (netip.Addr, bool) {
	var octets [4]byte
	for i := range octets {
		part, rest, found := strings.Cut(text, ".")
		n, ok := parseOctet(part)
		if found != (i < 3) || !ok {
			return netip.Addr{}, false
		}
		octets[i], text = n, rest
	}
	return netip.AddrFrom4(octets), true
}

func parseOctet(text string) (byte, bool) {
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false
		}
		if n = 10*n + int(text[i]-'0'); n > 255 {
			return 0, false
		}
	}
	return byte(n), text != ""
}

// parseIPv6 reads groups of hexadecimal digits, as netip.ParseAddr does, but
// makes no garbage of texts that are none.
func parseIPv6(text string) (netip.Addr, bool) {
	var groups, behind []byte // before and behind the gap
	var all [32]byte
	groups, gap := all[:0:16], strings.HasPrefix(text, "::")
	if gap {
		text, behind = text[2:], all[16:16]
	}
	for text != "" {
		high, low, rest, ok := parseGroup(text)
		if !ok || len(groups)+len(behind) == 16 || rest == ":" {
			return netip.Addr{}, false
		}
		if gap {
			behind = append(behind, high, low)
		} else {
			groups = append(groups, high, low)
		}
		text = strings.TrimPrefix(rest, ":")
		if strings.HasPrefix(text, ":") {
			if gap {
				return netip.Addr{}, false
			}
			text, gap, behind = text[1:], true, all[16:16]
		}
	}
	if gap == (len(groups)+len(behind) == 16) {
		return netip.Addr{}, false
	}
	var bytes [16]byte
	copy(bytes[:], groups)
	copy(bytes[16-len(behind):], behind)
	return netip.AddrFrom16(bytes).Unmap(), true
}

// parseGroup reads one to four hexadecimal digits, which end with the text or a
// colon.
func parseGroup(text string) (high, low byte, rest string, ok bool) {
	n := 0
	i := 0
	for ; i < len(text) && text[i] != ':'; i++ {
		digit, isHex := hexDigit(text[i])
		if !isHex || i == 4 {
			return 0, 0, "", false
		}
		n = n<<4 | int(digit)
	}
	return byte(n >> 8), byte(n), text[i:], i > 0
}

// parseCIDR reads an address block. The error says what would be right.
func parseCIDR(text string) (netip.Prefix, error) {
	host, mask, found := strings.Cut(text, "/")
	if !found || mask == "" || strings.Contains(mask, "/") {
		return netip.Prefix{}, fmt.Errorf("%q is not a CIDR block: write an address, one slash and the bits of the mask, such as 10.0.0.0/8", shorten(text))
	}
	bits, err := strconv.ParseInt(mask, 10, 32)
	if err != nil || bits < 0 {
		return netip.Prefix{}, fmt.Errorf("the mask %q is not a number of bits, such as the 8 in 10.0.0.0/8", shorten(mask))
	}
	address, ok := parseAddress(host)
	if !ok {
		return netip.Prefix{}, fmt.Errorf("%q is not an IPv4 or IPv6 address", shorten(host))
	}
	if int(bits) >= address.BitLen() {
		return netip.Prefix{}, fmt.Errorf("the mask /%d is too long: it must be below /%d; to match one address, write it as a plain value: %q", bits, address.BitLen(), address)
	}
	return netip.PrefixFrom(address, int(bits)).Masked(), nil
}
