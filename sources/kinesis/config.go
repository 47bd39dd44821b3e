// Package kinesis is the source of records of streams of Amazon Kinesis Data
// Streams, and of what speaks its protocol.
package kinesis

import (
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

// The starts that are no time.
const (
	startLatest  = "latest"
	startHorizon = "trim_horizon"
)

// requestTimeout bounds one request: an answer may have 10 MiB.
const requestTimeout = 30 * time.Second

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes one stream.
type Config struct {
	config.AWS `yaml:",inline"`
	// Stream is the stream's name, or its ARN where it is another account's.
	Stream string `yaml:"stream"`
	// Start is where a stream is begun that was never read: latest, trim_horizon,
	// or a time as RFC 3339 has it.
	Start string `yaml:"start"`
	// Deaggregate makes an event of each record that the Kinesis Producer Library
	// has put into one.
	Deaggregate    bool `yaml:"deaggregate"`
	shards.Section `yaml:",inline"`
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{Start: startLatest, Deaggregate: true, Section: shards.NewSection()}
}

var (
	streamName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{1,128}$`)
	streamARN  = regexp.MustCompile(`^arn:aws[a-z-]*:kinesis:[a-z0-9-]+:[0-9]{12}:stream/[a-zA-Z0-9_.-]{1,128}$`)
)

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	_, _, err := c.start()
	return errors.Join(c.AWS.Validate(), c.validateStream(), err, c.Section.Validate())
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

// start returns where a stream is begun.
func (c *Config) start() (shards.From, time.Time, error) {
	switch c.Start {
	case startLatest:
		return shards.Latest, time.Time{}, nil
	case startHorizon:
		return shards.Horizon, time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, c.Start)
	if err != nil {
		return 0, time.Time{}, config.Invalid("start", "found %q; write %s, %s, or a time such as 2026-01-31T12:00:00Z", c.Start, startLatest, startHorizon)
	}
	return shards.Timestamp, at, nil
}

// name returns the name of the stream.
func (c *Config) name() string { return c.Stream[strings.LastIndexByte(c.Stream, '/')+1:] }

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	from, since, err := c.start()
	if err != nil {
		return nil, err
	}
	session, err := awsconn.New(&c.AWS, awsconn.Options{Timeout: requestTimeout})
	if err != nil {
		return nil, err
	}
	options := c.Options(env)
	options.Start, options.Since, options.Stream = from, since, newStream(c, session)
	return &source{Follower: shards.New(options), session: session}, nil
}
