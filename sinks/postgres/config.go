// Package postgres is the sink that runs a statement for each delivery, such as an
// INSERT, in a PostgreSQL database. The statement names what it takes of the event;
// values go to the server as parameters, never as part of the statement.
package postgres

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"sluice/config"
	"sluice/connect/postgresconn"
	"sluice/event/transform"
	"sluice/sinks"
	sinkhttp "sluice/sinks/http"
)

// The bounds of Config.Connections.
const (
	DefaultConnections = 4
	maxConnections     = 100
)

// Config is the section of the file.
type Config struct {
	postgresconn.Server `yaml:",inline"`
	// Statement is run for each delivery. :name stands for a value, see parameter.
	Statement string `yaml:"statement"`
	// Params are further values by name, as templates.
	Params map[string]string `yaml:"params"`
	// Connections is the most that are open at once.
	Connections int `yaml:"connections"`
	// Egress is empty for that of the whole installation.
	Egress sinkhttp.Egress `yaml:"egress"`
}

// Adapter returns the adapter for the program's list of sinks.
func Adapter() sinks.Adapter {
	return sinks.Adapter{Kind: "postgres", Config: func() sinks.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults filled in.
func NewConfig() *Config { return &Config{Connections: DefaultConnections} }

// Batches says that the sink takes several deliveries in one attempt.
func (c *Config) Batches() config.Batching { return config.MayBatch }

// Validate returns everything that is wrong, each problem with its key.
func (c *Config) Validate() error {
	_, statementErr := c.statement()
	_, paramsErr := c.templates()
	problems := []error{c.Server.Validate(), statementErr, paramsErr, c.Egress.Validate()}
	if c.Connections < 1 || c.Connections > maxConnections {
		problems = append(problems, config.Invalid("connections", "expected 1 to %d, found %d", maxConnections, c.Connections))
	}
	return errors.Join(problems...)
}

func (c *Config) statement() (*statement, error) {
	s, err := parse(c.Statement)
	if err != nil {
		return nil, config.Invalid("statement", "%v", err)
	}
	used := map[string]bool{}
	for i := range s.parameters {
		p := &s.parameters[i]
		used[p.root] = true
		if _, templated := c.Params[p.root]; templated && len(p.path) > 0 {
			return nil, config.Invalid("statement", ":%s has a path, and %s is a value of params: let its template give what is wanted", p.name, p.root)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		if !used[name] {
			return nil, config.Invalid("params."+name, "the statement does not use it: write :%s there, or remove it", name)
		}
	}
	return s, nil
}

func (c *Config) templates() (map[string]*transform.Template, error) {
	all := map[string]*transform.Template{}
	var problems []error
	for _, name := range slices.Sorted(maps.Keys(c.Params)) {
		t, err := transform.ParseTemplate(c.Params[name])
		if err != nil {
			problems = append(problems, config.Invalid("params."+name, "%v", err))
		}
		if root, rest := cutName(name); root != name || rest != "" {
			problems = append(problems, config.Invalid("params."+name, "%q is no name: write letters, digits and _, a letter first", name))
		}
		all[name] = t
	}
	return all, errors.Join(problems...)
}

// Sink builds the sink. It opens no connection.
func (c *Config) Sink(env sinks.Env) (sinks.Sink, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("the postgres sink of %q: %w", env.Name, err)
	}
	return newSink(c, env)
}
