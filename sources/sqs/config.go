package sqs

import (
	"cmp"
	"errors"
	"time"

	"sluice/config"
	"sluice/connect/awsconn"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "sqs"

// The defaults and bounds of a section.
const (
	// DefaultReceivers is how many receive at the same time when there is much.
	DefaultReceivers = 8
	// DefaultVisibility is how long a message stays hidden after it was received,
	// or held for the last time. It is less than the bus remembers ids for, so that
	// what comes again after a crash is no second event.
	DefaultVisibility = 30 * time.Second
	// DefaultWait is how long a request waits for messages.
	DefaultWait = 20 * time.Second

	maxReceivers  = 32
	minVisibility = 2 * time.Second
	maxVisibility = 12 * time.Hour // of the service
	maxWait       = 20 * time.Second
)

// A Config is the section of the file that describes one queue.
type Config struct {
	config.AWS `yaml:",inline"`
	// Queue is the queue's URL, its ARN, or its name.
	Queue string `yaml:"queue"`
	// Receivers is how many receive at the same time, from 1 to 32. Each holds up
	// to ten messages. Those beyond the first work only while there is much.
	Receivers int `yaml:"receivers"`
	// Visibility is how long a message stays hidden from others when the source
	// dies, from 2 s to 12 h. While it lives it holds what it has received for
	// longer. The queue's own setting is of no matter.
	Visibility config.Duration `yaml:"visibility"`
	// Wait is how long a request waits for messages, in whole seconds from 1 to 20.
	Wait config.Duration `yaml:"wait"`
	// SNS has the notifications of topics taken out of their envelopes.
	SNS bool `yaml:"sns"`
	// CloudEvents has messages that say that they are CloudEvents taken as such.
	CloudEvents bool `yaml:"cloudevents"`
}

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{
		Receivers:   DefaultReceivers,
		Visibility:  config.Duration(DefaultVisibility),
		Wait:        config.Duration(DefaultWait),
		SNS:         true,
		CloudEvents: true,
	}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	q, problem := awsconn.ParseQueue(c.Queue)
	section := c.section(q)
	problems := []error{problem, section.Validate()}
	if c.Receivers < 1 || c.Receivers > maxReceivers {
		problems = append(problems, config.Invalid("receivers", "found %d; write a whole number from 1 to %d", c.Receivers, maxReceivers))
	}
	if v := time.Duration(c.Visibility); v < minVisibility || v > maxVisibility || v%time.Second != 0 {
		problems = append(problems, config.Invalid("visibility", "found %v; write whole seconds from %v to 12h", c.Visibility, minVisibility))
	}
	if w := time.Duration(c.Wait); w < time.Second || w > maxWait || w%time.Second != 0 {
		problems = append(problems, config.Invalid("wait", "found %v; write whole seconds from 1s to %v", c.Wait, maxWait))
	}
	return errors.Join(problems...)
}

// section returns the keys of AWS with what the queue's URL or ARN says.
func (c *Config) section(q awsconn.Queue) config.AWS {
	section := c.AWS
	section.Region = cmp.Or(section.Region, q.Region)
	section.Endpoint = cmp.Or(section.Endpoint, q.Endpoint)
	return section
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	q, err := awsconn.ParseQueue(c.Queue)
	if err != nil {
		return nil, err
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return newSource(*c, q, env)
}
