// Package dynamodb is the source of changes of a table of Amazon DynamoDB, as its
// streams show them, and of what speaks their protocol.
package dynamodb

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
const Kind = "dynamodb"

// requestTimeout bounds one request: an answer has 1 MiB at most.
const requestTimeout = 30 * time.Second

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// A Config is the section of the file that describes one table.
type Config struct {
	config.AWS `yaml:",inline"`
	// Table is the table's name.
	Table          string `yaml:"table"`
	shards.Section `yaml:",inline"`
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config { return &Config{Section: shards.NewSection()} }

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	return errors.Join(c.AWS.Validate(), c.validateTable(), c.Section.Validate())
}

func (c *Config) validateTable() error {
	switch {
	case c.Table == "":
		return config.Invalid("table", "it is missing: write the table's name")
	case strings.HasPrefix(c.Table, "arn:"):
		return config.Invalid("table", "%q is an ARN: write the table's name alone; its streams are found by it", c.Table)
	case !tableName.MatchString(c.Table):
		return config.Invalid("table", "%q is no name of a table: it has 3 to 255 letters, digits, _, - and dots", c.Table)
	}
	return nil
}

// Source builds the source. It opens no connection.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	session, err := awsconn.New(&c.AWS, awsconn.Options{Timeout: requestTimeout})
	if err != nil {
		return nil, err
	}
	options, err := c.Options(env, newTable(c.Table, session), session.Close)
	if err != nil {
		session.Close()
		return nil, err
	}
	return shards.New(options), nil
}
