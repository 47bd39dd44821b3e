package cron

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unicode"

	"sluice/config"
	"sluice/sources"
)

// maxData bounds the configured data, in bytes of JSON.
const maxData = 256 << 10

// DefaultType is the type of the events unless the file names another.
const DefaultType = "cron.tick"

// Adapter lists the source in the program; its sources share the scheduler.
func Adapter(scheduler *Scheduler) sources.Adapter {
	return sources.Adapter{
		Kind:   "cron",
		Config: func() sources.Config { return &Config{Type: DefaultType, scheduler: scheduler} },
	}
}

// A Config is the section "cron" of a source.
type Config struct {
	// Schedule is the expression; see the package's documentation. Required.
	Schedule string `yaml:"schedule"`
	// Timezone is the zone that the fields of Schedule are meant in, by its name
	// in the IANA time zone database; empty is UTC.
	Timezone string `yaml:"timezone"`
	// Data is the data of each event, any JSON value; none is {}. At most 256 KiB
	// as JSON.
	Data any `yaml:"data"`
	// Type is the type of the events.
	Type string `yaml:"type"`

	scheduler *Scheduler
}

// Validate reports what is wrong with the section.
func (c *Config) Validate() error {
	zone, err := c.zone()
	_, scheduleErr := Parse(c.Schedule, zone)
	_, dataErr := c.encodeData()
	return errors.Join(
		problem("schedule", scheduleErr),
		problem("timezone", err),
		problem("data", dataErr),
		problem("type", checkType(c.Type)),
	)
}

// problem returns err as a problem of the key: several, when it joins several.
func problem(key string, err error) error {
	var several interface{ Unwrap() []error }
	switch {
	case err == nil:
		return nil
	case errors.As(err, &several):
		var problems []error
		for _, one := range several.Unwrap() {
			problems = append(problems, problem(key, one))
		}
		return errors.Join(problems...)
	default:
		return config.Invalid(key, "%v", err)
	}
}

// zone returns the zone of the key timezone; with an error, it is UTC.
func (c *Config) zone() (*time.Location, error) {
	name, _, prefixed := cutZone(c.Schedule)
	switch {
	case c.Timezone == "":
		return time.UTC, nil
	case prefixed && c.Timezone != name:
		return time.UTC, fmt.Errorf("the schedule says %q already, and this says %q: remove one of them", name, c.Timezone)
	}
	zone, err := LoadZone(c.Timezone)
	if err != nil {
		return time.UTC, err
	}
	return zone, nil
}

func checkType(text string) error {
	if text == "" {
		return fmt.Errorf("it is empty: write a type such as %s", DefaultType)
	}
	for _, r := range text {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			return fmt.Errorf("%q has a character that no type may have: write one such as %s", text, DefaultType)
		}
	}
	return nil
}

func (c *Config) encodeData() ([]byte, error) {
	if c.Data == nil {
		return []byte("{}"), nil
	}
	data, err := json.Marshal(c.Data)
	switch {
	case err != nil:
		return nil, fmt.Errorf("it cannot be written as JSON: %w", err)
	case len(data) > maxData:
		return nil, fmt.Errorf("it is %d bytes long as JSON: at most %d are allowed", len(data), maxData)
	}
	return data, nil
}

// Source builds the source.
func (c *Config) Source(env sources.Env) (sources.Source, error) {
	if err := c.Validate(); err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	zone, err := c.zone()
	if err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	schedule, err := Parse(c.Schedule, zone)
	if err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	data, err := c.encodeData()
	if err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	return &source{env: env, schedule: schedule, scheduler: c.scheduler, eventType: c.Type, data: data}, nil
}
