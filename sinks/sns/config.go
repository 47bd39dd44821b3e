// Package sns is the sink that publishes deliveries to a topic of Amazon SNS, or
// of a server that speaks its protocol, up to ten in one request.
package sns

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sluice/config"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

// Config is the section of the file.
type Config struct {
	awssink.Section  `yaml:",inline"`
	awssink.Messages `yaml:",inline"`
	// Topic is the topic's ARN.
	Topic string `yaml:"topic"`
	// Subject is that of mails; it may be a template.
	Subject string `yaml:"subject"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "sns", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Messages: awssink.Messages{Mode: awssink.Raw}} }

// Batches tells that it is as the trigger says.
func (c *Config) Batches() config.Batching { return config.MayBatch }

var topicARN = regexp.MustCompile(`^arn:[a-z0-9-]+:sns:([a-z0-9-]+):[0-9]+:[A-Za-z0-9_-]{1,256}(\.fifo)?$`)

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	var problem error
	if !topicARN.MatchString(c.Topic) {
		problem = config.Invalid("topic", "%q is no topic: write its ARN, such as arn:aws:sns:eu-central-1:123456789012:orders", c.Topic)
	}
	_, subjectErr := awssink.NewText("subject", c.Subject)
	section := c.section()
	return errors.Join(problem, section.Validate(), c.Messages.Validate(c.fifo()), subjectErr)
}

func (c *Config) fifo() bool { return strings.HasSuffix(c.Topic, ".fifo") }

// section returns the keys of AWS with the region of the topic.
func (c *Config) section() awssink.Section {
	section := c.Section
	if found := topicARN.FindStringSubmatch(c.Topic); found != nil {
		section.Region = cmp.Or(section.Region, found[1])
	}
	return section
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the sns sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
