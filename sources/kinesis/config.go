// Package kinesis is the source of records of streams of Amazon Kinesis Data
// Streams, and of what speaks its protocol.
package kinesis

import (
	"cmp"
	"errors"
	"regexp"
	"strings"
	"time"

	"sluice/config"
	"sluice/connect/awsconn"
	"sluice/sources"
	"sluice/sources/shards"
)

// Kind is the source's key in the file.
const Kind = "kinesis"

// requestTimeout bounds one request: an answer may have 10 MiB.
const requestTimeout = 30 * time.Second

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes one stream.
type Config struct {
	config.AWS `yaml:",inline"`
	// Stream is the stream's name, or its ARN where it is another account's. Without
	// a region that of the ARN is asked.
	Stream string `yaml:"stream"`
	// Deaggregate makes an event of each record that the Kinesis Producer Library
	// has put into one.
	Deaggregate    bool `yaml:"deaggregate"`
	shards.Section `yaml:",inline"`
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{Deaggregate: true, Section: shards.NewSection()}
}

var (
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	streamARN  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:([a-z0-9-]+):[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$`)
)

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	section := c.section()
	return errors.Join(section.Validate(), c.validateStream(), c.Section.Validate())
}

func (c *Config) validateStream() error {
	switch {
	case c.Stream == "":
		return config.Invalid("stream", "it is missing: write the stream's name, or its ARN where it is another account's")
	case !streamName.MatchString(c.Stream) && !streamARN.MatchString(c.Stream):
		return config.Invalid("stream", "%q is no name of a stream and no ARN of one: write one such as orders, or arn:aws:kinesis:eu-central-1:123456789012:stream/orders", c.Stream)
	}
	return nil
}

// name returns the name of the stream.
func (c *Config) name() string { return c.Stream[strings.LastIndexByte(c.Stream, '/')+1:] }

// section returns the keys of AWS with the region of the stream.
func (c *Config) section() config.AWS {
	section := c.AWS
	if found := streamARN.FindStringSubmatch(c.Stream); found != nil {
		section.Region = cmp.Or(section.Region, found[1])
	}
	return section
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	section := c.section()
	session, err := awsconn.New(&section, awsconn.Options{Timeout: requestTimeout})
	if err != nil {
		return nil, err
	}
	options, err := c.Options(env, newStream(c, session), session.Close)
	if err != nil {
		session.Close()
		return nil, err
	}
	return shards.New(options), nil
}
