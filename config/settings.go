package config

import (
	"errors"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	namePattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,63}$`)
	prefixPattern = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,31}$`)
	notInName     = regexp.MustCompile(`[^a-z0-9_-]+`)
)

func validName(name string) bool { return namePattern.MatchString(name) }

// nameLike returns a valid name that resembles text, or an empty one.
func nameLike(text string) string {
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-_")
	if !validName(name) {
		return ""
	}
	return name
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Validate checks the bus.
func (b *Bus) Validate() error {
	return errors.Join(b.validateStore(), b.validateLimits())
}

func (b *Bus) validateStore() error {
	var all []error
	if b.Dir != "" && b.URL != "" {
		all = append(all, Invalid("url", "the bus is embedded (dir) or elsewhere (url), not both: remove one"))
	}
	all = append(all, b.Auth.Validate(), b.Placement.validate())
	if b.URL == "" {
		all = append(all, b.remote()...)
	} else {
		_, err := b.TLS.Load()
		all = append(all, ValidateNATS("url", b.URL, &b.Auth), err)
	}
	switch {
	case b.Replicas != 1 && b.Replicas != 3 && b.Replicas != 5:
		all = append(all, Invalid("replicas", "expected 1, 3 or 5, found %d", b.Replicas))
	case b.Replicas != 1 && b.URL == "":
		all = append(all, Invalid("replicas", "an embedded bus has one copy: remove this, or set url to a cluster"))
	}
	if !prefixPattern.MatchString(b.Prefix) {
		all = append(all, Invalid("prefix", "expected at most 32 of a-z, 0-9, - and _, a letter first, found %q", b.Prefix))
	}
	return errors.Join(all...)
}

func (b *Bus) validateLimits() error {
	var all []error
	if b.MaxEvent < 1<<10 || b.MaxEvent > 64<<20 {
		all = append(all, Invalid("max_event", "expected 1KiB to 64MiB, found %s", b.MaxEvent))
	}
	if b.MaxBytes < 16<<20 {
		all = append(all, Invalid("max_bytes", "expected at least 16MiB, found %s", b.MaxBytes))
	}
	if b.MaxLarge < 4*b.MaxEvent || b.MaxLarge < 16<<20 {
		all = append(all, Invalid("max_large", "expected at least 16MiB, and four times max_event (%s), found %s", b.MaxEvent, b.MaxLarge))
	}
	switch {
	case b.URL != "" && b.MinFree != defaultMinFree:
		all = append(all, Invalid("min_free", "it is for the disk of an embedded bus, and url names servers with disks of their own: remove one of them"))
	case b.MinFree < 4<<20:
		all = append(all, Invalid("min_free", "expected at least 4MiB, for the ledger and letters to go on, found %s", b.MinFree))
	}
	if b.MaxAge < Duration(minMaxAge) {
		all = append(all, Invalid("max_age", "expected at least 5m, found %s", b.MaxAge))
	}
	return errors.Join(all...)
}

// resolve fills in the folder of an embedded bus.
func (b *Bus) resolve(dir string) {
	if b.URL != "" {
		return
	}
	if b.Dir == "" {
		b.Dir = defaultDir
	}
	if !filepath.IsAbs(b.Dir) {
		b.Dir = filepath.Join(dir, b.Dir)
	}
}

// The bounds of the limits of ingest.
const (
	maxConnections   = 1_000_000
	minIngestTimeout = Duration(100 * time.Millisecond)
	maxIngestTimeout = Duration(10 * time.Minute)
)

// Validate checks the listener of HTTP sources.
func (i *Ingest) Validate() error {
	all := []error{validateListen(i.Listen), i.Invoke.validate(i.Listen)}
	for _, limit := range []struct {
		key   string
		found int
	}{{"max_connections", i.MaxConnections}, {"max_connections_per_address", i.MaxConnectionsPerAddress}} {
		if limit.found < 1 || limit.found > maxConnections {
			all = append(all, Invalid(limit.key, "expected 1 to %d, found %d", maxConnections, limit.found))
		}
	}
	for _, limit := range []struct {
		key   string
		found Duration
	}{{"header_timeout", i.HeaderTimeout}, {"body_timeout", i.BodyTimeout}} {
		if limit.found < minIngestTimeout || limit.found > maxIngestTimeout {
			all = append(all, Invalid(limit.key, "expected 100ms to 10m, found %s", limit.found))
		}
	}
	return errors.Join(all...)
}

// Validate checks the admin listener.
func (a *Admin) Validate() error {
	problems := []error{validateListen(a.Listen), CheckToken("token", a.Token)}
	if !a.UnsafeNoAuth && a.Token.IsZero() && !loopback(a.Listen) {
		problems = append(problems, Invalid("listen", "%s can be reached from other machines, and the API asks for no authentication: set token, listen on 127.0.0.1, or set unsafe_no_auth: true to let anybody read events, pause, replay and purge", quoteShort(a.Listen)))
	}
	return errors.Join(problems...)
}

// minToken is the least number of characters of a token.
const minToken = 16

// CheckToken refuses the bearer token at key when it could be guessed, or when
// no header can hold it. It takes no token.
func CheckToken(key string, secret Secret) error {
	token := secret.Reveal()
	if token == "" {
		return nil
	}
	if len(token) < minToken {
		return Invalid(key, "it has %d characters: use at least %d", len(token), minToken)
	}
	for i := range len(token) {
		if token[i] <= ' ' || token[i] > '~' {
			return Invalid(key, "the character at byte %d is not allowed: use printable ASCII without spaces", i)
		}
	}
	return nil
}

func validateListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return Invalid("listen", "expected an address with a port, such as 127.0.0.1:4800, found %s", quoteShort(address))
	}
	return nil
}

// loopback tells whether only this machine reaches address.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return true // said elsewhere
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// samePort tells whether two listeners would want the same port.
func samePort(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	return errA == nil && errB == nil && portA == portB && portA != "0" && hostA == hostB
}
