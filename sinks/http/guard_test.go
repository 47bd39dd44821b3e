package http_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	sinkhttp "sluice/sinks/http"
)

func TestGuard(t *testing.T) {
	const (
		nobody = iota // no policy allows it
		any           // only egress any allows it
		all
	)
	for addr, allowed := range map[string]int{
		"169.254.169.254": nobody, "169.254.0.1": nobody, "169.254.170.2": nobody, "::ffff:169.254.169.254": nobody,
		"fe80::1": nobody, "fe80::1%eth0": nobody, "febf::1": nobody, "fd00:ec2::254": nobody, "fd20:ce::254": nobody,
		"100.100.100.200": nobody, "168.63.129.16": nobody, "192.0.0.192": nobody, "224.0.0.251": nobody, "ff02::1": nobody,
		"64:ff9b::169.254.169.254": nobody, "2002:a9fe:a9fe::1": nobody, "::169.254.169.254": nobody,
		"2001::5601:5601": nobody, "::ffff:0:a9fe:a9fe": nobody,

		"0.0.0.0": any, "0.1.2.3": any, "10.1.2.3": any, "100.64.0.1": any, "100.127.255.255": any, "127.0.0.1": any, "127.9.9.9": any,
		"172.16.0.1": any, "172.31.255.255": any, "192.168.1.1": any, "192.0.0.1": any, "192.0.2.1": any, "198.18.0.1": any,
		"198.51.100.1": any, "203.0.113.1": any, "224.0.1.1": any, "239.1.1.1": any, "240.0.0.1": any, "255.255.255.255": any,
		"192.88.99.1": any, "::": any, "::1": any, "::7f00:1": any, "::ffff:127.0.0.1": any, "::ffff:8.8.8.8": any, "::ffff:0:808:808": any,
		"64:ff9b::8.8.8.8": any, "64:ff9b:1::1": any, "100::1": any, "2001::1": any, "2001:db8::1": any, "2002:808:808::1": any,
		"3fff::1": any, "5f00::1": any, "fc00::1": any, "fd12:3456::1": any, "fec0::1": any, "ff0e::1": any,

		"8.8.8.8": all, "1.1.1.1": all, "100.63.255.255": all, "100.128.0.1": all, "172.15.255.255": all, "172.32.0.1": all,
		"169.253.255.255": all, "169.255.0.1": all, "126.255.255.255": all, "128.0.0.1": all, "223.255.255.255": all,
		"2606:4700::1111": all, "2001:4860:4860::8888": all, "2a00:1450::1": all,
	} {
		parsed := netip.MustParseAddr(addr)
		var refused *sinkhttp.RefusedError
		if err := sinkhttp.NewGuard(sinkhttp.EgressAny).Check(parsed); (err == nil) != (allowed != nobody) || err != nil && !errors.As(err, &refused) {
			t.Errorf("any, %s: %v", addr, err)
		}
		if err := sinkhttp.NewGuard(sinkhttp.EgressPublic).Check(parsed); (err == nil) != (allowed == all) || err != nil && !errors.As(err, &refused) {
			t.Errorf("public, %s: %v", addr, err)
		}
	}
}

func TestGuardStandsBehindResolution(t *testing.T) {
	const metadata = "cannot connect: dial tcp 169.254.169.254:80: refused to connect to 169.254.169.254: it is a link-local address, where clouds keep their metadata"
	server := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the request has passed") })
	for name, c := range map[string]struct {
		url    string
		egress sinkhttp.Egress
		want   string
	}{
		"metadata":                  {"http://169.254.169.254/latest", sinkhttp.EgressAny, metadata},
		"metadata, mapped":          {"http://[::ffff:169.254.169.254]/latest", sinkhttp.EgressAny, metadata},
		"loopback":                  {server.URL, sinkhttp.EgressPublic, "it is a loopback address, and egress is public"},
		"a name for loopback":       {strings.Replace(server.URL, "127.0.0.1", "localhost", 1), sinkhttp.EgressPublic, "it is a loopback address, and egress is public"},
		"this host":                 {strings.Replace(server.URL, "127.0.0.1", "0.0.0.0", 1), sinkhttp.EgressPublic, "and egress is public"},
		"loopback, mapped":          {strings.Replace(server.URL, "127.0.0.1", "[::ffff:127.0.0.1]", 1), sinkhttp.EgressPublic, "and egress is public"},
		"loopback, IPv4 in NAT64":   {strings.Replace(server.URL, "127.0.0.1", "[64:ff9b::7f00:1]", 1), sinkhttp.EgressPublic, "it is a NAT64 address, and egress is public"},
		"a unique local address":    {"http://[fd12::1]/", sinkhttp.EgressPublic, "it is a unique local address, and egress is public"},
		"the metadata over https":   {"https://169.254.169.254/", sinkhttp.EgressAny, "where clouds keep their metadata"},
		"an unspecified v6 address": {strings.Replace(server.URL, "127.0.0.1", "[::]", 1), sinkhttp.EgressPublic, "and egress is public"},
	} {
		s := build(t, c.url, func(config *sinkhttp.Config) { config.Egress = c.egress })
		_, err := deliver(t, s)
		var refused *sinkhttp.RefusedError
		if decision(err) != "dead" || !errors.As(err, &refused) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: %s, %v", name, decision(err), err)
		}
	}
}

func TestControlRefusesWhatIsNoAddress(t *testing.T) {
	err := sinkhttp.Guard{}.Control("tcp", "localhost:80", nil)
	if want := `refused to connect to "localhost:80": it is no IP address with a port`; err == nil || err.Error() != want {
		t.Errorf("%v", err)
	}
}
