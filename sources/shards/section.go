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
	// Start is where a stream is begun that was never read: latest, trim_horizon, or
	// a time as RFC 3339 has it.
	Start string `yaml:"start"`
	// Poll is the time between two requests for a shard that has nothing new.
	Poll config.Duration `yaml:"poll"`
	// Refresh is the time between two looks for new shards.
	Refresh config.Duration `yaml:"refresh"`
	// OnLost is what to do when records are gone that were not read.
	OnLost Loss `yaml:"on_lost"`
	// OnLarge is what to do about an event that is larger than bus.max_event.
	OnLarge Large `yaml:"on_large"`
}

// The starts that are no time.
const (
	StartLatest  = "latest"
	StartHorizon = "trim_horizon"
)

// The bounds of Refresh.
const (
	minRefresh = time.Second
	maxRefresh = time.Hour
)

// NewSection returns the defaults.
func NewSection() Section {
	return Section{
		Start: StartLatest,
		Poll:  config.Duration(DefaultPoll), Refresh: config.Duration(DefaultRefresh), OnLost: Continue, OnLarge: Wait,
	}
}

// Validate returns all problems.
func (s *Section) Validate() error {
	var problems []error
	if _, _, err := s.start(); err != nil {
		problems = append(problems, err)
	}
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

func (s *Section) start() (From, time.Time, error) {
	switch s.Start {
	case StartLatest:
		return Latest, time.Time{}, nil
	case StartHorizon:
		return Horizon, time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, s.Start)
	if err != nil {
		return 0, time.Time{}, config.Invalid("start", "found %q; write %s, %s, or a time such as 2026-01-31T12:00:00Z", s.Start, StartLatest, StartHorizon)
	}
	return Timestamp, at, nil
}

// Options returns what a follower of a stream is made of. It calls end at the end
// of its run.
func (s *Section) Options(env sources.Env, stream Stream, end func()) (Options, error) {
	start, since, err := s.start()
	if err != nil {
		return Options{}, err
	}
	if env.Report == nil {
		env.Report = func(error) {}
	}
	return Options{
		Stream: stream, Close: end, Start: start, Since: since,
		Poll: time.Duration(s.Poll), Refresh: time.Duration(s.Refresh), Lost: s.OnLost, Large: s.OnLarge,
		Logger: env.Logger, Report: env.Report, Now: env.Now,
	}, nil
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
