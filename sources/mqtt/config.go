package mqtt

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/config"
	"sluice/connect/mqttconn"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "mqtt"

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file.
type Config struct {
	mqttconn.Server `yaml:",inline"`

	// Topics are the filters to subscribe to, with + and #, and with $share/group/
	// before those that several clients share.
	Topics []string `yaml:"topics"`
	QoS    int      `yaml:"qos"`
	// Retained says which retained messages become events: those there when a
	// subscription is new, those there at each connection, or none.
	Retained string `yaml:"retained"`
	// SessionExpiry is how long the server is to keep what comes while the source is
	// away. Version 3.1.1 cannot tell it.
	SessionExpiry config.Duration `yaml:"session_expiry"`
	// Prefetch is how many messages of QoS 1 and 2 the server may send before the
	// first of them is durable. Version 3.1.1 cannot tell it.
	Prefetch int `yaml:"prefetch"`
	// CloudEvents has messages that are CloudEvents be taken as those.
	CloudEvents bool `yaml:"cloudevents"`
	// IDProperty and PartitionProperty are user properties that hold the event's id and
	// its partition key.
	IDProperty        string `yaml:"id_property"`
	PartitionProperty string `yaml:"partition_property"`
}

// Which retained messages become events.
const (
	retainedNew    = "new"
	retainedAlways = "always"
	retainedNever  = "never"
)

const (
	defaultExpiry   = 7 * 24 * time.Hour
	maxExpiry       = 10 * 365 * 24 * time.Hour
	defaultPrefetch = 2000
	maxPrefetch     = 65535
	maxTopics       = 1000
)

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{
		Server: mqttconn.NewServer(), QoS: 1, Retained: retainedNew, SessionExpiry: config.Duration(defaultExpiry),
		Prefetch: defaultPrefetch, CloudEvents: true,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	return errors.Join(
		c.Server.Validate(),
		c.validateTopics(),
		c.validateChoices(),
		c.validateNumbers(),
		c.validateVersion(),
	)
}

func (c *Config) validateTopics() error {
	switch {
	case len(c.Topics) == 0:
		return config.Invalid("topics", "it is missing; write topic filters such as [sensors/+/temperature]")
	case len(c.Topics) > maxTopics:
		return config.Invalid("topics", "found %d topic filters; write at most %d, with wildcards", len(c.Topics), maxTopics)
	}
	var problems []error
	seen := map[string]bool{}
	for i, topic := range c.Topics {
		key := fmt.Sprintf("topics[%d]", i)
		if err := mqttconn.CheckFilter(topic); err != nil {
			problems = append(problems, config.Invalid(key, "%q is no topic filter: %v", topic, err))
		}
		if seen[topic] {
			problems = append(problems, config.Invalid(key, "%q is there twice; remove one", topic))
		}
		seen[topic] = true
	}
	return errors.Join(problems...)
}

func (c *Config) validateChoices() error {
	switch c.Retained {
	case retainedNew, retainedAlways, retainedNever:
		return nil
	}
	return config.Invalid("retained", "found %q; write %s, %s or %s", c.Retained, retainedNew, retainedAlways, retainedNever)
}

func (c *Config) validateNumbers() error {
	var problems []error
	if c.QoS < 0 || c.QoS > 2 {
		problems = append(problems, config.Invalid("qos", "expected 0, 1 or 2, found %d", c.QoS))
	}
	if c.Prefetch < 1 || c.Prefetch > maxPrefetch {
		problems = append(problems, config.Invalid("prefetch", "expected 1 to %d, found %d", maxPrefetch, c.Prefetch))
	}
	if d := time.Duration(c.SessionExpiry); d < time.Second || d > maxExpiry {
		problems = append(problems, config.Invalid("session_expiry", "expected 1s to %v, found %v", config.Duration(maxExpiry), c.SessionExpiry))
	}
	return errors.Join(problems...)
}

// validateVersion refuses what 3.1.1 does not have.
func (c *Config) validateVersion() error {
	if c.Version != mqttconn.V311 {
		return nil
	}
	var problems []error
	for _, k := range []struct {
		key  string
		used bool
		has  string
	}{
		{"id_property", c.IDProperty != "", "user properties"},
		{"partition_property", c.PartitionProperty != "", "user properties"},
		{"prefetch", c.Prefetch != defaultPrefetch, "a receive maximum; the server's own settings bound what is in flight"},
		{"session_expiry", c.SessionExpiry != config.Duration(defaultExpiry), "a session expiry; the server's own settings say how long it keeps sessions"},
	} {
		if k.used {
			problems = append(problems, config.Invalid(k.key, "MQTT 3.1.1 has no %s: leave it out, or write version: 5 if the server speaks it", k.has))
		}
	}
	return errors.Join(problems...)
}

// allShared tells whether every filter is one of a shared subscription.
func (c *Config) allShared() bool {
	for _, topic := range c.Topics {
		if !mqttconn.Shared(topic) {
			return false
		}
	}
	return true
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the mqtt source of %q: %w", env.Name, err)
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	options, err := c.Options()
	if err != nil {
		return nil, err
	}
	options.ClientID = c.ClientID
	options.SessionExpiry = time.Duration(c.SessionExpiry)
	options.ReceiveMaximum = uint16(c.Prefetch)
	return &source{cfg: *c, env: env, options: options, origin: "mqtt://" + strings.ToLower(mqttconn.Address(options.Server))}, nil
}
