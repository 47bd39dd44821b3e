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

// The starts that are no time.
const (
	startLatest  = "latest"
	startHorizon = "trim_horizon"
)

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
	Table string `yaml:"table"`
	// Start is where a table is begun that was never read: latest, trim_horizon, or
	// a time as RFC 3339 has it.
	Start          string `yaml:"start"`
	shards.Section `yaml:",inline"`
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config { return &Config{Start: startLatest, Section: shards.NewSection()} }

var tableName = regexp.MustCompile(`^[a-zA-Z0-9_.-]{3,255}$`)

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	_, _, err := c.start()
	return errors.Join(c.AWS.Validate(), c.validateTable(), err, c.Section.Validate())
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

// start returns where a table is begun.
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
	options.Start, options.Since, options.Stream = from, since, newTable(c.Table, session)
	return &source{Follower: shards.New(options), session: session}, nil
}
