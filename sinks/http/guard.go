package http

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"sluice/config"
)

// An Egress says how far a sink's connections may go.
type Egress string

// The egress policies. Link-local addresses and the metadata services of
// clouds are refused by each of them.
const (
	// EgressAny allows private addresses: the operator writes the addresses.
	EgressAny Egress = "any"
	// EgressPublic allows addresses of the public internet only.
	EgressPublic Egress = "public"
)

// Validate takes an empty one, which is the installation's.
func (e Egress) Validate() error {
	if e == "" {
		return nil
	}
	return config.OneOf("egress", e, EgressAny, EgressPublic)
}

// Guard returns the guard of the policy, or of the whole installation's when it is
// empty.
func (e Egress) Guard(installation string) Guard {
	return NewGuard(cmp.Or(e, Egress(installation), EgressAny))
}

// A RefusedError says that a Guard has refused to connect to an address.
type RefusedError struct {
	Addr netip.Addr
	// Reason is what the address is, such as "a loopback address".
	Reason string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("refused to connect to %s: it is %s", e.Addr, e.Reason)
}

// A Guard checks the addresses that a connection is opened to. It stands
// behind name resolution, at the moment of dialing: a name that resolves to
// something else the next time is checked again.
//
// The zero Guard is that of EgressAny.
type Guard struct{ public bool }

// NewGuard returns the guard of a policy. Anything but EgressAny is taken for
// EgressPublic, the stricter one.
func NewGuard(policy Egress) Guard { return Guard{public: policy != EgressAny} }

// Dialer returns a dialer that asks the guard about each address it tries.
// Timeout bounds one dial; 0 is no bound beside the context's.
func (g Guard) Dialer(timeout time.Duration) *net.Dialer {
	return &net.Dialer{Timeout: timeout, KeepAlive: 30 * time.Second, Control: g.Control}
}

// Control is for net.Dialer.Control. It is given the resolved address.
func (g Guard) Control(_, address string, _ syscall.RawConn) error {
	resolved, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("refused to connect to %q: it is no IP address with a port", address)
	}
	return g.Check(resolved.Addr())
}

// Check returns a *RefusedError when the guard does not allow addr.
func (g Guard) Check(addr netip.Addr) error {
	bare := addr.WithZone("")
	for _, meant := range [...]netip.Addr{bare, embedded(bare)} {
		if reason := reasonIn(never, meant); reason != "" {
			return &RefusedError{Addr: addr, Reason: reason}
		}
	}
	if !g.public {
		return nil
	}
	if reason := reasonIn(notPublic, bare); reason != "" {
		return &RefusedError{Addr: addr, Reason: reason + ", and egress is public"}
	}
	return nil
}

// A reserved is a block of addresses with a meaning of its own.
type reserved struct {
	prefix netip.Prefix
	reason string
}

func block(prefix, reason string) reserved {
	return reserved{prefix: netip.MustParsePrefix(prefix), reason: reason}
}

func reasonIn(blocks []reserved, addr netip.Addr) string {
	for _, b := range blocks {
		if b.prefix.Contains(addr) {
			return b.reason
		}
	}
	return ""
}

// The addresses that no policy allows: what answers there hands out
// credentials to whoever asks from the machine.
var never = []reserved{
	block("169.254.0.0/16", "a link-local address, where clouds keep their metadata"),
	block("fe80::/10", "a link-local address"),
	block("224.0.0.0/24", "a link-local multicast address"),
	block("ff02::/16", "a link-local multicast address"),
	block("fd00:ec2::254/128", "a cloud's metadata service"),
	block("fd20:ce::254/128", "a cloud's metadata service"),
	block("100.100.100.200/32", "a cloud's metadata service"),
	block("168.63.129.16/32", "a cloud's metadata service"),
	block("192.0.0.192/32", "a cloud's metadata service"),
}

// The addresses that EgressPublic refuses beside them: IANA's special-purpose
// registries for IPv4 and IPv6 (RFC 6890 and its updates), and every form of
// IPv6 address that carries an IPv4 address.
var notPublic = []reserved{
	block("0.0.0.0/8", "an address of this host"),
	block("10.0.0.0/8", "a private address"),
	block("100.64.0.0/10", "a carrier-grade NAT address"),
	block("127.0.0.0/8", "a loopback address"),
	block("172.16.0.0/12", "a private address"),
	block("192.0.0.0/24", "a reserved address"),
	block("192.0.2.0/24", "a documentation address"),
	block("192.88.99.0/24", "a 6to4 relay address"),
	block("192.168.0.0/16", "a private address"),
	block("198.18.0.0/15", "a benchmarking address"),
	block("198.51.100.0/24", "a documentation address"),
	block("203.0.113.0/24", "a documentation address"),
	block("224.0.0.0/4", "a multicast address"),
	block("240.0.0.0/4", "a reserved address"),
	block("::/128", "an address of this host"),
	block("::1/128", "a loopback address"),
	block("::/96", "an IPv4-compatible address"),
	block("::ffff:0:0:0/96", "an IPv4-translated address"),
	block("64:ff9b::/96", "a NAT64 address"),
	block("64:ff9b:1::/48", "a NAT64 address"),
	block("100::/64", "a discard address"),
	block("2001::/32", "a Teredo address"),
	block("2001:db8::/32", "a documentation address"),
	block("2001::/23", "a reserved address"),
	block("2002::/16", "a 6to4 address"),
	block("3fff::/20", "a documentation address"),
	block("5f00::/16", "a segment routing address"),
	block("fc00::/7", "a unique local address"),
	block("fec0::/10", "a site-local address"),
	block("ff00::/8", "a multicast address"),
	mapped,
}

// The text form of this block would be read as one of IPv4.
var mapped = reserved{
	prefix: netip.PrefixFrom(netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff}), 96),
	reason: "an IPv4-mapped address",
}

// The forms of IPv6 address that carry an IPv4 address, and where.
var carriers = []struct {
	prefix netip.Prefix
	offset int
	invert byte
}{
	{netip.MustParsePrefix("::/96"), 12, 0},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), 12, 0},
	{netip.MustParsePrefix("64:ff9b::/96"), 12, 0},
	{netip.MustParsePrefix("2001::/32"), 12, 0xff}, // RFC 4380, section 4
	{netip.MustParsePrefix("2002::/16"), 2, 0},     // RFC 3056, section 2
}

// embedded returns the IPv4 address that addr carries, or addr.
func embedded(addr netip.Addr) netip.Addr {
	if addr.Is4In6() {
		return addr.Unmap()
	}
	for _, c := range carriers {
		if !c.prefix.Contains(addr) {
			continue
		}
		whole := addr.As16()
		var v4 [4]byte
		for i := range v4 {
			v4[i] = whole[c.offset+i] ^ c.invert
		}
		return netip.AddrFrom4(v4)
	}
	return addr
}
