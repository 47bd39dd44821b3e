// Package file is the source of files that are created, changed or removed below
// a folder of this machine.
//
// The folder is walked, and what it holds compared with what is known: at the
// start, at an interval, and as soon as the system notifies of a change. What is
// known is kept in cursors that move together with the events, so that nothing is
// told twice.
package file

import (
	"errors"
	"path"
	"time"

	"sluice/config"
	"sluice/sources"
)

// Kind is the source's key in the file.
const Kind = "file"

const (
	defaultSettle   = time.Second
	maxSettle       = time.Hour
	defaultInterval = time.Minute
	minInterval     = time.Second
	// maxContent is the largest content that an event may have, in bytes.
	maxContent = 512 << 10
)

// A Config is the section of the file that describes one folder.
type Config struct {
	Folder config.Path `yaml:"folder"`
	// Recursive takes the folders below it too.
	Recursive bool `yaml:"recursive"`
	// Include and Exclude are patterns of path.Match: for names, or for paths below
	// the folder when they have a slash. Without Include every file is taken.
	Include []string `yaml:"include"`
	Exclude []string `yaml:"exclude"`
	// Hidden takes files and folders too whose names begin with a dot.
	Hidden bool `yaml:"hidden"`
	// Settle is how long a file must stay as it is to be complete.
	Settle config.Duration `yaml:"settle"`
	// Interval is the time between two walks when nothing notifies.
	Interval config.Duration `yaml:"interval"`
	// Content is the size up to which an event has what is in the file; 0 for never.
	Content config.Size `yaml:"content"`
	// Backfill makes events of the files that are there before the source first
	// starts.
	Backfill bool `yaml:"backfill"`
}

// Adapter returns the source for the program's list.
func Adapter() sources.Adapter {
	return sources.Adapter{Kind: Kind, Config: func() sources.Config { return NewConfig() }}
}

// NewConfig returns a configuration with the defaults.
func NewConfig() *Config {
	return &Config{Settle: config.Duration(defaultSettle), Interval: config.Duration(defaultInterval)}
}

// Validate returns all problems of the section.
func (c *Config) Validate() error {
	var problems []error
	if c.Folder == "" {
		problems = append(problems, config.Invalid("folder", "it is missing; write the folder to watch, such as ./in"))
	}
	for key, patterns := range map[string][]string{"include": c.Include, "exclude": c.Exclude} {
		for _, p := range patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				problems = append(problems, config.Invalid(key, "%q is no pattern: write one such as *.csv, or in/*.csv for paths", p))
			}
		}
	}
	if settle := time.Duration(c.Settle); settle < 0 || settle > maxSettle {
		problems = append(problems, config.Invalid("settle", "found %v; write 0s to %v", c.Settle, maxSettle))
	}
	if time.Duration(c.Interval) < minInterval {
		problems = append(problems, config.Invalid("interval", "%v is too short: at least %v", c.Interval, minInterval))
	}
	if c.Content < 0 || c.Content > maxContent {
		problems = append(problems, config.Invalid("content", "found %v; write at most %v, and leave larger files where they are", c.Content, config.Size(maxContent)))
	}
	return errors.Join(problems...)
}

// Source builds the source. It opens nothing.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return &source{cfg: *c, env: env}, nil
}
