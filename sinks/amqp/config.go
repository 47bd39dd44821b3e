// Package amqp is the sink that publishes each delivery to an exchange of
// RabbitMQ, or another broker of AMQP 0-9-1, which confirms it.
package amqp

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/config"
	"sluice/connect/amqpconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// Kind is the sink's key in the file.
const Kind = "amqp"

// A Mode says how an event becomes a message.
type Mode string

// The modes.
const (
	// Binary sends the data as the body and the attributes as cloudEvents: headers
	// (CloudEvents AMQP binding, section 3.1).
	Binary Mode = "binary"
	// Structured sends the whole event as JSON (section 3.2).
	Structured Mode = "structured"
	// Raw sends the data alone.
	Raw Mode = "raw"
)

// Config is the section of the file.
type Config struct {
	amqpconn.Server `yaml:",inline"`
	// Exchange is empty for the default exchange, where the routing key is the name
	// of a queue.
	Exchange string `yaml:"exchange"`
	// RoutingKey may be a template.
	RoutingKey string `yaml:"routing_key"`
	// Mandatory makes it a failure when no queue takes a message.
	Mandatory bool `yaml:"mandatory"`
	// Persistent has durable queues write messages to disk before they confirm them.
	Persistent bool `yaml:"persistent"`
	// Headers are added; their values may be templates.
	Headers map[string]string `yaml:"headers"`
	Mode    Mode              `yaml:"mode"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: Kind, Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Server: amqpconn.NewServer(), Mandatory: true, Persistent: true, Mode: Binary}
}

// Batches tells that an attempt may have several deliveries.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	all := []error{
		c.Server.Validate(), c.validateNames(), c.Egress.Validate(),
		config.OneOf("mode", c.Mode, Binary, Structured, Raw),
	}
	for _, name := range slices.Sorted(maps.Keys(c.Headers)) {
		all = append(all, c.validateHeader("headers."+name, name))
	}
	return errors.Join(all...)
}

func (c *Config) validateNames() error {
	if len(c.Exchange) > amqpconn.MaxName {
		return config.Invalid("exchange", "it has %d bytes, at most %d", len(c.Exchange), amqpconn.MaxName)
	}
	if c.Exchange == "" && c.RoutingKey == "" {
		return config.Invalid("routing_key", "it is missing; write the name of a queue, or an exchange")
	}
	if !transform.IsTemplate(c.RoutingKey) {
		if len(c.RoutingKey) > amqpconn.MaxName {
			return config.Invalid("routing_key", "it has %d bytes, at most %d", len(c.RoutingKey), amqpconn.MaxName)
		}
		return nil
	}
	return parses("routing_key", c.RoutingKey)
}

func (c *Config) validateHeader(key, name string) error {
	switch {
	case name == "" || len(name) > maxHeaderName:
		return config.Invalid(key, "the name of a header has 1 to %d bytes", maxHeaderName)
	case strings.HasPrefix(name, "Sluice-") || strings.HasPrefix(name, prefix):
		return config.Invalid(key, "sluice sets headers of this name itself; take another name")
	case transform.IsTemplate(c.Headers[name]):
		return parses(key, c.Headers[name])
	}
	return nil
}

// maxHeaderName is the most bytes of a header's name (AMQP 0-9-1, section
// 4.2.5.5).
const maxHeaderName = 128

func parses(key, text string) error {
	if _, err := transform.ParseTemplate(text); err != nil {
		return config.Invalid(key, "%v", err)
	}
	return nil
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the amqp sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
