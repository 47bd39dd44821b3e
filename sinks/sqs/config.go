// Package sqs is the sink that sends deliveries as messages to a queue of Amazon
// SQS, or of a server that speaks its protocol, up to ten in one request.
package sqs

import (
	"cmp"
	"errors"
	"fmt"

	"sluice/config"
	"sluice/connect/awsconn"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

// Config is the section of the file.
type Config struct {
	awssink.Section  `yaml:",inline"`
	awssink.Messages `yaml:",inline"`
	// Queue is the queue's URL, its ARN, or its name.
	Queue string `yaml:"queue"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "sqs", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Messages: awssink.Messages{Mode: awssink.Raw}} }

// Batches tells that it is as the trigger says.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	q, problem := awsconn.ParseQueue(c.Queue)
	section := c.section(q)
	return errors.Join(problem, section.Validate(), c.Messages.Validate(q.FIFO()))
}

// section returns the keys of AWS with what the queue's URL or ARN says.
func (c *Config) section(q awsconn.Queue) awssink.Section {
	section := c.Section
	section.Region = cmp.Or(section.Region, q.Region)
	section.Endpoint = cmp.Or(section.Endpoint, q.Endpoint)
	return section
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the sqs sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
