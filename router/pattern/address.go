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
	address, err := netip.ParseAddr(text)
	return address.Unmap(), err == nil
}

func parseIPv4(text string) (netip.Addr, bool) {
	var octets [4]byte
	for i := range octets {
		part, rest, found := strings.Cut(text, ".")
		if found != (i < 3) {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part[0] == '+' {
			return netip.Addr{}, false
		}
		octets[i], text = byte(n), rest
	}
	return netip.AddrFrom4(octets), true
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
