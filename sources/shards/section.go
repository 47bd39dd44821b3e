package shards

import (
	"cmp"
	"errors"
	"net/url"
	"time"

	"sluice/config"
	"sluice/event"
	"sluice/sources"
)

// A Section is what the sections of all such sources have.
type Section struct {
	// Poll is the time between two requests for a shard that has nothing new.
	Poll config.Duration `yaml:"poll"`
	// Refresh is the time between two looks for new shards.
	Refresh config.Duration `yaml:"refresh"`
	// OnLost is what to do when records are gone that were not read.
	OnLost Loss `yaml:"on_lost"`
	// OnLarge is what to do about an event that is larger than bus.max_event.
	OnLarge Large `yaml:"on_large"`
}

// The bounds of Refresh.
const (
	minRefresh = time.Second
	maxRefresh = time.Hour
)

// NewSection returns the defaults.
func NewSection() Section {
	return Section{
		Poll: config.Duration(DefaultPoll), Refresh: config.Duration(DefaultRefresh), OnLost: Continue, OnLarge: Wait,
	}
}

// Validate returns all problems.
func (s *Section) Validate() error {
	var problems []error
	if poll := time.Duration(s.Poll); poll < MinPoll || poll > MaxPoll {
		problems = append(problems, config.Invalid("poll", "expected %v to %v, found %v: a shard is read five times a second at most, by all readers together", MinPoll, MaxPoll, s.Poll))
	}
	if refresh := time.Duration(s.Refresh); refresh < minRefresh || refresh > maxRefresh {
		problems = append(problems, config.Invalid("refresh", "expected %v to %v, found %v", minRefresh, maxRefresh, s.Refresh))
	}
	if s.OnLost != Continue && s.OnLost != Stop {
		problems = append(problems, config.Invalid("on_lost", "found %q; write %s or %s", s.OnLost, Continue, Stop))
	}
	if s.OnLarge != Wait && s.OnLarge != Skip {
		problems = append(problems, config.Invalid("on_large", "found %q; write %s or %s", s.OnLarge, Wait, Skip))
	}
	return errors.Join(problems...)
}

// Options returns what a follower is made of, but for the stream and its start.
func (s *Section) Options(env sources.Env) Options {
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return Options{
		Poll: time.Duration(s.Poll), Refresh: time.Duration(s.Refresh), Lost: s.OnLost, Large: s.OnLarge,
		Logger: env.Logger, Report: env.Report, Now: env.Now,
	}
}

// Key returns a key as an attribute can hold it: as it is, or, where there are
// characters in it that no attribute has (CloudEvents 1.0.2, section 3.2),
// percent-encoded.
func Key(key string) string {
	e := event.Event{}
	if e.SetExtension("partitionkey", key) == nil {
		return key
	}
	return cmp.Or(url.QueryEscape(key), "%")
}
