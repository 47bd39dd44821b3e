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

const (
	defaultMaxAge = 24 * time.Hour
	longestMaxAge = 30 * 24 * time.Hour
	longestJitter = 24 * time.Hour
)

// maxData bounds the configured data, in bytes of JSON.
const maxData = 256 << 10

// DefaultType is the type of the events unless the file names another.
const DefaultType = "cron.tick"

// Adapter lists the source in the program; its sources share the scheduler.
func Adapter(scheduler *Scheduler) sources.Adapter {
	return sources.Adapter{
		Kind: "cron",
		Config: func() sources.Config {
			return &Config{Type: DefaultType, CatchUp: CatchUpSkip, MaxAge: config.Duration(defaultMaxAge), scheduler: scheduler}
		},
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
	// CatchUp says what becomes of ticks that passed while nothing ran; "skip" by
	// default.
	CatchUp CatchUp `yaml:"catch_up"`
	// MaxAge is how old a tick may be that is caught up with; a day by default.
	MaxAge config.Duration `yaml:"max_age"`
	// Jitter is how much later than its time a tick may fire.
	Jitter config.Duration `yaml:"jitter"`
	// Start and End bound the ticks: RFC 3339, both included.
	Start string `yaml:"start"`
	End   string `yaml:"end"`

	scheduler *Scheduler
}

// Validate reports what is wrong with the section.
func (c *Config) Validate() error {
	_, problems := c.plan("")
	_, dataErr := c.encodeData()
	return errors.Join(problems, problem("data", dataErr), problem("type", checkType(c.Type)))
}

// plan returns what a source of that name is to do, and all that is wrong with
// it.
func (c *Config) plan(name string) (plan, error) {
	zone, zoneErr := c.zone()
	schedule, scheduleErr := Parse(c.Schedule, zone)
	start, startErr := parseBound(c.Start)
	end, endErr := parseBound(c.End)
	p := plan{
		schedule: schedule, start: start, end: end, name: name,
		catchUp: c.CatchUp, maxAge: time.Duration(c.MaxAge), jitter: time.Duration(c.Jitter),
	}
	problems := errors.Join(problem("schedule", scheduleErr), problem("timezone", zoneErr), problem("start", startErr), problem("end", endErr),
		c.checkCatchUp())
	if problems == nil && !end.IsZero() {
		problems = problem("end", checkEnd(&p, c.Start))
	}
	return p, problems
}

func (c *Config) checkCatchUp() error {
	var problems []error
	if c.CatchUp != CatchUpSkip && c.CatchUp != CatchUpLast && c.CatchUp != CatchUpAll {
		problems = append(problems, config.Invalid("catch_up", "%q: write skip, last or all", string(c.CatchUp)))
	}
	if age := time.Duration(c.MaxAge); age < Grace || age > longestMaxAge {
		problems = append(problems, config.Invalid("max_age", "%s: write 1m to 30d", c.MaxAge))
	}
	if jitter := time.Duration(c.Jitter); jitter > longestJitter {
		problems = append(problems, config.Invalid("jitter", "%s: write at most 24h", c.Jitter))
	}
	return errors.Join(problems...)
}

// parseBound reads start or end, which may be empty.
func parseBound(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	bound, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return bound, fmt.Errorf("%q is not a time: write it as 2027-03-29T02:30:00+01:00", text)
	}
	return bound, nil
}

// checkEnd refuses an end before which nothing fires.
func checkEnd(p *plan, start string) error {
	if !p.start.IsZero() && !p.start.Before(p.end) {
		return fmt.Errorf("it is not after start (%s)", start)
	}
	anchored := *p
	anchored.schedule = p.schedule.From(p.start)
	if _, ok := anchored.after(time.Unix(0, 0)); !ok {
		return errors.New("the schedule has no tick up to then")
	}
	return nil
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
	p, err := c.plan(env.Name)
	if err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	data, err := c.encodeData()
	if err != nil {
		return nil, fmt.Errorf("cron source %q: %w", env.Name, err)
	}
	return &source{env: env, plan: p, scheduler: c.scheduler, eventType: c.Type, data: data}, nil
}
