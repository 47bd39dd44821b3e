// Package eventbridge is the sink that puts deliveries onto an event bus of Amazon
// EventBridge, or of a server that speaks its protocol, up to ten in one request.
package eventbridge

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"

	"sluice/config"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

// A Detail says what the detail of an entry is.
type Detail string

// The details.
const (
	// DetailData is the data of the event, which must be an object of JSON, or none.
	DetailData Detail = "data"
	// DetailCloudEvent is the whole event as JSON, with the delivery's id.
	DetailCloudEvent Detail = "cloudevent"
)

// DefaultBus is the bus that every account has.
const DefaultBus = "default"

// Config is the section of the file.
type Config struct {
	awssink.Section `yaml:",inline"`
	// Bus is the name of the bus, or its ARN.
	Bus string `yaml:"bus"`
	// Source and DetailType are those of the entries; they may be templates. Empty
	// for the source and the type of the event.
	Source     string `yaml:"source"`
	DetailType string `yaml:"detail_type"`
	Detail     Detail `yaml:"detail"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "eventbridge", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Bus: DefaultBus, Detail: DetailData}
}

// Batches tells that it is as the trigger says.
func (c *Config) Batches() config.Batching { return config.MayBatch }

var (
	busName = regexp.MustCompile(`^[/.A-Za-z0-9_-]{1,256}$`)
	busARN  = regexp.MustCompile(`^arn:[a-z0-9-]+:events:([a-z0-9-]+):[0-9]+:event-bus/[/.A-Za-z0-9_-]{1,256}$`)
)

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	section := c.section()
	problems := []error{section.Validate(), config.OneOf("detail", c.Detail, DetailData, DetailCloudEvent)}
	if !busName.MatchString(c.Bus) && !busARN.MatchString(c.Bus) {
		problems = append(problems, config.Invalid("bus", "%q is no event bus: write its name, such as default, or its ARN", c.Bus))
	}
	_, sourceErr := awssink.NewText("source", c.Source)
	_, kindErr := awssink.NewText("detail_type", c.DetailType)
	return errors.Join(append(problems, sourceErr, kindErr)...)
}

// section returns the keys of AWS with the region of the bus.
func (c *Config) section() awssink.Section {
	section := c.Section
	if found := busARN.FindStringSubmatch(c.Bus); found != nil {
		section.Region = cmp.Or(section.Region, found[1])
	}
	return section
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the eventbridge sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
