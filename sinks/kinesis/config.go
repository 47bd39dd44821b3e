// Package kinesis is the sink that puts each delivery as a record into a stream of
// Amazon Kinesis Data Streams, or of what speaks its protocol.
package kinesis

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"sluice/config"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

// Kind is the sink's key in the file.
const Kind = "kinesis"

// A Mode says how an event becomes the data of a record. Records have nothing
// beside their data, and so there is no binary mode.
type Mode string

// The modes.
const (
	// Structured is the whole event as CloudEvents JSON, with the delivery's id and
	// the number of the attempt as extensions.
	Structured Mode = "structured"
	// Raw is the event's data alone.
	Raw Mode = "raw"
)

// Config is the section of the file.
type Config struct {
	awssink.Section `yaml:",inline"`
	// Stream is the stream's name, or its ARN where it is another account's. Without
	// a region that of the ARN is asked.
	Stream string `yaml:"stream"`
	// PartitionKey may be a template; empty for the event's partitionkey, else the
	// delivery's id.
	PartitionKey string `yaml:"partition_key"`
	// ExplicitHashKey is a decimal number below 2 to the 128th, which chooses the
	// shard, and may be a template; empty for the hash of the partition key.
	ExplicitHashKey string `yaml:"explicit_hash_key"`
	Mode            Mode   `yaml:"mode"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: Kind, Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Mode: Structured} }

// Batches tells that an attempt may have several deliveries.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// The region of an ARN is its first group.
var streamName = regexp.MustCompile(`^(?:arn:aws[a-z-]*:kinesis:([a-z0-9-]+):[0-9]{12}:stream/)?[a-zA-Z0-9_.-]{1,128}$`)

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	section := c.section()
	_, err := newKeys(c)
	return errors.Join(section.Validate(), c.validateStream(), config.OneOf("mode", c.Mode, Structured, Raw), err)
}

func (c *Config) validateStream() error {
	switch {
	case c.Stream == "":
		return config.Invalid("stream", "it is missing: write the stream's name, or its ARN where it is another account's")
	case !streamName.MatchString(c.Stream):
		return config.Invalid("stream", "%q is no name of a stream and no ARN of one: write one such as orders, or arn:aws:kinesis:eu-central-1:123456789012:stream/orders", c.Stream)
	}
	return nil
}

// section returns the keys of AWS with the region of the stream.
func (c *Config) section() awssink.Section {
	section := c.Section
	if found := streamName.FindStringSubmatch(c.Stream); found != nil {
		section.Region = cmp.Or(section.Region, found[1])
	}
	return section
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the kinesis sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
