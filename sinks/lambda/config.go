// Package lambda is the sink that invokes a function of AWS Lambda, or of a server
// that speaks its protocol, such as sluice itself.
package lambda

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"sluice/config"
	"sluice/event/aws"
	"sluice/sinks"
	"sluice/sinks/internal/awssink"
)

// An Invocation says what a delivery waits for.
type Invocation string

// The invocations.
const (
	// Request waits for the function's answer (RequestResponse).
	Request Invocation = "request"
	// Event waits until the service has taken the invocation, which it makes later,
	// with retries of its own (Event).
	Event Invocation = "event"
)

// Config is the section of the file.
type Config struct {
	awssink.Section `yaml:",inline"`
	sinks.Answers   `yaml:",inline"`
	// Function is the function's name, its ARN, or a part of that.
	Function string `yaml:"function"`
	// Qualifier is a version or an alias; empty for the latest one.
	Qualifier  string     `yaml:"qualifier"`
	Invocation Invocation `yaml:"invocation"`
	// Shape is what the function is given of an event.
	Shape aws.Shape `yaml:"shape"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "lambda", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config {
	return &Config{Invocation: Request, Shape: aws.ShapeAWS, Answers: sinks.DefaultAnswers()}
}

// Batches tells that it is as the trigger says.
func (c *Config) Batches() config.Batching { return config.MayBatch }

var (
	// function is the service's own pattern, of names and whole and partial ARNs.
	function    = regexp.MustCompile(`^(arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}(-[a-z]+)+-\d{1}:)?(\d{12}:)?(function:)?[a-zA-Z0-9_-]{1,140}(:(\$LATEST|[a-zA-Z0-9_-]{1,128}))?$`)
	functionARN = regexp.MustCompile(`^arn:[a-z0-9-]*:lambda:([a-z0-9-]+):`)
	qualifier   = regexp.MustCompile(`^(\$LATEST|[a-zA-Z0-9_-]{1,128})$`)
)

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	section := c.section()
	problems := []error{
		section.Validate(), c.Answers.Validate(), config.OneOf("invocation", c.Invocation, Request, Event),
	}
	if !function.MatchString(c.Function) {
		problems = append(problems, config.Invalid("function", "%q is no function: write its name or its ARN", c.Function))
	}
	if c.Qualifier != "" && !qualifier.MatchString(c.Qualifier) {
		problems = append(problems, config.Invalid("qualifier", "%q is no version or alias", c.Qualifier))
	}
	if !slices.Contains(aws.Shapes(), c.Shape) {
		problems = append(problems, config.Invalid("shape", "found %q; write aws, cloudevent or data", c.Shape))
	}
	if c.Invocation == Event && c.Replies() {
		problems = append(problems, config.Invalid("reply", "with invocation: event there is no answer: leave reply out, or write invocation: request"))
	}
	return errors.Join(problems...)
}

// section returns the keys of AWS with the region of the function.
func (c *Config) section() awssink.Section {
	section := c.Section
	if found := functionARN.FindStringSubmatch(c.Function); found != nil {
		section.Region = cmp.Or(section.Region, found[1])
	}
	return section
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the lambda sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
