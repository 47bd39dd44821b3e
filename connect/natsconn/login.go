// Package natsconn says to NATS servers who sluice is: those of the bus and those
// of sinks alike.
package natsconn

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"sluice/config"
)

// A Login is one way to say who sluice is to NATS servers: a user with a
// password, a token, the seed of an NKey, or the content of a credentials file.
type Login struct{ User, Password, Token, Seed, Credentials string }

// From returns the login that a file asks for.
func From(a *config.NATSAuth) Login {
	return Login{
		User: a.User, Password: a.Password.Reveal(), Token: a.Token.Reveal(),
		Seed: a.NKey.Reveal(), Credentials: a.Creds.Reveal(),
	}
}

// Options returns what the client library needs for it.
func (l Login) Options() ([]nats.Option, error) {
	switch {
	case l.User != "":
		return []nats.Option{nats.UserInfo(l.User, l.Password)}, nil
	case l.Token != "":
		return []nats.Option{nats.Token(l.Token)}, nil
	case l.Credentials != "":
		return []nats.Option{nats.UserCredentialBytes([]byte(l.Credentials))}, nil
	case l.Seed == "":
		return nil, nil
	}
	pair, err := nkeys.FromSeed([]byte(strings.TrimSpace(l.Seed)))
	if err != nil {
		return nil, fmt.Errorf("the seed of the NKey cannot be read: %w", err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("the seed of the NKey cannot be read: %w", err)
	}
	return []nats.Option{nats.Nkey(public, pair.Sign)}, nil
}
