// Package redis is the sink that adds each delivery to a stream of Redis.
package redis

import (
	"errors"
	"fmt"
	"time"

	"sluice/config"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// A Mode says how an event becomes the fields of an entry.
type Mode string

// The modes.
const (
	// Binary puts the data into one field, and each attribute into another.
	Binary Mode = "binary"
	// Structured puts the whole event as JSON into one field.
	Structured Mode = "structured"
	// Raw puts the data into one field, and no attribute.
	Raw Mode = "raw"
	// Fields puts each member of the data, which is a JSON object, into a field of
	// its name.
	Fields Mode = "fields"
)

const (
	maxReplicas = 100
	minMaxAge   = config.Duration(time.Second)
)

// Config is the section of the file.
type Config struct {
	config.Redis `yaml:",inline"`

	// Key is the template of the stream's key.
	Key  string `yaml:"key"`
	Mode Mode   `yaml:"mode"`
	// MaxLen is about how many entries the stream keeps; 0 for all.
	MaxLen int64 `yaml:"max_len"`
	// MaxAge is about for how long the stream keeps entries; 0 for ever.
	MaxAge config.Duration `yaml:"max_age"`
	// Replicas is how many replicas must have an entry before its delivery is done.
	Replicas int `yaml:"replicas"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "redis", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Mode: Binary} }

// Batches tells that a trigger may send several deliveries at once.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	problems := []error{
		c.Redis.Validate(), c.Egress.Validate(), c.validateKey(),
		config.OneOf("mode", c.Mode, Binary, Structured, Raw, Fields),
	}
	if c.MaxLen < 0 {
		problems = append(problems, config.Invalid("max_len", "found %d; write about how many entries to keep, or 0 for all", c.MaxLen))
	}
	if c.MaxAge != 0 && c.MaxAge < minMaxAge {
		problems = append(problems, config.Invalid("max_age", "%v is too short: at least %v, or 0 for ever", c.MaxAge, minMaxAge))
	}
	if c.MaxLen > 0 && c.MaxAge > 0 {
		problems = append(problems, config.Invalid("max_age", "Redis takes one bound: leave max_len or max_age out"))
	}
	return errors.Join(append(problems, c.validateReplicas())...)
}

func (c *Config) validateKey() error {
	if c.Key == "" {
		return config.Invalid("key", "it is missing; write the key of a stream, such as orders, or a template")
	}
	if !transform.IsTemplate(c.Key) {
		return nil
	}
	if _, err := transform.ParseTemplate(c.Key); err != nil {
		return config.Invalid("key", "%v", err)
	}
	return nil
}

func (c *Config) validateReplicas() error {
	if c.Replicas < 0 || c.Replicas > maxReplicas {
		return config.Invalid("replicas", "found %d; write a whole number from 0 to %d", c.Replicas, maxReplicas)
	}
	servers, err := c.Servers()
	if err == nil && c.Replicas > 0 && servers.Cluster {
		return config.Invalid("replicas", "it is for one server: in a cluster Redis cannot tell it of several servers at once; set min-replicas-to-write there")
	}
	return nil
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the redis sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
