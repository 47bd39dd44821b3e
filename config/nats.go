package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// A NATSAuth is one way to say who sluice is to NATS servers: a user with a
// password, a token, an NKey, or credentials.
type NATSAuth struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	Token    Secret `yaml:"token"`
	// NKey is the seed of a user's key: it begins with SU.
	NKey Secret `yaml:"nkey"`
	// Creds is the content of a credentials file: a JWT and the seed of its key.
	Creds Secret `yaml:"creds"`
}

// ways returns the keys of the ways that are used.
func (a *NATSAuth) ways() []string {
	var ways []string
	for _, way := range []struct {
		key  string
		used bool
	}{
		{"user", a.User != "" || !a.Password.IsZero()},
		{"token", !a.Token.IsZero()},
		{"nkey", !a.NKey.IsZero()},
		{"creds", !a.Creds.IsZero()},
	} {
		if way.used {
			ways = append(ways, way.key)
		}
	}
	return ways
}

// Validate checks that there is one way at most, and the form of the secrets,
// which it does not show.
func (a *NATSAuth) Validate() error {
	var all []error
	if ways := a.ways(); len(ways) > 1 {
		all = append(all, Invalid("auth."+ways[1], "there is %s already: take one of user with password, token, nkey and creds", ways[0]))
	}
	if (a.User == "") != a.Password.IsZero() {
		all = append(all, Invalid("auth.user", "user and password go together: one of them is missing"))
	}
	if seed := a.NKey.Reveal(); seed != "" && !strings.HasPrefix(strings.TrimSpace(seed), "SU") {
		all = append(all, Invalid("auth.nkey", "it is no seed of a user: that begins with SU"))
	}
	if creds := a.Creds.Reveal(); creds != "" && !strings.Contains(creds, "NATS USER JWT") {
		all = append(all, Invalid("auth.creds", "it is no credentials file: that has a block \"BEGIN NATS USER JWT\""))
	}
	return errors.Join(all...)
}

// ValidateNATS checks the servers of a key, which has at least one. It quotes
// none: there may be passwords.
func ValidateNATS(key, servers string, auth *NATSAuth) error {
	for i, server := range strings.Split(servers, ",") {
		server = strings.TrimSpace(server)
		if !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err == nil && u.User != nil && len(auth.ways()) > 0 {
			return Invalid(key, "server %d has a user in it, and auth says who sluice is too: remove one of them", i+1)
		}
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return Invalid(key, "server %d is no NATS address: write nats://host:4222, several with commas between", i+1)
		}
	}
	return nil
}
