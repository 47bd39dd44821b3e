package config

import (
	"errors"
	"slices"
	"strings"
)

// A BusAuth is one way to say who sluice is to NATS servers: a user with a
// password, a token, an NKey, or credentials.
type BusAuth struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	Token    Secret `yaml:"token"`
	// NKey is the seed of a user's key: it begins with SU.
	NKey Secret `yaml:"nkey"`
	// Creds is the content of a credentials file: a JWT and the seed of its key.
	Creds Secret `yaml:"creds"`
}

// A Placement says where JetStream puts the streams.
type Placement struct {
	// Cluster is the name of a cluster of a super-cluster.
	Cluster string `yaml:"cluster"`
	// Tags are what each server must have.
	Tags []string `yaml:"tags"`
}

// ways returns the keys of the ways that are used.
func (a *BusAuth) ways() []string {
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

// validate checks that there is one way at most, and the form of the secrets,
// which it does not show.
func (a *BusAuth) validate() error {
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

func (p *Placement) validate() error {
	if slices.Contains(p.Tags, "") {
		return Invalid("placement.tags", "there is an empty tag")
	}
	return nil
}

// remote returns what is set that has no meaning for an embedded bus.
func (b *Bus) remote() []error {
	var all []error
	for _, setting := range []struct {
		key string
		set bool
	}{
		{"auth", len(b.Auth.ways()) > 0},
		{"tls", b.TLS != TLS{}},
		{"placement", b.Placement.Cluster != "" || len(b.Placement.Tags) > 0},
	} {
		if setting.set {
			all = append(all, Invalid(setting.key, "it is for a bus elsewhere: remove this, or set url to the servers"))
		}
	}
	return all
}
